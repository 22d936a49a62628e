package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// PageTokens is how many tokens' keys and values a page holds.
const PageTokens = 32

// KV hands out pages for the keys and values of a model's sequences, all of one element type. It is safe for concurrent
// use.
//
// A page holds every layer's rows of PageTokens tokens. The order is layer, then keys before values, then head, then
// token, then dimension, so that what one head of one layer needs lies together:
//
//	layer 0 [ keys: head 0 [ token 0 [dim 0 ...] token 1 ... ] head 1 ... | values: ... ] layer 1 ...
type KV struct {
	m      *Model
	format kernel.Type
	row    int // units of storage of one head's row: elements, or bytes for Q8_0
	places []place
	size   int // units of a page
	bytes  int // of a token
	mu     sync.Mutex
	free   []*Page
	live   atomic.Int64
}

// Page is a part of the keys and values of one sequence or, when several begin alike, of many. Pages that several hold
// are not written to.
type Page struct {
	kv   *KV
	refs atomic.Int32
	f32  []float32
	f16  []uint16
	q8   []byte
}

// place is where a layer's rows lie in a page: a row of each head's keys and values a token, or one row of a convolution.
type place struct{ start, row, rows int }

// NewKV returns a source of pages with elements of the type F32, F16 or Q8_0.
func (m *Model) NewKV(format kernel.Type) (*KV, error) {
	kv := &KV{m: m, format: format, row: m.HeadDim}
	switch format {
	case kernel.F32, kernel.F16:
	case kernel.Q8_0:
		if m.HeadDim%32 != 0 {
			return nil, fmt.Errorf("a KV cache of the type Q8_0 needs heads of a multiple of 32 dimensions; this model has %d: use F16", m.HeadDim)
		}
		kv.row = kernel.Q8_0.RowBytes(m.HeadDim)
	default:
		return nil, fmt.Errorf("a KV cache of the type %s is not supported; F32, F16 and Q8_0 are", format)
	}
	for i := range m.layers {
		p, dim := place{kv.size, kv.row, 2 * m.KVHeads}, m.HeadDim
		if m.layers[i].conv != nil {
			p, dim = place{kv.size, m.Dim, 1}, m.Dim
			if format == kernel.Q8_0 {
				if p.row = format.RowBytes(dim); p.row == 0 {
					return nil, fmt.Errorf("a KV cache of the type Q8_0 needs a multiple of 32 dimensions; this model has %d: use F16", dim)
				}
			}
		}
		kv.places = append(kv.places, p)
		kv.size += PageTokens * p.row * p.rows
		kv.bytes += p.rows * format.RowBytes(dim)
	}
	return kv, nil
}

// Format is the type of the elements.
func (kv *KV) Format() kernel.Type { return kv.format }

// BytesPerToken is what one token takes.
func (kv *KV) BytesPerToken() int64 {
	return int64(kv.bytes)
}

// PageBytes is the size of a page.
func (kv *KV) PageBytes() int64 { return kv.BytesPerToken() * PageTokens }

// Pages is the number of pages that are held.
func (kv *KV) Pages() int { return int(kv.live.Load()) }

func (kv *KV) units() int { return kv.size }

// NewPage returns a page that the caller holds. What it contains is undefined.
func (kv *KV) NewPage() *Page {
	kv.live.Add(1)
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if n := len(kv.free); n > 0 {
		p := kv.free[n-1]
		kv.free = kv.free[:n-1]
		p.refs.Store(1)
		return p
	}
	p := &Page{kv: kv}
	p.refs.Store(1)
	switch kv.format {
	case kernel.F32:
		p.f32 = make([]float32, kv.units())
	case kernel.F16:
		p.f16 = make([]uint16, kv.units())
	case kernel.Q8_0:
		p.q8 = make([]byte, kv.units())
	}
	return p
}

// Trim gives memory of pages that nobody holds back to Go's heap.
func (kv *KV) Trim() {
	kv.mu.Lock()
	kv.free = nil
	kv.mu.Unlock()
}

// Retain makes one more holder.
func (p *Page) Retain() *Page { p.refs.Add(1); return p }

// Release ends a hold; the last one gives the page back.
func (p *Page) Release() {
	if n := p.refs.Add(-1); n > 0 {
		return
	} else if n < 0 {
		panic("model: a page was released twice")
	}
	p.kv.live.Add(-1)
	p.kv.mu.Lock()
	p.kv.free = append(p.kv.free, p)
	p.kv.mu.Unlock()
}

// Shared says whether somebody else holds the page too.
func (p *Page) Shared() bool { return p.refs.Load() > 1 }

// copyTokens copies the rows of the first n tokens.
func (p *Page) copyTokens(from *Page, n int) {
	for _, l := range p.kv.places {
		for i := range l.rows {
			at := l.start + i*PageTokens*l.row
			switch p.kv.format {
			case kernel.F32:
				copy(p.f32[at:at+n*l.row], from.f32[at:])
			case kernel.F16:
				copy(p.f16[at:at+n*l.row], from.f16[at:])
			case kernel.Q8_0:
				copy(p.q8[at:at+n*l.row], from.q8[at:])
			}
		}
	}
}

