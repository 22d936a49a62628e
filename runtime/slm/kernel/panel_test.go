package kernel

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

var panelTypes = []Type{Q8_0, Q4_0, Q5_0, Q4_K, Q5_K, Q6_K}

func prepared(t testing.TB, p *Pool, m *Matrix) {
	t.Helper()
	release, err := Prepare(p, []*Matrix{m}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.panels.data = nil
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	if !m.InPanels() {
		t.Fatalf("%s is not laid out in panels", m.Type)
	}
}

func randomMatrix(r *rand.Rand, t Type, rows, cols int, extreme bool) Matrix {
	data := make([]byte, rows*t.RowBytes(cols))
	for i := range rows {
		randomRow(r, t, data[i*t.RowBytes(cols):(i+1)*t.RowBytes(cols)], extreme)
	}
	return NewMatrix(t, rows, cols, data)
}

// TestPanels_AgreeWithScalarAndWithThemselves holds products with panels against plain Go on rows, and a row's result in
// a batch against the same row alone: those must be equal to the bit.
func TestPanels_AgreeWithScalarAndWithThemselves(t *testing.T) {
	for _, p := range available() {
		if p.panels {
			t.Run(p.name, func(t *testing.T) { use(t, p); testPanels(t) })
		}
	}
}

// use makes a path the active one until the test ends.
func use(t testing.TB, p path) {
	before := active
	active = p
	t.Cleanup(func() { active = before })
}

func testPanels(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 2))
	pool := NewPool(2)
	defer pool.Close()
	for _, typ := range panelTypes {
		for _, shape := range []struct{ rows, blocks, n int }{{16, 1, 1}, {32, 3, 4}, {5, 2, 3}, {33, 5, 2}, {48, 40, 7}, {17, 9, 8}, {16, 17, 15}} {
			for _, extreme := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %v extreme %v", typ, shape, extreme), func(t *testing.T) {
					cols := shape.blocks * typ.BlockSize()
					m := randomMatrix(r, typ, shape.rows, cols, extreme)
					prepared(t, pool, &m)
					x := randomVector(r, shape.n*cols)
					if extreme {
						for i := range x {
							x[i] = float32(1 - 2*(i/3%2))
						}
					}
					var ws Workspace
					many := make([]float32, shape.n*m.Rows)
					MatMul(pool, &ws, &m, many, x, shape.n)
					one := make([]float32, m.Rows)
					for k := range shape.n {
						row := x[k*cols : (k+1)*cols]
						MatMul(pool, &ws, &m, one, row, 1)
						var a activation
						a.set(typ.partner(), row)
						for i := range m.Rows {
							if math.Float32bits(one[i]) != math.Float32bits(many[k*m.Rows+i]) {
								t.Fatalf("row %d of %d: %g alone, %g with others", i, k, one[i], many[k*m.Rows+i])
							}
							want, bound := dotGo(typ, m.Row(i), &a), magnitude(typ, m.Row(i), row)
							if !(math.Abs(float64(one[i]-want)) <= 2e-6*bound) {
								t.Fatalf("row %d of %d: %g, want %g", i, k, one[i], want)
							}
						}
					}
				})
			}
		}
	}
}

func TestSpreadBits_IsATransposition(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 2))
	for range 100 {
		x := r.Uint32()
		want := uint32(0)
		for g := range 8 {
			for i := range 4 {
				want |= x >> (4*g + i) & 1 << (8*i + g)
			}
		}
		if got := spreadBits(x); got != want || bits.OnesCount32(got) != bits.OnesCount32(x) {
			t.Fatalf("%#x becomes %#x, want %#x", x, got, want)
		}
	}
}

// BenchmarkPanels walks 128 MB of weights on one thread; compare with BenchmarkReadMemory. What it does of 128 rows, which
// the second-level cache holds, is what the kernels do where memory is not the limit.
func BenchmarkPanels(b *testing.B) {
	const cols = 2048
	pool := NewPool(1)
	defer pool.Close()
	for _, p := range available() {
		if !p.panels {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			use(b, p)
			for _, typ := range panelTypes {
				rows := 128 << 20 / typ.RowBytes(cols) / panelRows * panelRows
				m := randomMatrix(rand.New(rand.NewPCG(1, 1)), typ, panelRows, cols, false)
				for len(m.Data) < rows*typ.RowBytes(cols) {
					m.Data = append(m.Data, m.Data...)
				}
				m.Rows, m.Data = rows, m.Data[:rows*typ.RowBytes(cols)]
				prepared(b, pool, &m)
				for _, c := range []struct {
					name    string
					n, rows int
				}{{"rows1", 1, rows}, {"cached", 1, 128}, {"rows8", 8, 512}, {"rows512", 512, 512}} {
					part := m
					part.Rows = c.rows
					b.Run(typ.String()+"/"+c.name, func(b *testing.B) {
						x, dst := randomVector(rand.New(rand.NewPCG(1, 2)), c.n*cols), make([]float32, c.n*part.Rows)
						var ws Workspace
						b.SetBytes(int64(part.Rows * typ.RowBytes(cols)))
						for b.Loop() {
							MatMul(pool, &ws, &part, dst, x, c.n)
						}
						b.ReportMetric(2*float64(part.Rows)*cols*float64(c.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gflop/s")
					})
				}
			}
		})
	}
}
