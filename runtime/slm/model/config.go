// Package model runs transformers from GGUF files: it validates the hyperparameters and tensors of an architecture and
// computes logits for sequences of tokens with a key-value cache. Weights stay in the file's memory map.
//
// It knows nothing of text, sampling or requests. Start reading at [Load], [Model.Forward] and the table of
// architectures.
package model

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
)

// Config is what a file says of its model.
type Config struct {
	Architecture string
	Layers       int
	Dim          int // of the embedding
	Heads        int
	KVHeads      int
	HeadDim      int
	FFN          int // of one expert, where there are experts
	Experts      int // 0: none
	ExpertsUsed  int // of which a token passes so many
	Vocab        int
	Context      int // tokens the model was made for
	Eps          float32
	RopeDims     int
	Pooling      Pooling

	features
	ropes       [2]rope // for all layers, and for those with a window
	usesRope    [2]bool
	windows     []int   // a layer: tokens that a token sees, itself included; 0: all before it
	embedScale  float32 // of embeddings; 1: none
	addScale    float32 // of results before they are added
	logitScale  float32
	expertScale float32
	taps        int     // tokens that a short convolution sees
	convs       []bool  // a layer: it has one
	scoreScale  float32 // of products of queries and keys
	scoreCap    float32 // scores stay between -cap and cap; 0: no cap
	logitLimit  float32 // of logits, likewise
}

// Bounds of hyperparameters, far above real models, so that a lying file cannot make sizes overflow.
const (
	maxLayers  = 1024
	maxDim     = 1 << 17
	maxVocab   = 1 << 22
	maxContext = 1 << 24
)

// hyper reads an architecture's keys; after a fault err is set.
type hyper struct {
	f    *gguf.File
	arch string
	err  error
}

func (h *hyper) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf("%w: %s.%w", gguf.ErrFormat, h.arch, fmt.Errorf(format, args...))
	}
}

// integer reads a number from 1 to limit. One that is absent or 0 becomes absent; with absent 0 it must be there.
func (h *hyper) integer(key string, absent, limit int) int {
	n, ok := h.f.Uint(h.arch + "." + key)
	if all, array := h.f.Ints(h.arch + "." + key); array && len(all) > 0 {
		n, ok = uint64(max(all[0], 0)), true
		for _, v := range all {
			if v != all[0] {
				h.fail("%s differs from layer to layer, which is not supported", key)
			}
		}
	}
	switch {
	case !ok && absent == 0:
		h.fail("%s is missing", key)
	case !ok || n == 0 && absent > 0:
		return absent
	case n == 0 || n > uint64(limit):
		h.fail("%s is %d, not between 1 and %d", key, n, limit)
	}
	return int(min(n, uint64(limit)))
}

func (h *hyper) number(key string, absent, low, high float64) float32 {
	v, ok := h.f.Float(h.arch + "." + key)
	if !ok {
		return float32(absent)
	}
	if !(v >= low && v <= high) {
		h.fail("%s is %g, not between %g and %g", key, v, low, high)
	}
	return float32(v)
}

func readConfig(f *gguf.File) (*Config, error) {
	arch, ok := f.String("general.architecture")
	if !ok {
		return nil, fmt.Errorf("%w: general.architecture is missing", gguf.ErrFormat)
	}
	known, ok := architectures[arch]
	if !ok {
		return nil, fmt.Errorf("the architecture %.60q is not supported; supported are %s", arch, strings.Join(slices.Sorted(maps.Keys(architectures)), ", "))
	}
	h := &hyper{f: f, arch: arch}
	c := &Config{Architecture: arch, features: known, embedScale: 1, addScale: 1, logitScale: 1}
	c.Layers = h.integer("block_count", 0, maxLayers)
	c.Dim = h.integer("embedding_length", 0, maxDim)
	c.Heads = h.integer("attention.head_count", 0, maxDim)
	c.KVHeads = c.readKVHeads(h)
	c.FFN = h.integer("feed_forward_length", 0, maxDim*8)
	c.Context = h.integer("context_length", 0, maxContext)
	eps := "attention.layer_norm_rms_epsilon"
	if c.layerNorm {
		eps = "attention.layer_norm_epsilon"
	}
	c.Eps = h.number(eps, 1e-5, 0, 1)
	if h.err != nil {
		return nil, h.err
	}
	if c.Heads%c.KVHeads != 0 {
		return nil, fmt.Errorf("%w: %d heads are no multiple of %d key-value heads", gguf.ErrFormat, c.Heads, c.KVHeads)
	}
	c.HeadDim = h.integer("attention.key_length", max(c.Dim/c.Heads, 1), maxDim)
	if _, given := f.Uint(arch + ".attention.key_length"); !given && c.Dim%c.Heads != 0 {
		return nil, fmt.Errorf("%w: the embedding length %d is no multiple of the %d heads", gguf.ErrFormat, c.Dim, c.Heads)
	}
	if v := h.integer("attention.value_length", c.HeadDim, maxDim); v != c.HeadDim && h.err == nil {
		return nil, fmt.Errorf("%s.attention.value_length %d differs from the key length %d, which is not supported", arch, v, c.HeadDim)
	}
	c.readExperts(h)
	c.readScales(h)
	c.readWindows(h)
	c.readRope(h)
	c.readPooling(h)
	return c, h.err
}

