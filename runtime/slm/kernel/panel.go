package kernel

import (
	"encoding/binary"
	"errors"
	"sync"
)

// A panel is 16 rows of a matrix with their blocks interleaved, in as many bytes as the rows have. Of the bytes that a
// block starts with, four of each row lie together, the rows one after the other, so that a vector register holds the
// same four elements of eight rows:
//
//	Q4_0  block of 32:  row 0 [q0..q3] row 1 [q0..q3] ... row 15 | [q4..q7] x 16 | ... | 16 half floats
//	Q8_0  the same with eight times four bytes
//	Q5_0  as Q4_0; before the factors row 0 [4 bytes] ... row 15: bit g of byte i is the fifth bit of element 4*g+i
//	Q4_K  block of 256: 16 factors | 16 factors of the minimums | 12 x 16 bytes of scales | 32 x 16 x 4 bytes
//	Q5_K  as Q4_K; before those 8 x 16 x 4 bytes: bit j of a byte is the fifth bit of its element of part j
//	Q6_K  block of 256: 16 factors | 16 x 16 scales | 32 x 16 x 4 bytes of low bits | 16 x 16 x 4 bytes of high bits
//
// Bytes that are unpacked to words lie in panelOrder, which is what unpacking within halves of a register undoes.
//
// A product with a panel needs no sums across a register and reads memory in one stream: it runs at the speed of memory
// where row after row does not.
const panelRows = 16

var panelOrder = [panelRows]int{0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15}

// panels are a matrix's rows in panels; copies of a matrix share them. The last panel is filled up with rows of zeros.
type panels struct{ data []byte }

// NewMatrix returns a matrix that [Prepare] can lay out anew.
func NewMatrix(t Type, rows, cols int, data []byte) Matrix {
	return Matrix{Type: t, Rows: rows, Cols: cols, Data: data, panels: &panels{}}
}

// InPanels says whether [Prepare] laid the matrix out, so that products no longer read Data.
func (m *Matrix) InPanels() bool { return m.panels != nil && m.panels.data != nil }

func (m *Matrix) panelBytes() int { return panelRows * m.Type.RowBytes(m.Cols) }

func (m *Matrix) panelCount() int { return (m.Rows + panelRows - 1) / panelRows }

func (m *Matrix) panel(i int) []byte {
	n := m.panelBytes()
	return m.panels.data[i*n : (i+1)*n]
}

// Same says whether two matrices are copies of each other, as tied ones are.
func (m *Matrix) Same(o *Matrix) bool { return m.panels != nil && m.panels == o.panels }

// interleaver lays 16 rows out as a panel.
type interleaver func(dst []byte, rows *[panelRows][]byte)

func interleaverOf(t Type) interleaver {
	switch t {
	case Q8_0:
		return interleaveQ8_0
	case Q4_0:
		return interleaveQ4_0
	case Q5_0:
		return interleaveQ5_0
	case Q4_K:
		return interleaveQ4_K
	case Q5_K:
		return interleaveQ5_K
	case Q6_K:
		return interleaveQ6_K
	}
	return nil
}

// prepareBytes is how much of a matrix one worker lays out at a time.
const prepareBytes = 1 << 20

// Prepare lays the matrices that the machine has kernels for out in panels, in memory of its own, and returns a function
// that gives that memory back; products with the matrices must not follow. After a part is laid out drop is called with
// where it came from, which is then read no more: the rows need not stay in memory twice. Before, want is called with it.
// Both may be nil. Matrices that are equal or that are no result of [NewMatrix] are left as they are.
func Prepare(p *Pool, matrices []*Matrix, want, drop func([]byte)) (release func() error, err error) {
	type part struct {
		m        *Matrix
		from, to int // panels
	}
	var parts []part
	total := 0
	at := map[*panels]int{}
	for _, m := range matrices {
		if !active.panels || m.panels == nil || m.InPanels() || interleaverOf(m.Type) == nil || m.Rows == 0 {
			continue
		}
		if _, seen := at[m.panels]; seen {
			continue
		}
		at[m.panels] = total
		count, size := m.panelCount(), m.panelBytes()
		step := max(prepareBytes/size, 1)
		for i := 0; i < count; i += step {
			parts = append(parts, part{m, i, min(i+step, count)})
		}
		total += count * size
	}
	if total == 0 {
		return func() error { return nil }, nil
	}
	memory, release, err := mapMemory(total)
	if err != nil {
		return nil, errors.Join(errors.New("kernel: no memory for the weights"), err)
	}
	for _, pt := range parts {
		first := at[pt.m.panels]
		pt.m.panels.data = memory[first : first+pt.m.panelCount()*pt.m.panelBytes()]
	}
	p.Run(len(parts), func(i int) {
		pt := parts[i]
		size := pt.m.Type.RowBytes(pt.m.Cols) * panelRows
		source := pt.m.Data[pt.from*size : min(pt.to*size, len(pt.m.Data))]
		if want != nil {
			want(source)
		}
		pt.m.fill(pt.from, pt.to)
		if drop != nil {
			drop(source)
		}
	})
	return release, nil
}

