package edge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
)

// certificates are a server's TLS files, read again when they change.
type certificates struct {
	cfg config.TLS
	log *slog.Logger

	mu      sync.Mutex
	next    time.Time
	stamp   string
	current *tls.Config
}

// lookEvery is how often at most the files are looked at for a change.
const lookEvery = 5 * time.Second

// NewTLS reads the files and returns a configuration that follows them: TLS 1.2 at least; client certificates, where an
// authority for them is configured, are asked for and verified but not demanded, because a key or token will do as well.
func NewTLS(cfg config.TLS, log *slog.Logger) (*tls.Config, error) {
	c := &certificates{cfg: cfg, log: log}
	first, err := c.read()
	if err != nil {
		return nil, err
	}
	c.current, c.stamp = first, c.stampNow()
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: first.NextProtos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.get(time.Now()), nil }}, nil
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if c.cfg.ClientCA == "" {
		return out, nil
	}
	pem, err := os.ReadFile(c.cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("tls.client_ca: %w", err)
	}
	out.ClientCAs, out.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !out.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.client_ca: %s holds no certificate in PEM form", c.cfg.ClientCA)
	}
	return out, nil
}

// get returns the configuration of the files as they are. While one cannot be read, what was read before holds.
func (c *certificates) get(now time.Time) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.next) {
		return c.current
	}
	c.next = now.Add(lookEvery)
	stamp := c.stampNow()
	if stamp == c.stamp {
		return c.current
	}
	c.stamp = stamp
	fresh, err := c.read()
	if err != nil {
		c.log.Error("changed TLS files were not taken over; the old certificate holds", "error", err)
		return c.current
	}
	c.log.Info("TLS files were read again", "cert", c.cfg.Cert)
	c.current = fresh
	return fresh
}

func (c *certificates) stampNow() string {
	var b strings.Builder
	for _, f := range []string{c.cfg.Cert, c.cfg.Key, c.cfg.ClientCA} {
		if info, err := os.Stat(f); err == nil {
			fmt.Fprint(&b, info.Size(), info.ModTime().UnixNano(), " ")
		}
	}
	return b.String()
}
