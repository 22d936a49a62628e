// A guest of standard Go, built by the tests with GOOS=wasip1 -buildmode=c-shared. It imports nothing but the ABI.
package main

import "strings"

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoad(i uint64) uint32

//go:wasmimport extism:host/env alloc
func alloc(n uint64) uint64

//go:wasmimport extism:host/env store_u8
func store(off uint64, b uint32)

//go:wasmimport extism:host/env output_set
func outputSet(off, n uint64)

var calls int

// count answers with the number of calls that this instance has seen, and the input in upper case.
//
//go:wasmexport count
func count() int32 {
	calls++
	b := make([]byte, inputLength())
	for i := range b {
		b[i] = byte(inputLoad(uint64(i)))
	}
	out := string(rune('0'+calls)) + strings.ToUpper(string(b))
	off := alloc(uint64(len(out)))
	for i := range len(out) {
		store(off+uint64(i), uint32(out[i]))
	}
	outputSet(off, uint64(len(out)))
	return 0
}

var sink int

// work is plain computation: a sieve, string building and a map.
//
//go:wasmexport work
func work() int32 {
	sieve := make([]bool, 100_000)
	words := make(map[string]int)
	for i := 2; i < len(sieve); i++ {
		if !sieve[i] {
			for j := i * 2; j < len(sieve); j += i {
				sieve[j] = true
			}
			words[strings.Repeat("x", i%17)]++
		}
	}
	sink += len(words)
	return 0
}

func main() {}
