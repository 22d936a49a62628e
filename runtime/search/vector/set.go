// Package vector finds the nearest of many unit vectors by an exact scan. Vectors are held as one signed byte for each
// value; the scan over the bytes leaves a few candidates that provably include the nearest, and these are scored again
// with their float values, which may lie on disk. The result is that of a scan over the floats.
//
// It knows nothing of documents, and of access only that rows outside [Query.Allow] must not be looked at. Start
// reading at [Set.Search].
package vector

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Sizes.
const (
	MaxDimensions = 8192
	pageRows      = 1024 // rows of one allocation; a multiple of 64
	align         = 32   // bytes a kernel takes at once
)

// Set holds vectors of one length as rows 0, 1, 2, ... It may be read by many at once; Append needs it alone.
type Set struct {
	dims, width int // width: dims rounded up to a multiple of align; what is beyond dims is zero
	pages       [][]int8
	scale       []float32 // of a row: value = scale * code
	slack       []float32 // length of what the codes miss of the row
	widest      float32   // the largest slack
	rows        int
}

// NewSet returns an empty set of vectors of dims values, 1 to MaxDimensions.
func NewSet(dims int) *Set {
	if dims < 1 || dims > MaxDimensions {
		panic(fmt.Sprintf("vector: %d dimensions", dims))
	}
	return &Set{dims: dims, width: (dims + align - 1) / align * align}
}

// Len is the number of rows.
func (s *Set) Len() int { return s.rows }

// Dimensions is the length of every vector.
func (s *Set) Dimensions() int { return s.dims }

// Bytes is the memory the set takes, nearly.
func (s *Set) Bytes() int64 {
	return int64(len(s.pages))*pageRows*int64(s.width) + 8*int64(cap(s.scale))
}

// Code is a quantized vector: value i is nearly Scale * Values[i], and the difference as a vector is Slack long.
type Code struct {
	Values []int8
	Scale  float32
	Slack  float32
}

// ErrValues means that a vector has a value that is no number.
var ErrValues = errors.New("vector: a value is not finite")

// Quantize returns the code of v. values is used for its Values if it is long enough.
func Quantize(v []float32, values []int8) (Code, error) {
	if cap(values) < len(v) {
		values = make([]int8, len(v))
	}
	values = values[:len(v)]
	var top float32
	for _, x := range v {
		if x != x || x > math.MaxFloat32 || x < -math.MaxFloat32 {
			return Code{}, ErrValues
		}
		top = max(top, x, -x)
	}
	c := Code{Values: values, Scale: top / 127}
	if top == 0 || c.Scale == 0 {
		clear(values)
		c.Scale = 0
	}
	var miss float64
	for i, x := range v {
		if c.Scale > 0 {
			values[i] = int8(min(max(math.RoundToEven(float64(x)/float64(c.Scale)), -127), 127))
		}
		d := float64(x) - float64(c.Scale)*float64(values[i])
		miss += d * d
	}
	// Rounded up: the bound must hold.
	c.Slack = math.Nextafter32(float32(math.Sqrt(miss)), math.MaxFloat32)
	return c, nil
}

// Append adds a vector and returns its row.
func (s *Set) Append(v []float32) (int, error) {
	if len(v) != s.dims {
		return 0, fmt.Errorf("vector: %d values, the set has %d", len(v), s.dims)
	}
	c, err := Quantize(v, nil)
	if err != nil {
		return 0, err
	}
	return s.AppendCode(c)
}

// AppendCode adds a vector that was quantized before and returns its row.
func (s *Set) AppendCode(c Code) (int, error) {
	if len(c.Values) != s.dims {
		return 0, fmt.Errorf("vector: %d values, the set has %d", len(c.Values), s.dims)
	}
	if !(c.Scale >= 0 && c.Scale <= math.MaxFloat32 && c.Slack >= 0 && c.Slack <= math.MaxFloat32) {
		return 0, ErrValues
	}
	if s.rows == len(s.pages)*pageRows {
		s.pages = append(s.pages, make([]int8, pageRows*s.width))
	}
	copy(s.row(s.rows), c.Values)
	s.scale, s.slack = append(s.scale, c.Scale), append(s.slack, c.Slack)
	s.widest = max(s.widest, c.Slack)
	s.rows++
	return s.rows - 1, nil
}

