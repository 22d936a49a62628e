package quantize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Recipe says which tensor gets which type. The zero value is none; see RecipeOf.
type Recipe struct {
	Name     string
	base     kernel.Type
	fileType uint32 // general.file_type, as llama.cpp numbers it
}

var recipes = []Recipe{
	{"F32", kernel.F32, 0}, {"F16", kernel.F16, 1}, {"BF16", kernel.BF16, 32},
	{"Q4_0", kernel.Q4_0, 2}, {"Q4_1", kernel.Q4_1, 3}, {"Q5_0", kernel.Q5_0, 8}, {"Q5_1", kernel.Q5_1, 9}, {"Q8_0", kernel.Q8_0, 7},
	{"Q2_K", kernel.Q2_K, 10}, {"Q2_K_S", kernel.Q2_K, 21}, {"Q3_K_S", kernel.Q3_K, 11}, {"Q3_K_M", kernel.Q3_K, 12}, {"Q3_K_L", kernel.Q3_K, 13},
	{"Q4_K_S", kernel.Q4_K, 14}, {"Q4_K_M", kernel.Q4_K, 15}, {"Q5_K_S", kernel.Q5_K, 16}, {"Q5_K_M", kernel.Q5_K, 17}, {"Q6_K", kernel.Q6_K, 18},
	{"IQ4_NL", kernel.IQ4_NL, 25}, {"IQ4_XS", kernel.IQ4_XS, 30},
	{"MXFP4", kernel.MXFP4, 38}, {"MXFP4_MOE", kernel.MXFP4, 38}, // of experts alone; llama.cpp has this one only
}

// Names lists the recipes.
func Names() []string {
	var out []string
	for _, r := range recipes {
		out = append(out, r.Name)
	}
	return out
}

// RecipeOf finds a recipe by name, in any case. Q3_K, Q4_K and Q5_K mean the medium mix, as in llama.cpp.
func RecipeOf(name string) (Recipe, error) {
	upper := strings.ToUpper(name)
	switch upper {
	case "Q3_K", "Q4_K", "Q5_K":
		upper += "_M"
	}
	if i := slices.IndexFunc(recipes, func(r Recipe) bool { return r.Name == upper }); i >= 0 {
		return recipes[i], nil
	}
	return Recipe{}, fmt.Errorf("%q is no type to quantize to; these are: %s", name, strings.Join(Names(), ", "))
}

// plan gives types to the tensors of one file, in their order. The mixes are those of llama.cpp (llama-quant.cpp) without
// an importance matrix.
type plan struct {
	Recipe
	values, downs   int // attn_v and ffn_down tensors of the file
	value, down     int // those seen
	grouped         int // query heads a key head
	experts, layers int
	tied            bool
}

func newPlan(r Recipe, f *gguf.File) *plan {
	p := &plan{Recipe: r, tied: true, grouped: 1}
	for _, t := range f.Tensors() {
		switch {
		case strings.HasSuffix(t.Name, "attn_v.weight"), strings.HasSuffix(t.Name, "attn_qkv.weight"):
			p.values++
		case strings.Contains(t.Name, "ffn_down"):
			p.downs++
		case t.Name == "output.weight":
			p.tied = false
		}
	}
	arch, _ := f.String("general.architecture")
	number := func(key string) int {
		n, _ := f.Uint(arch + "." + key)
		return int(min(n, 1<<20))
	}
	p.layers, p.experts = number("block_count"), number("expert_count")
	p.downs = max(p.downs, 1)
	if p.experts > 0 {
		p.downs = p.layers
	}
	if kv := number("attention.head_count_kv"); kv > 0 {
		p.grouped = number("attention.head_count") / kv
	}
	return p
}

// moreBits says whether a layer is among those that a medium mix treats better: the first and last eighth, and every
// third between.
func moreBits(i, n int) bool { return i < n/8 || i >= 7*n/8 || (i-n/8)%3 == 2 }

// quantizable says whether a tensor is a matrix whose rounding does little harm.
func quantizable(t *gguf.Tensor) bool {
	if len(t.Dims) < 2 || !strings.HasSuffix(t.Name, "weight") {
		return false
	}
	for _, part := range []string{"_norm.weight", "ffn_gate_inp.weight", "altup", "laurel", "per_layer_model_proj", "position_embd.weight", "token_types.weight",
		"ssm_conv1d.weight", "shortconv.conv.weight", "attn_rel_b.weight"} {
		if strings.Contains(t.Name, part) {
			return false
		}
	}
	return true
}

