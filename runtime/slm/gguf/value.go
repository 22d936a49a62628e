package gguf

import (
	"encoding/binary"
	"io"
	"math"
)

// Version is the format's version: 2 or 3.
func (f *File) Version() int { return int(f.version) }

// Size is the file's size in bytes, all parts of a split model together.
func (f *File) Size() int64 {
	n := int64(len(f.bytes))
	for _, p := range f.parts {
		n += int64(len(p.bytes))
	}
	return n
}

// WriteTo writes the whole file, for hashing; of a split model one part after the other.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	all, err := w.Write(f.bytes)
	total := int64(all)
	for _, p := range f.parts {
		if err != nil {
			break
		}
		all, err = w.Write(p.bytes)
		total += int64(all)
	}
	return total, err
}

// Keys lists the metadata in the order of the file.
func (f *File) Keys() []string { return f.keys }

// Tensors lists the tensors in the order of the file.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor returns the tensor of a name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

func (f *File) scalar(key string) (value, bool) {
	v, ok := f.values[key]
	return v, ok && !v.array
}

// String returns a string value.
func (f *File) String(key string) (string, bool) {
	v, ok := f.scalar(key)
	if !ok || v.kind != typeString {
		return "", false
	}
	return string(v.data), true
}

// Uint returns an integer value that is not negative, whatever its width.
func (f *File) Uint(key string) (uint64, bool) {
	v, ok := f.scalar(key)
	if !ok {
		return 0, false
	}
	n, ok := integer(v.kind, v.data)
	return uint64(n), ok && (n >= 0 || v.kind == typeUint64)
}

// integer reads an integer of any width; a uint64 above the range of int64 keeps its bits.
func integer(kind valueType, b []byte) (int64, bool) {
	switch kind {
	case typeUint8:
		return int64(b[0]), true
	case typeInt8:
		return int64(int8(b[0])), true
	case typeUint16:
		return int64(binary.LittleEndian.Uint16(b)), true
	case typeInt16:
		return int64(int16(binary.LittleEndian.Uint16(b))), true
	case typeUint32:
		return int64(binary.LittleEndian.Uint32(b)), true
	case typeInt32:
		return int64(int32(binary.LittleEndian.Uint32(b))), true
	case typeUint64, typeInt64:
		return int64(binary.LittleEndian.Uint64(b)), true
	}
	return 0, false
}

func float(kind valueType, b []byte) (float64, bool) {
	switch kind {
	case typeFloat32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), true
	case typeFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), true
	}
	n, ok := integer(kind, b)
	return float64(n), ok
}

// Float returns a number.
func (f *File) Float(key string) (float64, bool) {
	v, ok := f.scalar(key)
	if !ok {
		return 0, false
	}
	return float(v.kind, v.data)
}

// Bool returns a truth value.
func (f *File) Bool(key string) (bool, bool) {
	v, ok := f.scalar(key)
	if !ok || v.kind != typeBool {
		return false, false
	}
	return v.data[0] != 0, true
}

// Strings returns an array of strings.
func (f *File) Strings(key string) ([]string, bool) {
	v, ok := f.values[key]
	if !ok || !v.array || v.kind != typeString {
		return nil, false
	}
	all := string(v.data) // one copy that the elements share, since the map ends with Close
	out := make([]string, v.count)
	for i, at := 0, 0; i < v.count; i++ {
		n := int(binary.LittleEndian.Uint64(v.data[at:]))
		out[i] = all[at+8 : at+8+n]
		at += 8 + n
	}
	return out, true
}

// Floats returns an array of numbers.
func (f *File) Floats(key string) ([]float32, bool) {
	v, ok := f.values[key]
	if !ok || !v.array || v.kind.width() == 0 || v.kind == typeBool {
		return nil, false
	}
	out := make([]float32, v.count)
	w := int(v.kind.width())
	for i := range out {
		x, _ := float(v.kind, v.data[i*w:])
		out[i] = float32(x)
	}
	return out, true
}

// Ints returns an array of integers; one that does not fit an int32 is clamped.
func (f *File) Ints(key string) ([]int32, bool) {
	v, ok := f.values[key]
	if !ok || !v.array {
		return nil, false
	}
	if _, ok := integer(v.kind, make([]byte, 8)); !ok {
		return nil, false
	}
	out := make([]int32, v.count)
	w := int(v.kind.width())
	for i := range out {
		n, _ := integer(v.kind, v.data[i*w:])
		out[i] = int32(min(max(n, math.MinInt32), math.MaxInt32))
	}
	return out, true
}

// Bools returns an array of truth values; integers are true unless they are 0.
func (f *File) Bools(key string) ([]bool, bool) {
	v, ok := f.values[key]
	if !ok || !v.array || v.kind.width() == 0 {
		return nil, false
	}
	out := make([]bool, v.count)
	w := int(v.kind.width())
	for i := range out {
		for _, b := range v.data[i*w : (i+1)*w] {
			out[i] = out[i] || b != 0
		}
	}
	return out, true
}

// Describe returns a value as a person may read it, long ones cut short.
func (f *File) Describe(key string) any {
	v, ok := f.values[key]
	switch {
	case !ok:
		return nil
	case v.array:
		return map[string]any{"array": v.count}
	case v.kind == typeString:
		if len(v.data) > 200 {
			return string(v.data[:200]) + "..."
		}
		return string(v.data)
	case v.kind == typeBool:
		return v.data[0] != 0
	case v.kind == typeUint64:
		return binary.LittleEndian.Uint64(v.data)
	}
	if n, ok := integer(v.kind, v.data); ok {
		return n
	}
	x, _ := float(v.kind, v.data)
	return x
}
