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
	tensors []pending
	err     error
}

// pending is a tensor whose bytes may not be there yet.
type pending struct {
	Tensor
	size int
	make func() ([]byte, error) // nil: they are in Data
}

// Copy adds all metadata of a file but the keys for which skip is true.
func (w *Builder) Copy(f *File, skip func(key string) bool) {
	for _, key := range f.keys {
		if skip(key) {
			continue
		}
		v := f.values[key]
		u32 := binary.LittleEndian.AppendUint32
		b := appendText(w.meta, key)
		switch {
		case v.array:
			b = binary.LittleEndian.AppendUint64(u32(u32(b, uint32(typeArray)), uint32(v.kind)), uint64(v.count))
		case v.kind == typeString:
			b = binary.LittleEndian.AppendUint64(u32(b, uint32(v.kind)), uint64(len(v.data)))
		default:
			b = u32(b, uint32(v.kind))
		}
		w.meta = append(b, v.data...)
		w.keys++
	}
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
	w.tensors = append(w.tensors, pending{Tensor: Tensor{Name: name, Type: t, Dims: dims, Data: data}, size: len(data)})
}

// AddLater adds a tensor whose bytes are made when they are written, so that not all need be in memory at once.
func (w *Builder) AddLater(name string, t kernel.Type, dims []int, size int, make func() ([]byte, error)) {
	w.tensors = append(w.tensors, pending{Tensor{Name: name, Type: t, Dims: dims}, size, make})
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
		offset += padded(uint64(t.size))
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
		data := t.Data
		if t.make != nil {
			var err error
			if data, err = t.make(); err != nil {
				return total, err
			}
			if len(data) != t.size {
				return total, fmt.Errorf("gguf: the tensor %s has %d bytes, not %d", t.Name, len(data), t.size)
			}
		}
		if err := write(data); err != nil {
			return total, err
		}
	}
	return total, nil
}

func padded(n uint64) uint64 { return (n + writeAlignment - 1) / writeAlignment * writeAlignment }
