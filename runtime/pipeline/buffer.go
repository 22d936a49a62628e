package pipeline

import "sync"

// buffers holds the inputs of plugin calls between requests.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// maxPooled keeps one huge request from pinning its memory.
const maxPooled = 256 << 10

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

// putBuffer gives the buffer back, wiped: what it held belongs to one request.
func putBuffer(b *[]byte) {
	if cap(*b) > maxPooled {
		return
	}
	clear(*b)
	buffers.Put(b)
}
