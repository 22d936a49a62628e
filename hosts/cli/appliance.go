package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/openai"
)

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 4 << 20

// askAppliance sends a chat request to a running appliance and prints its stream.
func askAppliance(ctx context.Context, cfg *config.Config, req *openai.ChatRequest, w *answerWriter) error {
	req.Stream, req.StreamOptions = true, &openai.StreamOptions{IncludeUsage: true}
	doc, err := json.Marshal(req)
	if err != nil {
		return err
	}
	client, scheme, err := applianceClient(cfg)
	if err != nil {
		return err
	}
	address := cfg.Listen
	post, err := http.NewRequestWithContext(ctx, "POST", scheme+"://"+loopback(address)+"/v1/chat/completions", bytes.NewReader(doc))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/json")
	if key := os.Getenv(keyVariable); key != "" {
		post.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(post)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w at %s", errNotRunning, address)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
		return answerError(body, resp.Status)
	}
	h := resp.Header
	w.id, w.route, w.model, w.cache = h.Get("X-Ledge-Request-Id"), h.Get("X-Ledge-Route"), h.Get("X-Ledge-Model"), h.Get("X-Ledge-Cache")
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if string(data) == "[DONE]" {
			return nil
		}
		if bytes.HasPrefix(data, []byte(`{"error"`)) {
			return answerError(data, "error")
		}
		var chunk openai.ChatChunk
		if err := json.Unmarshal(data, &chunk); err != nil {
			return fmt.Errorf("the appliance sent an event that is no chunk: %w", err)
		}
		if chunk.Usage != nil {
			w.usage = chunk.Usage
		}
		for _, c := range chunk.Choices {
			if c.FinishReason != nil {
				w.finish = *c.FinishReason
			}
			if c.Delta.Content != nil {
				if err := w.write(*c.Delta.Content); err != nil {
					return err
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the stream ended before the answer did")
}

// keyVariable names the environment variable that holds the API key for an appliance that asks for one.
const keyVariable = "LEDGE_API_KEY"

// applianceClient is a client for the appliance that the configuration describes: its own certificate is trusted.
func applianceClient(cfg *config.Config) (*http.Client, string, error) {
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	if cfg.TLS.Cert == "" {
		return &http.Client{Transport: transport}, "http", nil
	}
	pem, err := os.ReadFile(cfg.TLS.Cert)
	if err != nil {
		return nil, "", fmt.Errorf("tls.cert: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return &http.Client{Transport: transport}, "https", nil
}

func answerError(body []byte, fallback string) error {
	var failed struct {
		Error struct{ Message, Code string }
	}
	if json.Unmarshal(body, &failed) == nil && failed.Error.Message != "" {
		return fmt.Errorf("%s (%s)", failed.Error.Message, failed.Error.Code)
	}
	return errors.New(fallback)
}
