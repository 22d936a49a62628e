package model

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// ErrAdapter is the class of errors of adapters that do not fit the model.
var ErrAdapter = errors.New("the adapter does not fit this model")

// Adapter is a LoRA adapter: for some matrices W of a model a product of two small ones, so that the adapted model
// computes Wx + factor * B(Ax). It is read-only and safe for concurrent use until its file is closed.
//
// Source: Hu et al. 2021; the GGUF form is llama.cpp's (convert_lora_to_gguf.py).
type Adapter struct {
	m     *Model
	pairs map[string]*pair // by the name of the tensor that it changes
	Bytes int64
}

type pair struct {
	a, b   kernel.Matrix // rank x in, out x rank
	factor float32       // alpha / rank
}

const maxRank = 4096

// LoadAdapter reads an adapter for the model from a GGUF file of the type adapter.
func (m *Model) LoadAdapter(f *gguf.File) (*Adapter, error) {
	if t, _ := f.String("general.type"); t != "adapter" {
		return nil, fmt.Errorf("%w: general.type is %.40q, not adapter", ErrAdapter, t)
	}
	if t, _ := f.String("adapter.type"); t != "lora" {
		return nil, fmt.Errorf("%w: adapter.type is %.40q, not lora", ErrAdapter, t)
	}
	if arch, _ := f.String("general.architecture"); arch != m.Architecture {
		return nil, fmt.Errorf("%w: it is for the architecture %.40q, and the model is %s", ErrAdapter, arch, m.Architecture)
	}
	alpha, ok := f.Float("adapter.lora.alpha")
	if !ok || !(alpha > -1e6 && alpha < 1e6) {
		return nil, fmt.Errorf("%w: adapter.lora.alpha is missing or no usable number", ErrAdapter)
	}
	targets := m.adaptable()
	ad := &Adapter{m: m, pairs: map[string]*pair{}}
	for _, t := range f.Tensors() {
		name, second := strings.CutSuffix(t.Name, ".lora_b")
		if !second {
			var first bool
			if name, first = strings.CutSuffix(t.Name, ".lora_a"); !first {
				return nil, fmt.Errorf("%w: the tensor %.80q is no part of a LoRA adapter", ErrAdapter, t.Name)
			}
		}
		if _, ok := targets[name]; !ok {
			return nil, fmt.Errorf("%w: the model has no matrix %.80q that can be adapted", ErrAdapter, name)
		}
		if !t.Type.Supported() || len(t.Dims) != 2 {
			return nil, fmt.Errorf("%w: the tensor %s is %v %s", ErrAdapter, t.Name, t.Dims, t.Type)
		}
		p := ad.pairs[name]
		if p == nil {
			p = &pair{}
			ad.pairs[name] = p
		}
		w := kernel.Matrix{Type: t.Type, Rows: t.Dims[1], Cols: t.Dims[0], Data: t.Data}
		if second {
			p.b = w
		} else {
			p.a = w
		}
		ad.Bytes += int64(len(t.Data))
	}
	if len(ad.pairs) == 0 {
		return nil, fmt.Errorf("%w: it holds no tensors", ErrAdapter)
	}
	for name, p := range ad.pairs {
		w := targets[name]
		rank := p.a.Rows
		if p.a.Data == nil || p.b.Data == nil {
			return nil, fmt.Errorf("%w: one half of the pair for %s is missing", ErrAdapter, name)
		}
		if p.a.Cols != w.Cols || p.b.Rows != w.Rows || p.b.Cols != rank || rank < 1 || rank > maxRank {
			return nil, fmt.Errorf("%w: %s is %d x %d, and the pair is %d x %d and %d x %d", ErrAdapter, name, w.Rows, w.Cols, p.b.Rows, p.b.Cols, p.a.Rows, p.a.Cols)
		}
		p.factor = float32(alpha)
		if alpha != 0 {
			p.factor = float32(alpha / float64(rank))
		} else {
			p.factor = 1
		}
	}
	return ad, nil
}

// adaptable lists the shapes of the tensors that an adapter may change.
func (m *Model) adaptable() map[string]kernel.Matrix {
	out := map[string]kernel.Matrix{}
	for i := range m.layers {
		l := &m.layers[i]
		all := []*linear{&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down}
		if l.conv != nil {
			all = append(all, &l.conv.in, &l.conv.out)
		}
		for _, w := range all {
			if w.name != "" {
				out[w.name] = kernel.Matrix{Rows: max(out[w.name].Rows, w.from+w.weight.Rows), Cols: w.weight.Cols}
			}
		}
	}
	return out
}

// adapt adds what the sequences' adapters change to the rows' products with a matrix.
func (f *pass) adapt(l *linear, x, dst []float32) {
	rows, cols := l.weight.Rows, l.weight.Cols
	at := 0
	for i := 0; i < len(f.in); {
		ad, n := f.in[i].Seq.Adapter, len(f.in[i].Tokens)
		for i++; i < len(f.in) && f.in[i].Seq.Adapter == ad; i++ { // neighbours with the same adapter go together
			n += len(f.in[i].Tokens)
		}
		if ad != nil {
			if p := ad.pairs[l.name]; p != nil {
				f.addPair(p, l, x[at*cols:(at+n)*cols], dst[at*rows:(at+n)*rows], n)
			}
		}
		at += n
	}
}

func (f *pass) addPair(p *pair, l *linear, x, dst []float32, n int) {
	b := p.b
	size := b.Type.RowBytes(b.Cols)
	b.Rows, b.Data = l.weight.Rows, b.Data[l.from*size:(l.from+l.weight.Rows)*size]
	low := grow(&f.sc.low, n*(p.a.Rows+b.Rows))
	small, large := low[:n*p.a.Rows], low[n*p.a.Rows:]
	kernel.MatMul(f.p, &f.sc.ws, &p.a, small, x, n)
	kernel.MatMul(f.p, &f.sc.ws, &b, large, small, n)
	for i, v := range large {
		dst[i] += p.factor * v
	}
}
