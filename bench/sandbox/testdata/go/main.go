//go:build wasip1

// The workloads of bench/sandbox in standard Go. Every language has the same functions over the same buffer.
package main

import (
	"encoding/json"
	"regexp"
	"unsafe"
)

var data [1 << 16]byte

//go:wasmexport buffer
func buffer() uint32 { return uint32(uintptr(unsafe.Pointer(&data))) }

// scan counts digits in runs of at least four and addresses, byte by byte.
//
//go:wasmexport scan
func scan(n uint32) uint32 {
	found, run := uint32(0), 0
	for _, c := range data[:n] {
		switch {
		case c >= '0' && c <= '9':
			run++
			if run >= 4 {
				found++
			}
		case c == '@':
			found += 100
			run = 0
		default:
			run = 0
		}
	}
	return found
}

// chunk cuts at the last space or line end before 200 bytes and folds the lengths.
//
//go:wasmexport chunk
func chunk(n uint32) uint32 {
	sum, start, space := uint32(0), uint32(0), uint32(0)
	for i := uint32(0); i < n; i++ {
		if c := data[i]; c == ' ' || c == '\n' {
			space = i + 1
		}
		if i-start >= 200 {
			if space <= start {
				space = i + 1
			}
			sum = sum*31 + (space - start)
			start = space
		}
	}
	return sum
}

var pattern = regexp.MustCompile(`[a-z]+@[a-z]+\.[a-z]+`)

//go:wasmexport regex
func regex(n uint32) uint32 { return uint32(len(pattern.FindAllIndex(data[:n], -1))) }

//go:wasmexport parse
func parse(n uint32) uint32 {
	var v any
	b, _ := json.Marshal(string(data[:n]))
	if json.Unmarshal(b, &v) != nil {
		return 0
	}
	return uint32(len(v.(string)))
}

func main() {}
