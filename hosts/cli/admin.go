package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/runtime/config"
)

// errNotRunning says that no appliance answers at the administration address.
var errNotRunning = errors.New("no appliance is running")

// maxAdminAnswer bounds what is read from the administration API, in bytes.
const maxAdminAnswer = 64 << 20

// appliance is the configuration of the appliance that a verb is about: the one that runs at --admin, or at the configured
// address. One that runs there with other data than --data names is not meant; then no administration address is left.
func (f *siteFlags) appliance(ctx context.Context, admin string) (*config.Config, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	if admin != "" {
		cfg.Admin = admin
		return cfg, nil
	}
	if f.data == "" {
		return cfg, nil
	}
	var status struct {
		Data string `json:"data"`
	}
	if err := askAdmin(ctx, cfg, "GET", "/admin/v1/status", nil, &status); err == nil && !sameFolder(status.Data, f.data) {
		cfg.Admin = ""
	}
	return cfg, nil
}

// adminFlags are the flags of verbs that ask an appliance's administration API.
type adminFlags struct {
	site  siteFlags
	admin string
	json  bool
}

func (f *adminFlags) register(c *cobra.Command) {
	f.site.register(c)
	c.Flags().StringVar(&f.admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document")
}

func sameFolder(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// askAdmin makes one request to the administration API of the appliance that the configuration describes and decodes its
// answer into out. Where it asks for credentials, that of LEDGE_API_KEY is sent.
func askAdmin(ctx context.Context, cfg *config.Config, method, path string, body, out any) error {
	if cfg.Admin == "" {
		return errNotRunning
	}
	var payload io.Reader
	if body != nil {
		doc, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(doc)
	}
	client, scheme, err := applianceClient(cfg)
	if err != nil {
		return err
	}
	if config.Loopback(cfg.Admin) {
		scheme = "http" // serve answers tools on this machine plainly
	}
	client.Timeout = 5 * time.Minute
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://"+loopback(cfg.Admin)+path, payload)
	if err != nil {
		return err
	}
	key := os.Getenv(keyVariable)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w at %s", errNotRunning, cfg.Admin)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized && key == "":
		return fmt.Errorf("the administration API at %s asks for a credential: put an administrator's or operator's key into %s", cfg.Admin, keyVariable)
	case resp.StatusCode >= 400:
		return answerError(doc, method+" "+path+": "+resp.Status)
	}
	return json.Unmarshal(doc, out)
}

// loopback is the address under which this machine reaches a listener that was told to take every interface. The banner
// prints URLs, so they are understood too.
func loopback(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	address, _, _ = strings.Cut(address, "/")
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
