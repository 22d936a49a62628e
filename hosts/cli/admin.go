package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// errNotRunning says that no appliance answers at the administration address.
var errNotRunning = errors.New("no appliance is running")

// maxAdminAnswer bounds what is read from the administration API, in bytes.
const maxAdminAnswer = 64 << 20

// askAdmin makes one request to a running appliance's administration API and decodes its answer into out.
func askAdmin(ctx context.Context, address, method, path string, body, out any) error {
	var payload io.Reader
	if body != nil {
		doc, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = strings.NewReader(string(doc))
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+loopback(address)+path, payload)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}, Timeout: 5 * time.Minute}
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w at %s", errNotRunning, address)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return answerError(doc, method+" "+path+": "+resp.Status)
	}
	return json.Unmarshal(doc, out)
}

// loopback is the address under which this machine reaches a listener that was told to take every interface. The banner
// prints URLs, so they are understood too.
func loopback(address string) string {
	address = strings.TrimPrefix(address, "http://")
	address, _, _ = strings.Cut(address, "/")
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
