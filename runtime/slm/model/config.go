// Package model runs transformers from GGUF files: it validates the hyperparameters and tensors of an architecture and
// computes logits for sequences of tokens with a key-value cache. Weights stay in the file's memory map.
//
// It knows nothing of text, sampling or requests. Start reading at [Load] and [Model.Forward].
package model

import (
	"fmt"
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
	FFN          int
	Vocab        int
	Context      int // tokens the model was made for
	Eps          float32
	RopeDims     int
	RopeBase     float32
	RopeScale    float32 // linear scaling: positions are divided by it
	RopeNeox     bool    // rotates halves, not neighbours
}

// architectures lists what can be run, and whether RoPE rotates halves.
var architectures = map[string]bool{"llama": false, "qwen2": true}

// Bounds of hyperparameters, far above real models, so that a lying file cannot make sizes overflow.
const (
	maxLayers  = 1024
	maxDim     = 1 << 17
	maxVocab   = 1 << 22
	maxContext = 1 << 24
)

func readConfig(f *gguf.File) (*Config, error) {
	arch, ok := f.String("general.architecture")
	if !ok {
		return nil, fmt.Errorf("%w: general.architecture is missing", gguf.ErrFormat)
	}
	neox, ok := architectures[arch]
	if !ok {
		var known []string
		for name := range architectures {
			known = append(known, name)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("the architecture %.60q is not supported; supported are %s", arch, strings.Join(known, ", "))
	}
	c := &Config{Architecture: arch, RopeNeox: neox, RopeScale: 1}
	var err error
	integer := func(key string, absent, limit int, to *int) {
		n, ok := f.Uint(arch + "." + key)
		switch {
		case err != nil:
		case !ok && absent > 0:
			*to = absent
		case !ok:
			err = fmt.Errorf("%w: %s.%s is missing", gguf.ErrFormat, arch, key)
		case n == 0 || n > uint64(limit):
			err = fmt.Errorf("%w: %s.%s is %d, not between 1 and %d", gguf.ErrFormat, arch, key, n, limit)
		default:
			*to = int(n)
		}
	}
	number := func(key string, absent, low, high float64, to *float32) {
		v, ok := f.Float(arch + "." + key)
		switch {
		case err != nil:
		case !ok:
			*to = float32(absent)
		case !(v >= low && v <= high):
			err = fmt.Errorf("%w: %s.%s is %g, not between %g and %g", gguf.ErrFormat, arch, key, v, low, high)
		default:
			*to = float32(v)
		}
	}
	integer("block_count", 0, maxLayers, &c.Layers)
	integer("embedding_length", 0, maxDim, &c.Dim)
	integer("attention.head_count", 0, maxDim, &c.Heads)
	integer("attention.head_count_kv", max(c.Heads, 1), maxDim, &c.KVHeads)
	integer("feed_forward_length", 0, maxDim*8, &c.FFN)
	integer("context_length", 0, maxContext, &c.Context)
	number("attention.layer_norm_rms_epsilon", 1e-5, 0, 1, &c.Eps)
	number("rope.freq_base", 10000, 1, 1e12, &c.RopeBase)
	if err != nil {
		return nil, err
	}
	if c.Heads%c.KVHeads != 0 {
		return nil, fmt.Errorf("%w: %d heads are no multiple of %d key-value heads", gguf.ErrFormat, c.Heads, c.KVHeads)
	}
	integer("attention.key_length", max(c.Dim/c.Heads, 1), maxDim, &c.HeadDim)
	integer("rope.dimension_count", c.HeadDim, maxDim, &c.RopeDims)
	if err != nil {
		return nil, err
	}
	if _, given := f.Uint(arch + ".attention.key_length"); !given && c.Dim%c.Heads != 0 {
		return nil, fmt.Errorf("%w: the embedding length %d is no multiple of the %d heads", gguf.ErrFormat, c.Dim, c.Heads)
	}
	if v, ok := f.Uint(arch + ".attention.value_length"); ok && v != uint64(c.HeadDim) {
		return nil, fmt.Errorf("%s.attention.value_length %d differs from the key length %d, which is not supported", arch, v, c.HeadDim)
	}
	if c.RopeDims > c.HeadDim || c.RopeDims%2 != 0 {
		return nil, fmt.Errorf("%w: RoPE over %d dimensions of a head of %d", gguf.ErrFormat, c.RopeDims, c.HeadDim)
	}
	return c, readRopeScaling(f, c)
}

func readRopeScaling(f *gguf.File, c *Config) error {
	kind, _ := f.String(c.Architecture + ".rope.scaling.type")
	factor, ok := f.Float(c.Architecture + ".rope.scaling.factor")
	if !ok {
		factor, ok = f.Float(c.Architecture + ".rope.scale_linear")
		if ok && kind == "" {
			kind = "linear"
		}
	}
	switch kind {
	case "", "none":
		return nil
	case "linear":
		if !ok || factor == 0 {
			return nil
		}
		if !(factor >= 1e-3 && factor <= 1e6) || math.IsNaN(factor) {
			return fmt.Errorf("%w: a RoPE scaling factor of %g", gguf.ErrFormat, factor)
		}
		c.RopeScale = float32(factor)
		return nil
	}
	return fmt.Errorf("RoPE scaling of the type %.40q is not supported; linear is", kind)
}
