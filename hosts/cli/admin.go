package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	if strings.HasPrefix(address, "0.0.0.0:") || strings.HasPrefix(address, "[::]:") {
		_, port, _ := strings.Cut(strings.TrimPrefix(address, "[::]"), ":")
		address = "127.0.0.1:" + port
	}
	var payload io.Reader
	if body != nil {
		doc, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = strings.NewReader(string(doc))
	}
	req, err := http.NewRequestWithContext(ctx, method, (&url.URL{Scheme: "http", Host: address}).String()+path, payload)
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
		var failed struct {
			Error struct{ Message string }
		}
		if json.Unmarshal(doc, &failed) == nil && failed.Error.Message != "" {
			return errors.New(failed.Error.Message)
		}
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return json.Unmarshal(doc, out)
}
