package kernel

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func quantReference(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("LEDGE_REFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "refs")
	}
	b, err := os.ReadFile(filepath.Join(dir, "quant", name))
	if err != nil {
		t.Skipf("no reference data: %v; set LEDGE_REFS", err)
	}
	return b
}

func TestQuantize_EqualsGGMLBitForBit(t *testing.T) {
	raw := quantReference(t, "x.f32")
	x := make([]float32, len(raw)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[i*4:]))
	}
	// The other references were made with an importance matrix; runtime/slm/quantize compares those types with files that
	// llama.cpp quantized without one.
	for name, typ := range map[string]Type{"f32": F32, "f16": F16, "bf16": BF16, "q8_0": Q8_0} {
		t.Run(name, func(t *testing.T) {
			want := quantReference(t, name+".q")
			got := make([]byte, typ.RowBytes(len(x)))
			Quantize(typ, got, x)
			size, wrong := typ.BlockBytes(), 0
			for i := 0; i < len(got); i += size {
				if !bytes.Equal(got[i:i+size], want[i:i+size]) {
					if wrong++; wrong == 1 {
						t.Errorf("block %d:\n got %x\nwant %x", i/size, got[i:i+size], want[i:i+size])
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d blocks differ", wrong, len(got)/size)
			}
		})
	}
}

func TestQuantize_StaysNearAndTakesExtremes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]float32, 1024)
	for i := range random {
		random[i] = float32(r.NormFloat64())
	}
	for name, x := range map[string][]float32{"zeros": make([]float32, 256), "random": random, "constant": fill(3), "negative": fill(-2), "tiny": fill(1e-30), "huge": fill(3e4)} {
		for typ, most := range map[Type]float64{Q8_0: 1e-4, Q6_K: 1e-3, Q5_0: 4e-3, Q4_0: 2e-2, Q4_K: 1e-2} {
			dst := make([]byte, typ.RowBytes(len(x)))
			Quantize(typ, dst, x)
			back := make([]float32, len(x))
			Dequantize(typ, back, dst)
			var diff, norm float64
			for i := range x {
				diff += float64(back[i]-x[i]) * float64(back[i]-x[i])
				norm += float64(x[i]) * float64(x[i])
			}
			if math.IsNaN(diff) || norm > 1e-20 && diff/norm > most {
				t.Errorf("%s of %s: NMSE %g, more than %g", typ, name, diff/norm, most)
			}
		}
	}
}

func fill(v float32) []float32 {
	x := make([]float32, 256)
	for i := range x {
		x[i] = v
	}
	return x
}

func BenchmarkQuantize(b *testing.B) {
	x := make([]float32, 4096)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for _, typ := range []Type{Q4_0, Q8_0, Q4_K, Q6_K} {
		dst := make([]byte, typ.RowBytes(len(x)))
		b.Run(typ.String(), func(b *testing.B) {
			b.SetBytes(int64(len(x) * 4))
			for b.Loop() {
				Quantize(typ, dst, x)
			}
		})
	}
}
