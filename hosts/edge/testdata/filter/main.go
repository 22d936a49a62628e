// Command filter is an http-wasm filter for the tests: it refuses requests with the header X-Block, puts a word into the
// prompt, marks the answer, and does what X-Do asks for to show what becomes of a filter that misbehaves.
package main

import (
	"bytes"
	"fmt"
	"unsafe"
)

//go:wasmimport http_handler enable_features
func enableFeatures(features uint32) uint32

//go:wasmimport http_handler get_config
func getConfig(buf unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_header_values
func getHeaderValues(kind uint32, name unsafe.Pointer, nameLen uint32, buf unsafe.Pointer, limit uint32) uint64

//go:wasmimport http_handler set_header_value
func setHeaderValue(kind uint32, name unsafe.Pointer, nameLen uint32, value unsafe.Pointer, valueLen uint32)

//go:wasmimport http_handler read_body
func readBody(kind uint32, buf unsafe.Pointer, limit uint32) uint64

//go:wasmimport http_handler write_body
func writeBody(kind uint32, buf unsafe.Pointer, n uint32)

//go:wasmimport http_handler set_status_code
func setStatusCode(status uint32)

func main() {}

func init() {
	enableFeatures(1 | 2)
	b := make([]byte, 256)
	config = b[:getConfig(unsafe.Pointer(&b[0]), uint32(len(b)))]
}

var (
	config   []byte
	requests uint32 // that this instance has seen; each finds it fresh
	seen     []byte // of the request, for the response
)

func header(name string) string {
	b := make([]byte, 4096)
	n := getHeaderValues(0, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), unsafe.Pointer(&b[0]), uint32(len(b)))
	if n>>32 == 0 {
		return ""
	}
	return string(b[:uint32(n)-1])
}

func set(kind uint32, name, value string) {
	setHeaderValue(kind, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), unsafe.Pointer(unsafe.StringData(value)), uint32(len(value)))
}

func body(kind uint32) []byte {
	var all []byte
	b := make([]byte, 1000)
	for {
		n := readBody(kind, unsafe.Pointer(&b[0]), uint32(len(b)))
		if all = append(all, b[:uint32(n)]...); n>>32 != 0 {
			return all
		}
	}
}

func write(kind uint32, b []byte) {
	writeBody(kind, unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
}

//go:wasmexport handle_request
func handleRequest() uint64 {
	requests++
	switch header("X-Do") {
	case "spin":
		for {
		}
	case "flood":
		for {
			write(0, make([]byte, 1<<16))
		}
	case "panic":
		panic("as asked")
	case "reroute":
		write(0, []byte(`{"model":"open","messages":[{"role":"user","content":"hello"}]}`))
		return 1
	}
	if header("X-Block") != "" {
		setStatusCode(403)
		set(1, "Content-Type", "text/plain")
		write(1, []byte("blocked by the filter"))
		return 0
	}
	seen = []byte(fmt.Sprintf("request %d, config %s, authorization %q", requests, config, header("Authorization")))
	if b := body(0); bytes.Contains(b, []byte("PLACE")) {
		write(0, bytes.ReplaceAll(b, []byte("PLACE"), []byte("Once upon a time")))
	}
	return 7<<32 | 1
}

//go:wasmexport handle_response
func handleResponse(context, isError uint32) {
	if header("X-Do") == "panic later" {
		panic("as asked")
	}
	set(1, "X-Seen", fmt.Sprintf("%s, context %d, error %d", seen, context, isError))
	write(1, bytes.ReplaceAll(body(1), []byte(`"chat.completion"`), []byte(`"chat.completion.filtered"`)))
}