// readKVHeads also finds the layers with a convolution, which have none.
func (c *Config) readKVHeads(h *hyper) int {
	const key = "attention.head_count_kv"
	each, ok := h.f.Ints(h.arch + "." + key)
	if !c.conv || !ok || h.err != nil {
		return h.integer(key, max(c.Heads, 1), maxDim)
	}
	if len(each) < c.Layers {
		h.fail("%s has %d entries for %d layers", key, len(each), c.Layers)
		return 1
	}
	c.taps = h.integer("shortconv.l_cache", 0, maxTaps)
	c.convs = make([]bool, c.Layers)
	heads := int32(0)
	for i, n := range each[:c.Layers] {
		switch {
		case n == 0:
			c.convs[i] = true
		case n < 0 || n > maxDim || heads != 0 && n != heads:
			h.fail("%s is %d and %d in layers, which is not supported", key, heads, n)
		default:
			heads = n
		}
	}
	return int(max(heads, 1))
}

// readScales reads what numbers are multiplied by, and their caps.
func (c *Config) readScales(h *hyper) {
	if c.embedRoot {
		c.embedScale = float32(math.Sqrt(float64(c.Dim)))
	}
	of := c.HeadDim
	if c.Layers == c.wide {
		of = max(c.Dim/c.Heads, 1)
	}
	c.scoreScale = float32(1 / math.Sqrt(float64(of)))
	if c.scores {
		c.scoreCap = h.number("attn_logit_softcapping", 50, 0, 1e6)
	}
	if c.capped {
		c.logitLimit = h.number("final_logit_softcapping", float64(c.logitCap), 0, 1e6)
	}
	if !c.scales {
		return
	}
	factor := func(key string, to *float32) {
		if v := h.number(key, 0, -1e6, 1e6); v != 0 {
			*to = v
		}
	}
	factor("embedding_scale", &c.embedScale)
	factor("attention.scale", &c.scoreScale)
	factor("residual_scale", &c.addScale)
	factor("logit_scale", &c.logitScale)
	if on, ok := h.f.Bool(h.arch + ".rope.scaling.finetuned"); ok && !on {
		c.rotation = rotateNone
	}
}

// readWindows finds the layers that see a sliding window only.
func (c *Config) readWindows(h *hyper) {
	c.windows = make([]int, c.Layers)
	if c.window == 0 {
		return
	}
	absent := c.windowSize
	if absent == 0 {
		absent = maxContext
	}
	size := h.integer("attention.sliding_window", absent, maxContext)
	if size == maxContext {
		return
	}
	const key = "attention.sliding_window_pattern"
	if layers, ok := h.f.Bools(h.arch + "." + key); ok {
		if len(layers) < c.Layers {
			h.fail("%s has %d entries for %d layers", key, len(layers), c.Layers)
			return
		}
		for i := range c.windows {
			if layers[i] {
				c.windows[i] = size
			}
		}
		return
	}
	pattern := h.integer(key, c.window, maxLayers)
	for i := range c.windows {
		if i%pattern < pattern-1 {
			c.windows[i] = size
		}
	}
}
