// Package airgap keeps an appliance that is offline from reaching anything but its own host and the networks of its site.
// The address is judged when it is dialled, after names are resolved, so that no route, redirect or name leads around it;
// and names are looked up in the hosts file alone unless a name server stands in the site.
//
// It knows nothing of models, plugins or HTTP: whatever dials takes its dialer from here. Start reading at [Gap.Dialer].
package airgap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Gap says what may be dialled. The nil Gap lets everything be. It is safe for concurrent use.
type Gap struct {
	site []netip.Prefix
}

// New returns the gap of an appliance that is offline. site are its networks beside the host itself.
func New(site []netip.Prefix) *Gap { return &Gap{site: site} }

// ParseNetworks reads networks as 10.20.0.0/16, or single addresses.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(list))
	for i, text := range list {
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network; write for example 10.20.0.0/16, or an address", text)
		}
		if p.Bits() == 0 {
			return nil, fmt.Errorf("%q is every network there is, which leaves nothing to be offline from", text)
		}
		out[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-(p.Addr().BitLen()-p.Addr().Unmap().BitLen())).Masked()
		if !out[i].IsValid() {
			return nil, fmt.Errorf("%q is not a network; write IPv4 ones as 10.20.0.0/16", text)
		}
	}
	return out, nil
}

// Error is a connection that was not made.
type Error struct{ what string }

func (e *Error) Error() string {
	return "offline: " + e.what + " is neither this host nor in a network of site"
}

// Refused says whether an error is that of a connection which the gap did not let be made.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// Offline says whether there is a gap.
func (g *Gap) Offline() bool { return g != nil }

// Check refuses an address beyond the gap. An IPv4 address within an IPv6 one is judged as itself; one that a gateway
// translates (NAT64, 6to4) is beyond it.
func (g *Gap) Check(a netip.Addr) error {
	if g == nil || a.WithZone("").Unmap().IsLoopback() || g.inSite(a) {
		return nil
	}
	return &Error{a.String()}
}

func (g *Gap) inSite(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	for _, p := range g.site {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// CheckHost refuses the host of a URL where that can be told without looking a name up.
func (g *Gap) CheckHost(host string) error {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return g.Check(a)
	}
	return nil
}

// Control judges an address that is about to be dialled; it is a [net.Dialer.ControlContext].
func (g *Gap) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if g == nil {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil { // a Unix socket, or what is no address
		return &Error{network + " " + address}
	}
	return g.Check(at.Addr())
}

// Dialer returns a dialer that reaches what may be reached.
func (g *Gap) Dialer(timeout time.Duration) *net.Dialer {
	d := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	if g != nil {
		d.ControlContext, d.Resolver = g.Control, g.Resolver()
	}
	return d
}

// Resolver finds addresses of names in the hosts file, and asks a name server only in a network of site: one on this host
// may pass the question on to anyone. It is nil, the system's, without a gap.
func (g *Gap) Resolver() *net.Resolver {
	if g == nil {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !g.inSite(at.Addr()) {
			return nil, &Error{"the name server " + address}
		}
		return (&net.Dialer{ControlContext: g.Control}).DialContext(ctx, network, address)
	}}
}

// String says what is reached.
func (g *Gap) String() string {
	if g == nil {
		return "whatever is granted"
	}
	out := "this host"
	for _, p := range g.site {
		out += ", " + p.String()
	}
	return out
}