// fill lays out panels from the matrix's rows.
func (m *Matrix) fill(from, to int) {
	interleave, zeros := interleaverOf(m.Type), []byte(nil)
	var rows [panelRows][]byte
	for i := from; i < to; i++ {
		for r := range rows {
			if at := i*panelRows + r; at < m.Rows {
				rows[r] = m.Row(at)
				continue
			}
			if zeros == nil {
				zeros = make([]byte, m.Type.RowBytes(m.Cols))
			}
			rows[r] = zeros
		}
		interleave(m.panel(i), &rows)
	}
}

// fours lays chunks times 16 bytes of each block out by fours: they begin at from in a row's blocks, and go to the place
// to in the panel's. size is the size of a row's block.
func fours(dst []byte, rows *[panelRows][]byte, to, from, size, chunks int) {
	blocks := len(dst) / (size * panelRows)
	if active.interleave != nil {
		active.interleave(dst, rows, to, from, size, chunks, blocks)
		return
	}
	for b := range blocks {
		out := dst[b*size*panelRows+to:]
		for r, row := range rows {
			src := row[b*size+from : b*size+from+chunks*16]
			for g := 0; g*4 < len(src); g++ {
				copy(out[g*64+r*4:g*64+r*4+4], src[g*4:])
			}
		}
	}
}

// factors lays a half float of each block out.
func factors(dst []byte, rows *[panelRows][]byte, to, from, size int) {
	for r, row := range rows {
		out, src := dst[to+r*2:], row[from:]
		for len(src) > size && len(out) > size*panelRows {
			binary.LittleEndian.PutUint16(out, binary.LittleEndian.Uint16(src))
			out, src = out[size*panelRows:], src[size:]
		}
		binary.LittleEndian.PutUint16(out, binary.LittleEndian.Uint16(src))
	}
}

func interleaveQ8_0(dst []byte, rows *[panelRows][]byte) {
	fours(dst, rows, 0, 2, 34, 2)
	factors(dst, rows, 512, 0, 34)
}

func interleaveQ4_0(dst []byte, rows *[panelRows][]byte) {
	fours(dst, rows, 0, 2, 18, 1)
	factors(dst, rows, 256, 0, 18)
}

func interleaveQ5_0(dst []byte, rows *[panelRows][]byte) {
	fours(dst, rows, 0, 6, 22, 1)
	factors(dst, rows, 320, 0, 22)
	for r, row := range rows {
		for b := 0; b*22 < len(row); b++ {
			binary.LittleEndian.PutUint32(dst[b*352+256+r*4:], spreadBits(binary.LittleEndian.Uint32(row[b*22+2:])))
		}
	}
}

// spreadBits moves bit 4*g+i to bit g of byte i: a transposition of 8 x 4 bits.
func spreadBits(x uint32) uint32 {
	swap := func(x, mask uint32, shift int) uint32 {
		t := (x ^ x>>shift) & mask
		return x ^ t ^ t<<shift
	}
	// A bit's index is the digits g2 g1 g0 i1 i0; each step swaps two of them, and the last has i1 i0 g2 g1 g0.
	x = swap(x, 0x22222222, 1)
	x = swap(x, 0x0a0a0a0a, 3)
	x = swap(x, 0x00cc00cc, 6)
	return swap(x, 0x0000f0f0, 12)
}

func interleaveQ4_K(dst []byte, rows *[panelRows][]byte) {
	fours(dst, rows, 256, 16, 144, 8)
	factors(dst, rows, 0, 0, 144)
	factors(dst, rows, 32, 2, 144)
	scales(dst, rows, 64, 4, 144, 12)
}

func interleaveQ5_K(dst []byte, rows *[panelRows][]byte) {
	fours(dst, rows, 256, 16, 176, 2)
	fours(dst, rows, 768, 48, 176, 8)
	factors(dst, rows, 0, 0, 176)
	factors(dst, rows, 32, 2, 176)
	scales(dst, rows, 64, 4, 176, 12)
}

func interleaveQ6_K(dst []byte, rows *[panelRows][]byte) {
	fours(dst, rows, 288, 0, 210, 8)
	fours(dst, rows, 2336, 128, 210, 4)
	factors(dst, rows, 0, 208, 210)
	scales(dst, rows, 32, 192, 210, 16)
}