func (s *Set) row(i int) []int8 {
	at := i % pageRows * s.width
	return s.pages[i/pageRows][at : at+s.width]
}

// Query asks for the nearest rows.
type Query struct {
	Vector []float32
	K      int
	// Allow has a bit for each row that may be looked at; rows beyond its end may not. Nil allows all.
	Allow []uint64
	// Exact gives the float values of rows, in any order. Without it scores are those of the codes, and a row whose code
	// lies nearer may take the place of one that is nearer.
	Exact func(rows []int, each func(row int, v []float32)) error
}

// Hit is a row and its inner product with the query.
type Hit struct {
	Row   int
	Score float32
}

// Search returns the K rows with the largest inner products, largest first, equal ones by row.
func (s *Set) Search(q Query) ([]Hit, error) {
	if len(q.Vector) != s.dims {
		return nil, fmt.Errorf("vector: a query of %d values, the set has %d", len(q.Vector), s.dims)
	}
	if q.K <= 0 || s.rows == 0 {
		return nil, nil
	}
	u, err := newScanQuery(q.Vector, s.width)
	if err != nil {
		return nil, err
	}
	best := &nearest{k: q.K, reach: float32(math.Inf(-1))}
	if q.Exact != nil {
		best.bound = u.bound(s.widest)
	}
	s.scan(u, q.Allow, best)
	hits := best.finish()
	if q.Exact != nil && len(hits) > 0 {
		if err := rescore(hits, &q); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(hits, compareHits)
	return hits[:min(len(hits), q.K)], nil
}

func compareHits(a, b Hit) int {
	switch {
	case a.Score > b.Score:
		return -1
	case a.Score < b.Score:
		return 1
	}
	return a.Row - b.Row
}

func rescore(hits []Hit, q *Query) error {
	rows := make([]int, len(hits))
	at := make(map[int]int, len(hits))
	for i, h := range hits {
		rows[i], at[h.Row] = h.Row, i
	}
	missing := len(rows)
	err := q.Exact(rows, func(row int, v []float32) {
		if i, ok := at[row]; ok && len(v) == len(q.Vector) {
			hits[i].Score = Dot(q.Vector, v)
			missing--
		}
	})
	if err == nil && missing > 0 {
		err = fmt.Errorf("vector: %d of %d candidates have no float values", missing, len(rows))
	}
	return err
}

// scanQuery is a query in the form that kernels take: 15 bits a value, so that its own rounding hardly counts.
type scanQuery struct {
	values []int16
	scale  float32
	slack  float32 // length of what the values miss
	length float32
}

func newScanQuery(v []float32, width int) (*scanQuery, error) {
	var top float32
	var length float64
	for _, x := range v {
		if x != x || x > math.MaxFloat32 || x < -math.MaxFloat32 {
			return nil, ErrValues
		}
		top = max(top, x, -x)
		length += float64(x) * float64(x)
	}
	// The sum of a row's products is below 2^31 as long as |code| * |query| is, and both are at most as long as all of
	// their values at the top.
	limit := math.Floor(float64(math.MaxInt32) / 128 / float64(width))
	limit = min(limit, 16383)
	u := &scanQuery{values: make([]int16, width), scale: top / float32(limit), length: float32(math.Sqrt(length))}
	var miss float64
	for i, x := range v {
		if u.scale > 0 {
			u.values[i] = int16(min(max(math.RoundToEven(float64(x)/float64(u.scale)), -limit), limit))
		}
		d := float64(x) - float64(u.scale)*float64(u.values[i])
		miss += d * d
	}
	u.slack = float32(math.Sqrt(miss)) * 1.0001
	return u, nil
}

// scan offers every allowed row to best. Rows that are not allowed are not read.
func (s *Set) scan(u *scanQuery, allow []uint64, best *nearest) {
	var dots [64]int32
	for base := 0; base < s.rows; base += 64 {
		n := min(64, s.rows-base)
		mask := ^uint64(0) >> (64 - n)
		if allow != nil {
			if base/64 >= len(allow) {
				return
			}
			mask &= allow[base/64]
		}
		page := s.pages[base/pageRows]
		for mask != 0 {
			// One run of rows at a time.
			from := bits.TrailingZeros64(mask)
			run := bits.TrailingZeros64(^(mask >> from))
			at := (base%pageRows + from) * s.width
			dotRows(dots[:run], page[at:at+run*s.width], u.values, s.width)
			for i, d := range dots[:run] {
				row := base + from + i
				scale := s.scale[row]
				score := float32(d) * scale * u.scale
				if score < best.reach { // by far the most rows
					continue
				}
				best.offer(row, score)
			}
			if from+run == 64 {
				break
			}
			mask &^= (1<<run - 1) << from
		}
	}
}

// bound is how far a row's score may lie from its exact one: |<v,u> - <v',u'>| <= |v-v'| |u| + |v'| |u-u'|, and a little
// for the arithmetic here.
func (u *scanQuery) bound(slack float32) float32 {
	return slack*u.length + (1+slack)*u.slack + 1e-5*u.length
}

// nearest keeps the rows that may be among the k nearest.
type nearest struct {
	k          int
	bound      float32   // how far a score may lie from the exact one
	top        []float32 // heap, least first: the k largest scores so far
	reach      float32   // a row that scores less is not among the k nearest
	candidates []Hit
}

// offer takes a row whose score lies within bound of its exact one.
func (b *nearest) offer(row int, score float32) {
	b.candidates = append(b.candidates, Hit{row, score})
	switch {
	case len(b.top) < b.k:
		b.top = append(b.top, score)
		for i := len(b.top) - 1; i > 0 && b.top[i] < b.top[(i-1)/2]; i = (i - 1) / 2 {
			b.top[i], b.top[(i-1)/2] = b.top[(i-1)/2], b.top[i]
		}
	case score > b.top[0]:
		b.top[0] = score
		b.sink()
	default:
		return
	}
	if len(b.top) == b.k {
		b.reach = b.top[0] - 2*b.bound
	}
	if len(b.candidates) > 64*b.k+4096 {
		b.prune()
	}
}

func (b *nearest) sink() {
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(b.top); c++ {
			if b.top[c] < b.top[least] {
				least = c
			}
		}
		if least == i {
			return
		}
		b.top[i], b.top[least] = b.top[least], b.top[i]
		i = least
	}
}

// prune drops candidates that turned out to be too far.
func (b *nearest) prune() {
	b.candidates = slices.DeleteFunc(b.candidates, func(h Hit) bool { return h.Score < b.reach })
}

func (b *nearest) finish() []Hit {
	b.prune()
	return b.candidates
}

// Dot is the inner product of two vectors of equal length.
func Dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// dotRowsGo is the kernel in plain Go: the inner products of the query with consecutive rows.
func dotRowsGo(dst []int32, codes []int8, query []int16, width int) {
	for r := range dst {
		row := codes[r*width : (r+1)*width]
		q := query[:len(row)]
		var sum int32
		for i, c := range row {
			sum += int32(c) * int32(q[i])
		}
		dst[r] = sum
	}
}

// Cosine is nearly the inner product of two rows, by their codes.
func (s *Set) Cosine(i, j int) float32 {
	var sum int32
	b := s.row(j)
	for k, c := range s.row(i) {
		sum += int32(c) * int32(b[k])
	}
	return float32(sum) * s.scale[i] * s.scale[j]
}
