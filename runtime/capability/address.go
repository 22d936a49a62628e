package capability

import (
	"fmt"
	"net/netip"
)

// Reach is how near to the host an egress rule may lead.
type Reach int

// Reaches, each with what the one before has.
const (
	Public  Reach = iota // addresses of the internet
	Private              // loopback, and networks of the site
	Any                  // link-local addresses too, where clouds keep the metadata of a machine
)

// special are the blocks that are not the internet (IANA special-purpose registries), and with them the fixed public
// address at which one cloud serves its machines.
var special = []struct {
	prefix netip.Prefix
	needs  Reach
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), Any, "this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), Private, "private"},
	{netip.MustParsePrefix("100.100.100.200/32"), Any, "cloud metadata"},
	{netip.MustParsePrefix("100.64.0.0/10"), Private, "shared address space"},
	{netip.MustParsePrefix("127.0.0.0/8"), Private, "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), Any, "cloud metadata"},
	{netip.MustParsePrefix("169.254.0.0/16"), Any, "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), Private, "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), Any, "protocol assignments"},
	{netip.MustParsePrefix("192.0.2.0/24"), Any, "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), Any, "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), Private, "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), Private, "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), Any, "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), Any, "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), Any, "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), Any, "reserved"},
	{netip.MustParsePrefix("::1/128"), Private, "loopback"},
	{netip.MustParsePrefix("::/96"), Any, "unspecified or IPv4-compatible"},
	{netip.MustParsePrefix("100::/64"), Any, "discard"},
	{netip.MustParsePrefix("2001::/23"), Any, "protocol assignments"},
	{netip.MustParsePrefix("2001:db8::/32"), Any, "documentation"},
	{netip.MustParsePrefix("3fff::/20"), Any, "documentation"},
	{netip.MustParsePrefix("5f00::/16"), Any, "segment routing"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), Any, "local NAT64"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), Any, "cloud metadata"},
	{netip.MustParsePrefix("fc00::/7"), Private, "private"},
	{netip.MustParsePrefix("fe80::/10"), Any, "link-local"},
	{netip.MustParsePrefix("fec0::/10"), Any, "site-local"},
	{netip.MustParsePrefix("ff00::/8"), Any, "multicast"},
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixto4 = netip.MustParsePrefix("2002::/16")
)

// CheckAddress refuses an address that a rule with the given reach does not lead to. An IPv4 address inside an IPv6 one
// (mapped, NAT64, 6to4) is judged as itself.
func CheckAddress(a netip.Addr, reach Reach) error {
	a = a.WithZone("").Unmap()
	for _, s := range special { // the narrower block comes first
		if s.prefix.Contains(a) {
			if s.needs > reach {
				return fmt.Errorf("the address %s is not one of the internet (%s)", a, s.what)
			}
			return nil
		}
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return CheckAddress(netip.AddrFrom4([4]byte(b[12:16])), reach)
	case sixto4.Contains(a):
		return CheckAddress(netip.AddrFrom4([4]byte(b[2:6])), reach)
	}
	return nil
}
