package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"

	"github.com/ledge-run/ledge/runtime/openai"
)

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 4 << 20

// askAppliance sends a chat request to a running appliance and prints its stream.
func askAppliance(ctx context.Context, address string, req *openai.ChatRequest, w *answerWriter) error {
	req.Stream, req.StreamOptions = true, &openai.StreamOptions{IncludeUsage: true}
	doc, err := json.Marshal(req)
	if err != nil {
		return err
	}
	post, err := http.NewRequestWithContext(ctx, "POST", "http://"+loopback(address)+"/v1/chat/completions", bytes.NewReader(doc))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(post)
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

func answerError(body []byte, fallback string) error {
	var failed struct {
		Error struct{ Message, Code string }
	}
	if json.Unmarshal(body, &failed) == nil && failed.Error.Message != "" {
		return fmt.Errorf("%s (%s)", failed.Error.Message, failed.Error.Code)
	}
	return errors.New(fallback)
}
