package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// client asks one way. It writes requests onto kept connections by itself: [http.Client] takes as long for a request as
// what is measured.
type client struct {
	host, path string
	header     []byte // of every request, without the length
	model      string

	mu   sync.Mutex
	idle []*conn // the last used last
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

func newClient(w *way) (*client, error) {
	u, err := url.Parse(w.url)
	if err != nil {
		return nil, err
	}
	c := &client{host: u.Host, path: u.Path, model: w.model}
	c.header = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: */*\r\nUser-Agent: ledge-bench\r\n", u.Path, u.Host)
	for k, v := range w.headers {
		c.header = fmt.Appendf(c.header, "%s: %s\r\n", k, v)
	}
	return c, nil
}

func (c *client) take() (*conn, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		kept := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return kept, nil
	}
	c.mu.Unlock()
	dialed, err := net.DialTimeout("tcp", c.host, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{dialed, bufio.NewReaderSize(dialed, 8<<10)}, nil
}

func (c *client) put(kept *conn) {
	c.mu.Lock()
	c.idle = append(c.idle, kept)
	c.mu.Unlock()
}

// close ends the idle connections.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kept := range c.idle {
		kept.Close()
	}
	c.idle = nil
}

// request is the bytes of a request.
func (c *client) request(prompt string, stream bool) []byte {
	body, err := json.Marshal(map[string]any{"model": c.model, "max_tokens": 16, "temperature": 0.5, "stream": stream,
		"messages": []map[string]string{{"role": "user", "content": prompt}}})
	if err != nil {
		panic(err) // of strings and numbers
	}
	out := append(make([]byte, 0, len(c.header)+len(body)+64), c.header...)
	out = fmt.Appendf(out, "Content-Length: %d\r\n\r\n", len(body))
	return append(out, body...)
}

// took is how long the first text and the whole answer took.
type took struct{ first, whole time.Duration }

// patience is how long an answer may take.
const patience = 10 * time.Second

// ask sends a request and reads its answer to the end. What is not the mock's whole answer is an error. Times count from
// begin.
func (c *client) ask(begin time.Time, request []byte, stream bool) (t took, err error) {
	cn, err := c.take()
	if err != nil {
		return t, err
	}
	keep := false
	defer func() {
		if keep {
			c.put(cn)
		} else {
			cn.Close()
		}
	}()
	_ = cn.SetDeadline(time.Now().Add(patience))
	if _, err := cn.Write(request); err != nil {
		return t, err
	}
	resp, err := http.ReadResponse(cn.r, nil)
	if err != nil {
		return t, err
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	var buf [2048]byte
	for {
		n, err := resp.Body.Read(buf[:])
		got.Write(buf[:n])
		if t.first == 0 && n > 0 && bytes.Contains(got.Bytes(), []byte(mockText)) {
			t.first = time.Since(begin)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return t, err
		}
	}
	t.whole = time.Since(begin)
	if resp.StatusCode != http.StatusOK || t.first == 0 {
		return t, fmt.Errorf("status %d: %.300s", resp.StatusCode, got.Bytes())
	}
	if stream && !bytes.Contains(got.Bytes(), []byte("[DONE]")) {
		return t, fmt.Errorf("the stream ended early: %.300s", got.Bytes())
	}
	keep = !resp.Close
	return t, nil
}
