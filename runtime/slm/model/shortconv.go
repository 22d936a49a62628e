package model

import "github.com/ledge-run/ledge/runtime/slm/kernel"

// shortConv is a gated convolution over the last few tokens in the place of attention (LFM2). A token's input to it lies
// in the cache, where attention has keys and values, so that sequences share pages and go back as with attention.
type shortConv struct {
	in, out linear
	taps    []float32 // a dimension: its weight for each of the last tokens, this one's last
}

// maxTaps is far above real models.
const maxTaps = 64

func (l *loader) shortConv(name func(string) string) *shortConv {
	c := l.c
	out := &shortConv{in: l.linear(name("shortconv.in_proj"), 3*c.Dim, c.Dim), out: l.linear(name("shortconv.out_proj"), c.Dim, c.Dim)}
	out.in.scale, out.out.scale = 1, 1
	if _, ok := l.tensor(name("shortconv.conv.weight"), c.taps, c.Dim); ok {
		out.taps = l.floats(name("shortconv.conv.weight"))
	}
	return out
}

// convolve computes the convolution of one layer for normalised rows.
func (f *pass) convolve(index int, normed, out []float32) {
	m, n := f.m, f.n
	l := m.layers[index].conv
	all := grow(&f.sc.h, n*3*m.Dim)
	f.multiply(normed, product{&l.in, all})
	l.in.scaleThenBias(all, n)
	mixed := grow(&f.sc.att, n*m.Dim)
	row, window := 0, make([]float32, m.taps*m.Dim)
	for _, in := range f.in {
		for i := range in.Tokens {
			b, c, x := all[row*3*m.Dim:][:m.Dim], all[row*3*m.Dim+m.Dim:][:m.Dim], all[row*3*m.Dim+2*m.Dim:][:m.Dim]
			for d := range b {
				b[d] *= x[d]
			}
			at := in.Seq.n + i
			in.Seq.pages[at/PageTokens].store(index, 0, 0, at%PageTokens, b)
			for t := range m.taps {
				part := window[t*m.Dim : (t+1)*m.Dim]
				if p := at - m.taps + 1 + t; p >= 0 {
					in.Seq.pages[p/PageTokens].loadRow(index, p%PageTokens, part)
				} else {
					clear(part)
				}
			}
			dst := mixed[row*m.Dim : (row+1)*m.Dim]
			for d := range dst {
				sum := float32(0)
				for t := range m.taps {
					sum += window[t*m.Dim+d] * l.taps[d*m.taps+t]
				}
				dst[d] = c[d] * sum
			}
			row++
		}
	}
	f.multiply(mixed, product{&l.out, out})
	l.out.scaleThenBias(out, n)
}

// loadRow reads what a layer's convolution keeps of a token.
func (p *Page) loadRow(layer, token int, dst []float32) {
	at, row := p.kv.at(layer, 0, 0), p.kv.places[layer].row
	at += token * row
	switch p.kv.format {
	case kernel.F32:
		copy(dst, p.f32[at:at+row])
	case kernel.F16:
		for i, h := range p.f16[at : at+row] {
			dst[i] = kernel.F16ToF32(h)
		}
	case kernel.Q8_0:
		kernel.Dequantize(kernel.Q8_0, dst, p.q8[at:at+row])
	}
}
