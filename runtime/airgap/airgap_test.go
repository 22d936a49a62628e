package airgap

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func gapOf(t *testing.T, site ...string) *Gap {
	t.Helper()
	list, err := ParseNetworks(site)
	if err != nil {
		t.Fatal(err)
	}
	return New(list)
}

func TestCheck_LetsThisHostAndTheSiteBe(t *testing.T) {
	g := gapOf(t, "10.20.0.0/16", "fd00:1::/32", "192.168.7.9", "::ffff:172.16.0.0/108")
	for text, ok := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "10.20.3.4": true, "::ffff:10.20.3.4": true,
		"fd00:1::5": true, "192.168.7.9": true, "172.16.200.1": true,
		"10.21.0.1": false, "8.8.8.8": false, "::ffff:8.8.8.8": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "0.0.0.0": false,
		"::": false, "192.168.7.10": false, "fe80::1%eth0": false, "169.254.169.254": false, "::7f00:1": false,
	} {
		if err := g.Check(netip.MustParseAddr(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := (*Gap)(nil).Check(netip.MustParseAddr("8.8.8.8")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"0.0.0.0/0", "::/0", "example.com", "10.0.0.0/33", "", "fe80::%eth0/64"} {
		if _, err := ParseNetworks([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestDialer_ConnectsToNothingBeyond(t *testing.T) {
	own := nonLoopback(t)
	l, err := net.Listen("tcp", net.JoinHostPort(own, "0"))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
			accepted <- struct{}{}
		}
	}()
	dial := func(g *Gap) error {
		c, err := g.Dialer(time.Second).DialContext(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial(gapOf(t)); !Refused(err) {
		t.Errorf("an address that is not the host's loopback was dialled: %v", err)
	}
	select {
	case <-accepted:
		t.Error("it was connected to")
	case <-time.After(50 * time.Millisecond):
	}
	if err := dial(gapOf(t, own)); err != nil {
		t.Errorf("an address of the site: %v", err)
	}
	if err := dial(nil); err != nil {
		t.Errorf("without a gap: %v", err)
	}
}

func TestResolver_AsksNoNameServerBeyond(t *testing.T) {
	for _, server := range []string{"127.0.0.53:53", "8.8.8.8:53"} { // one on this host passes questions on
		if _, err := gapOf(t).Resolver().Dial(t.Context(), "udp", server); !Refused(err) {
			t.Errorf("%s: %v", server, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if addrs, err := gapOf(t).Resolver().LookupHost(ctx, "some.name.example"); err == nil {
		t.Errorf("a name was found at %v", addrs)
	}
	if _, err := gapOf(t, "10.0.0.0/8").Resolver().Dial(ctx, "udp", "10.0.0.53:53"); Refused(err) {
		t.Error("a name server of the site was refused")
	}
}

func nonLoopback(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this host has no address beside loopback")
	return ""
}

// Whatever dials takes its dialer from here. A new place that opens connections by itself has to be thought about.
func TestNothingElseDials(t *testing.T) {
	known := []string{
		"runtime/airgap/airgap.go",                                     // the dialers themselves
		"runtime/upstream/upstream.go", "runtime/capability/egress.go", // take their dialer from a gap
		"hosts/cli/appliance.go", // a command's own connection to the appliance whose address it was given
	}
	dials := map[string]bool{"net.Dialer": true, "net.Dial": true, "net.DialTimeout": true, "net.DialTCP": true, "net.DialUDP": true, "net.DialIP": true,
		"net.DialUnix": true, "net.Resolver": true, "net.DefaultResolver": true, "net.LookupHost": true, "net.LookupAddr": true, "net.LookupIP": true,
		"net.LookupCNAME": true, "net.LookupTXT": true, "net.LookupMX": true, "net.LookupNS": true, "net.LookupSRV": true,
		"net.ResolveTCPAddr": true, "net.ResolveUDPAddr": true, "net.ResolveIPAddr": true, "tls.Dial": true, "tls.DialWithDialer": true, "tls.Dialer": true,
		"http.Transport": true, "http.Client": true, "http.DefaultClient": true, "http.DefaultTransport": true, "http.Get": true, "http.Head": true,
		"http.Post": true, "http.PostForm": true, "httputil.ReverseProxy": true, "syscall.Connect": true, "unix.Connect": true}
	for _, dir := range []string{"runtime", "hosts", "policies"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			name := filepath.ToSlash(strings.TrimPrefix(path, filepath.Join("..", "..")+string(filepath.Separator)))
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && dials[x.Name+"."+s.Sel.Name] && !slices.Contains(known, name) {
						t.Errorf("%s uses %s.%s: does it keep to the gap?", name, x.Name, s.Sel.Name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