// scales lays n bytes of each block out in panelOrder.
func scales(dst []byte, rows *[panelRows][]byte, to, from, size, n int) {
	for b := 0; b*size < len(rows[0]); b++ {
		out := dst[b*size*panelRows+to : b*size*panelRows+to+n*panelRows]
		for at, r := range panelOrder {
			for j, s := range rows[r][b*size+from : b*size+from+n] {
				out[j*panelRows+at] = s
			}
		}
	}
}

// batch is several rows of activations in the form that panels are multiplied with, by slices of columns: of each, what
// all rows have there lies together. The part of a slice that begins at column c begins at rows * c.
type batch struct {
	q      []int8    // rows x columns of the slice
	scale  []float32 // rows x blocks
	totals []int32   // Q8_0: rows x blocks, sums of 32
	sums   []int16   // Q8_K: rows x sums of 16
	pairs  []int16   // Q8_K: rows x sums of 32
}

// sliceCols is how many columns of a panel are unpacked at a time: as bytes, a third of a first-level cache.
const sliceCols = 512

// size makes room for n rows.
func (b *batch) size(form partner, n, cols int) {
	b.q = grow(b.q, n*cols)
	if form == asQ8_K {
		b.scale, b.sums, b.pairs = grow(b.scale, n*cols/256), grow(b.sums, n*cols/16), grow(b.pairs, n*cols/32)
	} else {
		b.scale, b.totals = grow(b.scale, n*cols/32), grow(b.totals, n*cols/32)
	}
}

// set makes a the k-th of n rows.
func (b *batch) set(form partner, a *activation, k, n int) {
	for c := 0; c < len(a.q); c += sliceCols {
		width := min(sliceCols, len(a.q)-c)
		at := n*c + k*width // of q; other parts have so many fewer elements
		copy(b.q[at:at+width], a.q[c:])
		if form != asQ8_K {
			copy(b.scale[at/32:(at+width)/32], a.scale[c/32:])
			copy(b.totals[at/32:(at+width)/32], a.totals[c/32:])
			continue
		}
		copy(b.scale[at/256:(at+width)/256], a.scale[c/256:])
		copy(b.sums[at/16:(at+width)/16], a.sums[c/16:])
		for i := range width / 32 {
			b.pairs[at/32+i] = a.sums[c/16+i*2] + a.sums[c/16+i*2+1]
		}
	}
}

// slice is a worker's scratch space for a part of a panel.
type slice struct {
	unpacked [12 << 10]byte
	out, low []float32 // rows x 16: products, and those with the minimums
}

var slices = sync.Pool{New: func() any { return new(slice) }}

// multiplyPanels multiplies panels from to to-1 with n rows of activations.
func (ws *Workspace) multiplyPanels(pr *Product, from, to, n int) {
	w := pr.W
	if n == 1 || active.tiles == nil { // a panel stays in the cache for all rows of activations
		for i := from; i < to; i++ {
			r := i * panelRows
			for k := range n {
				if dst := pr.Dst[k*w.Rows : (k+1)*w.Rows]; r+panelRows <= w.Rows {
					active.panel(w.Type, w.panel(i), &ws.rows[k], dst[r:r+panelRows])
				} else {
					var out [panelRows]float32
					active.panel(w.Type, w.panel(i), &ws.rows[k], out[:])
					copy(dst[r:], out[:])
				}
			}
		}
		return
	}
	s := slices.Get().(*slice)
	defer slices.Put(s)
	for i := from; i < to; i++ {
		s.multiply(w, w.panel(i), &ws.batch, n)
		for k := range n {
			copy(pr.Dst[k*w.Rows+i*panelRows:(k+1)*w.Rows], s.out[k*panelRows:(k+1)*panelRows])
		}
	}
}

// multiply computes n x 16 products.
func (s *slice) multiply(w *Matrix, panel []byte, b *batch, n int) {
	s.out, s.low = grow(s.out, n*panelRows), grow(s.low, n*panelRows)
	clear(s.out)
	withMins := w.Type == Q4_K || w.Type == Q5_K
	if withMins {
		clear(s.low)
	}
	block, size := w.Type.BlockSize(), w.Type.BlockBytes()*panelRows
	for col := 0; col < w.Cols; col += sliceCols {
		width := min(sliceCols, w.Cols-col)
		active.tiles(tiles{kind: w.Type, panel: panel[col/block*size : (col+width)/block*size], blocks: width / block, batch: b, col: col, width: width, n: n}, s)
	}
	if withMins {
		for i, v := range s.low {
			s.out[i] -= v
		}
	}
}

// tiles is the product of a panel's slice with n rows of activations, added to a scratch space's products.
type tiles struct {
	kind          Type
	panel         []byte
	blocks        int
	batch         *batch
	col, width, n int
}
