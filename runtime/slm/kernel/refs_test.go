package kernel

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func refs(t *testing.T, path string) string {
	t.Helper()
	dir := os.Getenv("LEDGE_REFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "refs")
	}
	full := filepath.Join(dir, path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("no reference data: %v; set LEDGE_REFS to its folder", err)
	}
	return full
}

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	b := readBytes(t, path)
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[i*4:]))
	}
	return out
}

func readBytes(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readActivation reads a row of activations in the form that ggml stores it in.
func readActivation(form partner, b []byte) *activation {
	a := &activation{}
	switch form {
	case asF32:
		for ; len(b) > 0; b = b[4:] {
			a.f32 = append(a.f32, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	case asF16:
		for ; len(b) > 0; b = b[2:] {
			a.f32 = append(a.f32, half(b))
		}
	case asBF16:
		for ; len(b) > 0; b = b[2:] {
			a.f32 = append(a.f32, bf16(binary.LittleEndian.Uint16(b)))
		}
	case asQ8_0, asQ8_1:
		head := 2
		if form == asQ8_1 {
			head = 4
		}
		for ; len(b) > 0; b = b[head+32:] {
			a.scale = append(a.scale, half(b))
			if form == asQ8_1 {
				a.total = append(a.total, half(b[2:]))
			}
			for _, v := range b[head : head+32] {
				a.q = append(a.q, int8(v))
			}
		}
	case asQ8_K:
		for ; len(b) > 0; b = b[292:] {
			a.scale = append(a.scale, math.Float32frombits(binary.LittleEndian.Uint32(b)))
			for _, v := range b[4:260] {
				a.q = append(a.q, int8(v))
			}
			for i := range 16 {
				a.sums = append(a.sums, int16(binary.LittleEndian.Uint16(b[260+i*2:])))
			}
		}
	}
	return a
}

// TestReference_FormatsEqualGgml holds every type that is supported against ggml's own results.
func TestReference_FormatsEqualGgml(t *testing.T) {
	index := readBytes(t, refs(t, "quant/index.tsv"))
	seen := 0
	for _, line := range strings.Split(strings.TrimSpace(string(index)), "\n")[1:] {
		field := strings.Split(line, "\t")
		name := field[0]
		ty := Type(0)
		for candidate, f := range formats {
			if strings.EqualFold(f.name, name) {
				ty = Type(candidate)
			}
		}
		block, _ := strconv.Atoi(field[1])
		bytes, _ := strconv.Atoi(field[2])
		if ty.BlockSize() != block || ty.BlockBytes() != bytes {
			t.Errorf("%s: blocks of %d in %d bytes, ggml has %d in %d", name, ty.BlockSize(), ty.BlockBytes(), block, bytes)
		}
		if !ty.Supported() {
			t.Logf("%s is not supported", name)
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) { checkFormat(t, name, ty) })
	}
	if seen < 25 {
		t.Errorf("only %d types are supported", seen)
	}
}

func checkFormat(t *testing.T, name string, ty Type) {
	const rows, cols = 4, 1024
	weights := readBytes(t, refs(t, "quant/"+name+".q"))
	want := readFloats(t, refs(t, "quant/"+name+".dq.f32"))
	x := readFloats(t, refs(t, "quant/f32.yq")) // the activations of every type come from this row
	dq := make([]float32, rows*cols)
	Dequantize(ty, dq, weights)
	for i := range dq {
		if math.Float32bits(dq[i]) != math.Float32bits(want[i]) {
			t.Fatalf("element %d is %g, ggml has %g", i, dq[i], want[i])
		}
	}
	a := readActivation(ty.partner(), readBytes(t, refs(t, "quant/"+name+".yq")))
	size := ty.RowBytes(cols)
	for r, want := range readFloats(t, refs(t, "quant/"+name+".dot.f32")) {
		for _, p := range available() {
			got := p.dot(ty, weights[r*size:(r+1)*size], a)
			if diff := math.Abs(float64(got)-float64(want)) / math.Abs(float64(want)); !(diff < 1e-6) {
				t.Errorf("%s: the product with row %d is %g, ggml has %g: %.2g apart", p.name, r, got, want, diff)
			}
		}
	}
	if interleaverOf(ty) != nil && active.panels {
		checkPanel(t, ty, weights, a, readFloats(t, refs(t, "quant/"+name+".dot.f32")))
	}
	var own activation
	own.set(ty.partner(), x)
	for i := range own.q {
		if own.q[i] != a.q[i] {
			t.Fatalf("activation %d is quantized to %d, ggml has %d", i, own.q[i], a.q[i])
		}
	}
	for i := range own.scale {
		if own.scale[i] != a.scale[i] {
			t.Fatalf("the scale of block %d is %g, ggml has %g", i, own.scale[i], a.scale[i])
		}
	}
	if ty.partner() == asQ8_1 {
		for i := range own.total {
			if own.total[i] != a.total[i] {
				t.Fatalf("the total of block %d is %g, ggml has %g", i, own.total[i], a.total[i])
			}
		}
	}
	for i := range own.sums {
		if own.sums[i] != a.sums[i] {
			t.Fatalf("sum %d is %d, ggml has %d", i, own.sums[i], a.sums[i])
		}
	}
}

// checkPanel holds the products of a panel against ggml's.
func checkPanel(t *testing.T, ty Type, weights []byte, a *activation, want []float32) {
	pool := NewPool(1)
	defer pool.Close()
	m := NewMatrix(ty, len(want), 1024, weights)
	prepared(t, pool, &m)
	a.totals = make([]int32, len(a.q)/32)
	active.totals(a)
	var got [panelRows]float32
	active.panel(ty, m.panel(0), a, got[:])
	for r, want := range want {
		if diff := math.Abs(float64(got[r])-float64(want)) / math.Abs(float64(want)); !(diff < 1e-6) {
			t.Errorf("in a panel: the product with row %d is %g, ggml has %g: %.2g apart", r, got[r], want, diff)
		}
	}
}
