package kernel

import "testing"

// BenchmarkReadMemory is what products are measured against: a loop that only reads.
func BenchmarkReadMemory(b *testing.B) {
	if len(available()) == 1 {
		b.Skip("no AVX2")
	}
	data := make([]byte, 128<<20)
	for i := range data {
		data[i] = byte(i)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		readMemoryAVX2(&data[0], len(data))
	}
}
