// Package kernel holds the arithmetic of the engine on quantized rows: block formats as ggml lays them out, matrix
// products with activations quantized to each format's partner, the vector operations of a transformer, and the pool of
// workers that they run on.
//
// It knows nothing of models. Start reading at [MatMul].
//
// Source of the formats: ggml, ggml-common.h and ggml-quants.c.
package kernel

import "fmt"

// Type is a tensor's element type, with ggml's numbers.
type Type uint32

// The types.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
)

// format is the shape of a type's blocks.
type format struct {
	name         string
	block, bytes int
}

// formats are by type: kernels ask for every few thousand weights.
var formats = [...]format{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2},
	Q4_0: {"Q4_0", 32, 18}, Q4_1: {"Q4_1", 32, 20}, Q5_0: {"Q5_0", 32, 22}, Q5_1: {"Q5_1", 32, 24},
	Q8_0: {"Q8_0", 32, 34}, Q8_1: {"Q8_1", 32, 36},
	Q2_K: {"Q2_K", 256, 84}, Q3_K: {"Q3_K", 256, 110}, Q4_K: {"Q4_K", 256, 144}, Q5_K: {"Q5_K", 256, 176},
	Q6_K: {"Q6_K", 256, 210}, Q8_K: {"Q8_K", 256, 292},
	IQ2_XXS: {"IQ2_XXS", 256, 66}, IQ2_XS: {"IQ2_XS", 256, 74}, IQ3_XXS: {"IQ3_XXS", 256, 98}, IQ1_S: {"IQ1_S", 256, 50}, IQ4_NL: {"IQ4_NL", 32, 18},
	IQ3_S: {"IQ3_S", 256, 110}, IQ2_S: {"IQ2_S", 256, 82}, IQ4_XS: {"IQ4_XS", 256, 136}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4},
	27: {"I64", 1, 8}, 28: {"F64", 1, 8}, IQ1_M: {"IQ1_M", 256, 56}, TQ1_0: {"TQ1_0", 256, 54}, TQ2_0: {"TQ2_0", 256, 66}, MXFP4: {"MXFP4", 32, 17},
}

func (t Type) format() format {
	if int64(t) < int64(len(formats)) {
		return formats[t]
	}
	return format{}
}

func (t Type) String() string {
	if f := t.format(); f.block > 0 {
		return f.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// BlockSize is the number of elements in a block, 0 for a type that is not known.
func (t Type) BlockSize() int { return t.format().block }

// BlockBytes is the size of a block, 0 for a type that is not known.
func (t Type) BlockBytes() int { return t.format().bytes }

// RowBytes is the size of a row of n elements, 0 if n is no multiple of the block.
func (t Type) RowBytes(n int) int {
	f := t.format()
	if f.block == 0 || n%f.block != 0 {
		return 0
	}
	return n / f.block * f.bytes
}

// Supported says whether MatMul and Dequantize take the type.
func (t Type) Supported() bool {
	switch t {
	case F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4, TQ1_0, TQ2_0:
		return true
	}
	return codings[t] != nil
}

// Matrix is Rows rows of Cols elements, one after the other, in a type's blocks.
type Matrix struct {
	Type       Type
	Rows, Cols int
	Data       []byte

	panels *panels // nil: it stays as it is
}

// Row returns one row.
func (m *Matrix) Row(i int) []byte {
	n := m.Type.RowBytes(m.Cols)
	return m.Data[i*n : (i+1)*n]
}
