package model

import "github.com/ledge-run/ledge/runtime/slm/kernel"

// norm normalises rows: by their root mean square, or by mean and variance.
type norm struct {
	weight []float32 // nil: there is no such norm
	bias   []float32 // nil without one
	layer  bool      // mean and variance
	eps    float32
}

// apply normalises rows of x, each as long as the weights, into dst, which may be x.
func (n *norm) apply(dst, x []float32) {
	size := len(n.weight)
	for ; len(x) > 0; dst, x = dst[size:], x[size:] {
		if n.layer {
			kernel.LayerNorm(dst[:size], x[:size], n.weight, n.bias, n.eps)
			continue
		}
		kernel.RMSNorm(dst[:size], x[:size], n.weight, n.eps)
		if n.bias != nil {
			kernel.Add(dst[:size], n.bias)
		}
	}
}

// applyHeads normalises each head of a row by itself. The weights are for one head, or for all of them.
func (n *norm) applyHeads(row []float32, dim int) {
	one := norm{layer: n.layer, eps: n.eps}
	for at := 0; at < len(row); at += dim {
		from := at % len(n.weight)
		one.weight = n.weight[from : from+dim]
		if n.bias != nil {
			one.bias = n.bias[from : from+dim]
		}
		one.apply(row[at:at+dim], row[at:at+dim])
	}
}
