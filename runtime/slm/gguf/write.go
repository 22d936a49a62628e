package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Builder collects metadata and tensors and writes them as a version 3 file.
type Builder struct {
	meta    []byte
	keys    int
	tensors []Tensor
	err     error
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// Set adds a metadata value: string, bool, uint32, int32, uint64, float32, []string, []float32, []int32.
func (w *Builder) Set(key string, v any) {
	b := appendText(w.meta, key)
	u32 := binary.LittleEndian.AppendUint32
	array := func(t valueType, n int) []byte {
		return binary.LittleEndian.AppendUint64(u32(u32(b, uint32(typeArray)), uint32(t)), uint64(n))
	}
	switch v := v.(type) {
	case string:
		b = appendText(u32(b, uint32(typeString)), v)
	case bool:
		b = append(u32(b, uint32(typeBool)), 0)
		if v {
			b[len(b)-1] = 1
		}
	case uint32:
		b = u32(u32(b, uint32(typeUint32)), v)
	case int32:
		b = u32(u32(b, uint32(typeInt32)), uint32(v))
	case uint64:
		b = binary.LittleEndian.AppendUint64(u32(b, uint32(typeUint64)), v)
	case float32:
		b = u32(u32(b, uint32(typeFloat32)), math.Float32bits(v))
	case []string:
		b = array(typeString, len(v))
		for _, s := range v {
			b = appendText(b, s)
		}
	case []float32:
		b = array(typeFloat32, len(v))
		for _, x := range v {
			b = u32(b, math.Float32bits(x))
		}
	case []int32:
		b = array(typeInt32, len(v))
		for _, x := range v {
			b = u32(b, uint32(x))
		}
	default:
		w.err = fmt.Errorf("gguf: %s has a value of type %T", key, v)
		return
	}
	w.meta = b
	w.keys++
}

// Add adds a tensor; dims as in Tensor.
func (w *Builder) Add(name string, t kernel.Type, dims []int, data []byte) {
	w.tensors = append(w.tensors, Tensor{Name: name, Type: t, Dims: dims, Data: data})
}

const writeAlignment = 32

// WriteTo writes the file.
func (w *Builder) WriteTo(out io.Writer) (int64, error) {
	if w.err != nil {
		return 0, w.err
	}
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(w.tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(w.keys))
	b = append(b, w.meta...)
	offset := uint64(0)
	for _, t := range w.tensors {
		b = binary.LittleEndian.AppendUint32(appendText(b, t.Name), uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = binary.LittleEndian.AppendUint64(b, uint64(d))
		}
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(b, uint32(t.Type)), offset)
		offset += padded(uint64(len(t.Data)))
	}
	total := int64(0)
	write := func(b []byte) error {
		n, err := out.Write(b)
		total += int64(n)
		if err == nil {
			n, err = out.Write(make([]byte, padded(uint64(len(b)))-uint64(len(b))))
			total += int64(n)
		}
		return err
	}
	if err := write(b); err != nil {
		return total, err
	}
	for _, t := range w.tensors {
		if err := write(t.Data); err != nil {
			return total, err
		}
	}
	return total, nil
}

func padded(n uint64) uint64 { return (n + writeAlignment - 1) / writeAlignment * writeAlignment }
