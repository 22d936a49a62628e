package httpwasm

import (
	"net/http"
	"testing"
)

// FuzzFunctions calls the functions of the ABI with arbitrary arguments; none may panic or write outside the limit.
func FuzzFunctions(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0})
	f.Add([]byte("\x0b\x00\x08\x10\x20\x04\x0e\x01\x00\xff\xff\xff"))
	functions := Functions()
	f.Fuzz(func(t *testing.T, script []byte) {
		h := &fuzzHost{x: &Exchange{Method: "GET", URI: "/", Header: http.Header{"A": {"1", "2"}}, Body: []byte("body"),
			Response: Response{Header: http.Header{}}, Limit: 1000}}
		copy(h.memory[:], "x-name\x00value/path?query{}")
		for i := 0; i+6 <= len(script) && i < 600; i += 6 {
			fn := functions[int(script[i])%len(functions)]
			var stack [5]uint64
			for j, b := range script[i+1 : i+6] {
				stack[j] = uint64(b)
				if b >= 0xf0 {
					stack[j] = uint64(int64(int8(b)))
				}
			}
			_ = fn.Call(h, h, stack[:])
			if i == 300 {
				h.x.Answered()
			}
		}
		if n := len(h.x.Body) + len(h.x.Response.Body); n > 1000+4 {
			t.Errorf("%d bytes of bodies", n)
		}
		if h.x.Response.Status != 0 && (h.x.Response.Status < 200 || h.x.Response.Status > 599) {
			t.Errorf("status %d", h.x.Response.Status)
		}
	})
}

type fuzzHost struct {
	x        *Exchange
	features uint32
	memory   [256]byte
}

func (h *fuzzHost) HTTPConfig() []byte        { return []byte("config") }
func (h *fuzzHost) HTTPLog(int, []byte) error { return nil }
func (h *fuzzHost) Exchange() *Exchange       { return h.x }
func (h *fuzzHost) Features() *uint32         { return &h.features }
func (h *fuzzHost) Moved(int)                 {}
func (h *fuzzHost) Read(at, n uint32) ([]byte, bool) {
	if uint64(at)+uint64(n) > uint64(len(h.memory)) {
		return nil, false
	}
	return h.memory[at : at+n], true
}