// typeOf is the type that a tensor gets.
func (p *plan) typeOf(t *gguf.Tensor) kernel.Type {
	if !quantizable(t) {
		return t.Type
	}
	to := p.base
	switch to {
	case kernel.F32, kernel.F16, kernel.BF16:
		return to
	}
	n := t.Dims[0]
	switch {
	case p.Name == "MXFP4_MOE":
		if len(t.Dims) < 3 || t.Dims[2] == 1 {
			to = kernel.Q8_0
		}
	case t.Name == "output.weight" || p.tied && t.Name == "token_embd.weight":
		if n%to.BlockSize() != 0 || to == kernel.MXFP4 {
			to = kernel.Q8_0
		} else if to != kernel.Q8_0 {
			to = kernel.Q6_K
		}
	case strings.Contains(t.Name, "attn_v.weight"):
		to = p.valueType()
		p.value++
	case strings.Contains(t.Name, "attn_k.weight"):
		if p.experts == 8 {
			to = kernel.Q8_0
		}
	case strings.Contains(t.Name, "ffn_down"):
		to = p.downType(t.Name)
		p.down++
	case strings.Contains(t.Name, "attn_output.weight"):
		to = p.outputType()
	case strings.Contains(t.Name, "attn_qkv.weight"):
		switch p.Name {
		case "Q3_K_M", "Q3_K_L":
			to = kernel.Q4_K
		case "Q4_K_M":
			to = kernel.Q5_K
		case "Q5_K_M":
			to = kernel.Q6_K
		}
	}
	return fallback(to, n)
}

func (p *plan) valueType() kernel.Type {
	to := p.base
	switch p.Name {
	case "Q2_K":
		if to = kernel.Q3_K; p.grouped >= 4 {
			to = kernel.Q4_K
		}
	case "Q2_K_S":
		if p.grouped >= 4 {
			to = kernel.Q4_K
		}
	case "Q3_K_M":
		if to = kernel.Q4_K; p.value < 2 {
			to = kernel.Q5_K
		}
	case "Q3_K_L":
		to = kernel.Q5_K
	case "IQ4_NL", "IQ4_XS":
		if p.grouped >= 4 {
			to = kernel.Q5_K
		}
	case "Q4_K_M", "Q5_K_M":
		if moreBits(p.value, p.values) {
			to = kernel.Q6_K
		}
	case "Q4_K_S":
		if p.value < 4 {
			to = kernel.Q5_K
		}
	}
	if p.experts == 8 {
		to = kernel.Q8_0
	}
	return to
}

func (p *plan) downType(name string) kernel.Type {
	i := p.down
	if p.experts > 0 { // several tensors a layer: the layer is in the name
		if n, err := fmt.Sscanf(name, "blk.%d.", &i); n != 1 || err != nil {
			i = p.down
		}
	}
	n := p.downs
	switch p.Name {
	case "Q2_K":
		return kernel.Q3_K
	case "Q2_K_S":
		if i < n/8 {
			return kernel.Q4_K
		}
	case "Q3_K_M":
		if i < n/16 {
			return kernel.Q5_K
		}
		return kernel.Q4_K
	case "Q3_K_L":
		return kernel.Q5_K
	case "Q4_K_M", "Q5_K_M":
		if moreBits(i, n) {
			return kernel.Q6_K
		}
	case "Q4_K_S", "IQ4_NL", "IQ4_XS":
		if i < n/8 {
			return kernel.Q5_K
		}
	}
	return p.base
}

func (p *plan) outputType() kernel.Type {
	if p.experts == 8 {
		switch p.Name {
		case "Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS":
			return kernel.Q5_K
		}
		return p.base
	}
	switch p.Name {
	case "Q2_K":
		return kernel.Q3_K
	case "Q3_K_M":
		return kernel.Q4_K
	case "Q3_K_L":
		return kernel.Q5_K
	}
	return p.base
}

// fallback is a type whose blocks fit rows of n elements.
func fallback(to kernel.Type, n int) kernel.Type {
	if n%to.BlockSize() == 0 {
		return to
	}
	switch to {
	case kernel.Q2_K, kernel.Q3_K, kernel.IQ4_XS:
		to = kernel.IQ4_NL
	case kernel.Q4_K:
		to = kernel.Q5_0
	case kernel.Q5_K:
		to = kernel.Q5_1
	case kernel.Q6_K:
		to = kernel.Q8_0
	}
	if n%to.BlockSize() != 0 {
		return kernel.F16
	}
	return to
}