// AppendBytes appends the page's contents in little-endian order: PageBytes bytes.
func (p *Page) AppendBytes(b []byte) []byte {
	for _, v := range p.f32 {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	for _, v := range p.f16 {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return append(b, p.q8...)
}

// SetBytes fills a page with what AppendBytes wrote.
func (p *Page) SetBytes(b []byte) error {
	if int64(len(b)) != p.kv.PageBytes() {
		return fmt.Errorf("model: %d bytes for a page of %d", len(b), p.kv.PageBytes())
	}
	for i := range p.f32 {
		p.f32[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[i*4:]))
	}
	for i := range p.f16 {
		p.f16[i] = binary.LittleEndian.Uint16(b[i*2:])
	}
	copy(p.q8, b)
	return nil
}

// at is where a head's rows begin; part is 0 for keys and 1 for values.
func (kv *KV) at(layer, part, head int) int {
	p := &kv.places[layer]
	return p.start + (part*kv.m.KVHeads+head)*PageTokens*p.row
}

// store writes one head's row of a token.
func (p *Page) store(layer, part, head, token int, row []float32) {
	size := p.kv.places[layer].row
	at := p.kv.at(layer, part, head) + token*size
	switch p.kv.format {
	case kernel.F32:
		copy(p.f32[at:at+len(row)], row)
	case kernel.F16:
		kernel.ToHalf(p.f16[at:at+len(row)], row)
	case kernel.Q8_0:
		storeQ8(p.q8[at:at+size], row)
	}
}

// load returns one head's first n rows as float32, in buf if they are not already.
func (p *Page) load(layer, part, head, n int, buf []float32) []float32 {
	at, dim := p.kv.at(layer, part, head), p.kv.m.HeadDim
	buf = buf[:n*dim]
	switch p.kv.format {
	case kernel.F32:
		return p.f32[at : at+n*dim]
	case kernel.F16:
		kernel.FromHalf(buf, p.f16[at:at+n*dim])
	case kernel.Q8_0:
		kernel.Dequantize(kernel.Q8_0, buf, p.q8[at:at+n*p.kv.row])
	}
	return buf
}

// storeQ8 quantizes a row to Q8_0 as ggml does: blocks of 32 with a half float for scale.
func storeQ8(dst []byte, row []float32) {
	for b := 0; b*32 < len(row); b++ {
		block, out := row[b*32:b*32+32], dst[b*34:b*34+34]
		largest := float32(0)
		for _, v := range block {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		d := largest / 127
		inverse := float32(0)
		if d != 0 {
			inverse = 1 / d
		}
		binary.LittleEndian.PutUint16(out, kernel.F32ToF16(d))
		for i, v := range block {
			out[2+i] = byte(int8(math.Round(float64(v * inverse))))
		}
	}
}

// Sequence is one conversation's tokens in the cache. It is not safe for concurrent use.
type Sequence struct {
	kv      *KV
	pages   []*Page
	n       int // tokens so far
	Adapter *Adapter
}

// NewSequence returns an empty sequence. Pages are taken as tokens come.
func (kv *KV) NewSequence() *Sequence { return &Sequence{kv: kv} }

// Len is the number of tokens in the cache.
func (s *Sequence) Len() int { return s.n }

// Page returns the page of index i; the sequence goes on holding it.
func (s *Sequence) Page(i int) *Page { return s.pages[i] }

// Share appends a full page that somebody else filled for the same tokens. The sequence must end at a page's border.
func (s *Sequence) Share(p *Page) {
	if s.n%PageTokens != 0 {
		panic("model: a page is shared only at a border")
	}
	s.pages = append(s.pages, p.Retain())
	s.n += PageTokens
}

// Replace puts a page with the same contents in the place of the one of index i.
func (s *Sequence) Replace(i int, p *Page) {
	if s.pages[i] != p {
		s.pages[i].Release()
		s.pages[i] = p.Retain()
	}
}

// CopyFrom appends the first n tokens of a page that somebody else filled. The sequence must end at a page's border.
func (s *Sequence) CopyFrom(p *Page, n int) {
	if s.n%PageTokens != 0 || n >= PageTokens {
		panic("model: a part of a page is copied only at a border")
	}
	own := s.kv.NewPage()
	own.copyTokens(p, n)
	s.pages = append(s.pages, own)
	s.n += n
}

// Truncate forgets all but the first n tokens.
func (s *Sequence) Truncate(n int) {
	if n >= s.n {
		return
	}
	keep := (n + PageTokens - 1) / PageTokens
	for _, p := range s.pages[keep:] {
		p.Release()
	}
	s.pages, s.n = s.pages[:keep], n
}

// Release gives all pages back; the sequence is empty after it.
func (s *Sequence) Release() {
	for _, p := range s.pages {
		p.Release()
	}
	s.pages, s.n = nil, 0
}

// reserve makes sure that the pages of n more tokens are there and that nobody else sees them change.
func (s *Sequence) reserve(n int) {
	if at := s.n / PageTokens; s.n%PageTokens != 0 && s.pages[at].Shared() {
		own := s.kv.NewPage()
		own.copyTokens(s.pages[at], s.n%PageTokens)
		s.pages[at].Release()
		s.pages[at] = own
	}
	for len(s.pages)*PageTokens < s.n+n {
		s.pages = append(s.pages, s.kv.NewPage())
	}
}
