// Package gguf reads model files in GGUF, versions 2 and 3, through a read-only memory map, and writes small ones.
// Every length, count and offset is checked against the file's size before anything is allocated: a file that lies is
// refused with a message, and never makes the reader panic, over-allocate or read outside.
//
// The package knows nothing of architectures. Start reading at [Open].
//
// Source: the GGUF specification in the ggml project, docs/gguf.md.
package gguf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// Bounds of what is read. Real files stay far below.
const (
	maxKeys      = 1 << 16
	maxTensors   = 1 << 16
	maxName      = 1 << 16 // bytes of a key or tensor name
	maxString    = 1 << 26 // bytes of a string value: chat templates, merges
	maxElements  = 1 << 22 // of all arrays together
	maxDims      = 4
	maxAlignment = 1 << 16
)

// ErrFormat is the class of every error about a file's content.
var ErrFormat = errors.New("not a valid GGUF file")

func badf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrFormat, fmt.Errorf(format, args...))
}

// valueType is the type of a metadata value.
type valueType uint32

const (
	typeUint8 valueType = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// width is the size of a fixed-size value in bytes, 0 for the others.
func (t valueType) width() uint64 {
	switch t {
	case typeUint8, typeInt8, typeBool:
		return 1
	case typeUint16, typeInt16:
		return 2
	case typeUint32, typeInt32, typeFloat32:
		return 4
	case typeUint64, typeInt64, typeFloat64:
		return 8
	}
	return 0
}

// value is where a metadata value lies. For an array, kind is the elements' type.
type value struct {
	kind  valueType
	array bool
	count int
	data  []byte // of the value, or of all elements with their lengths
}

// Tensor is one tensor of the file. Dims are in ggml's order: the first is the length of a row.
type Tensor struct {
	Name string
	Type kernel.Type
	Dims []int
	Data []byte // in the memory map: valid until Close, never to be written
}

// Rows is the number of rows.
func (t *Tensor) Rows() int {
	n := 1
	for _, d := range t.Dims[1:] {
		n *= d
	}
	return n
}

// File is an open model file. It is safe for concurrent use until Close.
type File struct {
	version uint32
	bytes   []byte
	unmap   func() error
	keys    []string
	values  map[string]value
	tensors []Tensor
	byName  map[string]int
	parts   []part // the further files of a split model
}

// Open maps the file and reads its metadata and tensor table; the tensors themselves are not touched. Of a model that is
// split into several files it takes the first, and finds the others beside it.
func Open(path string) (*File, error) {
	b, unmap, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(b)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unmap())
	}
	f.unmap = unmap
	if err := f.openParts(path); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// Close ends the memory map. Tensor data must not be used afterwards.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	err := f.unmap()
	for _, p := range f.parts {
		err = errors.Join(err, p.unmap())
	}
	f.unmap, f.parts = nil, nil
	return err
}

// reader walks the header. After a fault err is set and everything it returns is zero.
type reader struct {
	b        []byte
	at       uint64
	elements uint64
	err      error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = badf(format, args...)
	}
}

func (r *reader) take(n uint64, what string) []byte {
	if r.err != nil {
		return nil
	}
	if left := uint64(len(r.b)) - r.at; n > left {
		r.fail("it ends inside %s: %d bytes wanted at offset %d, %d left", what, n, r.at, left)
		return nil
	}
	out := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return out
}

func (r *reader) u32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text(limit uint64, what string) []byte {
	n := r.u64(what)
	if n > limit {
		r.fail("%s is %d bytes long, more than %d", what, n, limit)
		return nil
	}
	return r.take(n, what)
}

// Parse reads a file that lies in memory. The result refers to b.
func Parse(b []byte) (*File, error) {
	r := &reader{b: b}
	if string(r.take(4, "the magic")) != "GGUF" && r.err == nil {
		return nil, badf("it does not begin with GGUF")
	}
	f := &File{bytes: b, values: map[string]value{}, byName: map[string]int{}}
	if f.version = r.u32("the version"); r.err == nil && f.version != 2 && f.version != 3 {
		if f.version&0xffff == 0 && f.version != 0 {
			return nil, badf("it is in big-endian byte order, which is not supported")
		}
		return nil, badf("version %d is not supported; 2 and 3 are", f.version)
	}
	tensors, keys := r.u64("the number of tensors"), r.u64("the number of keys")
	if tensors > maxTensors {
		r.fail("it claims %d tensors, more than %d", tensors, maxTensors)
	}
	if keys > maxKeys {
		r.fail("it claims %d keys, more than %d", keys, maxKeys)
	}
	for i := uint64(0); i < keys && r.err == nil; i++ {
		f.readKey(r)
	}
	if r.err == nil {
		f.readTensors(r, int(tensors))
	}
	if r.err != nil {
		return nil, r.err
	}
	return f, nil
}

func (f *File) readKey(r *reader) {
	name := string(r.text(maxName, "a key"))
	if r.err == nil && name == "" {
		r.fail("a key is empty")
	}
	what := "the value of " + clip(name)
	v := value{kind: valueType(r.u32(what))}
	switch {
	case v.kind == typeArray:
		v.array, v.kind = true, valueType(r.u32(what))
		count := r.u64(what)
		if r.elements += count; count > maxElements || r.elements > maxElements {
			r.fail("%s claims %d elements; all arrays together may have %d", what, count, maxElements)
		}
		v.count = int(count)
		start := r.at
		switch {
		case v.kind == typeString:
			for i := uint64(0); i < count && r.err == nil; i++ {
				r.text(maxString, what)
			}
		case v.kind.width() > 0:
			r.take(count*v.kind.width(), what)
		default:
			r.fail("%s is an array of type %d, which is not supported", what, v.kind)
		}
		if r.err == nil {
			v.data = r.b[start:r.at]
		}
	case v.kind == typeString:
		v.data = r.text(maxString, what)
	case v.kind.width() > 0:
		v.data = r.take(v.kind.width(), what)
	default:
		r.fail("%s has the unknown type %d", what, v.kind)
	}
	if r.err != nil {
		return
	}
	if _, twice := f.values[name]; twice {
		r.fail("the key %s appears twice", clip(name))
		return
	}
	f.keys = append(f.keys, name)
	f.values[name] = v
}

// span is where a tensor lies, relative to the start of the data.
type span struct {
	start, size uint64
	tensor      int
}

func (f *File) readTensors(r *reader, count int) {
	alignment := uint64(32)
	if a, ok := f.Uint("general.alignment"); ok {
		alignment = a
	}
	if alignment == 0 || alignment > maxAlignment || alignment&(alignment-1) != 0 {
		r.fail("general.alignment is %d; it must be a power of two up to %d", alignment, maxAlignment)
		return
	}
	spans := make([]span, 0, min(count, 1024))
	for i := range count {
		t, s := readTensor(r)
		if r.err != nil {
			return
		}
		if _, twice := f.byName[t.Name]; twice {
			r.fail("the tensor %s appears twice", clip(t.Name))
			return
		}
		if s.start%alignment != 0 {
			r.fail("the tensor %s begins at %d, which is no multiple of the alignment %d", clip(t.Name), s.start, alignment)
			return
		}
		s.tensor = i
		f.byName[t.Name] = i
		f.tensors = append(f.tensors, t)
		spans = append(spans, s)
	}
	base := (r.at + alignment - 1) / alignment * alignment
	size := uint64(len(r.b))
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	end := uint64(0)
	for i, s := range spans {
		t := &f.tensors[s.tensor]
		if base > size || s.start > size-base || s.size > size-base-s.start {
			r.fail("the tensor %s wants %d bytes at %d, and the file ends at %d", clip(t.Name), s.size, s.start, int64(size)-int64(base))
			return
		}
		if i > 0 && s.start < end {
			r.fail("the tensors %s and %s overlap", clip(f.tensors[spans[i-1].tensor].Name), clip(t.Name))
			return
		}
		end = s.start + s.size
		t.Data = r.b[base+s.start : base+s.start+s.size : base+s.start+s.size]
	}
}

func readTensor(r *reader) (t Tensor, s span) {
	t.Name = string(r.text(maxName, "a tensor's name"))
	what := "the tensor " + clip(t.Name)
	dims := r.u32(what)
	if r.err == nil && (dims == 0 || dims > maxDims) {
		r.fail("%s has %d dimensions; 1 to %d are supported", what, dims, maxDims)
	}
	elements := uint64(1)
	for range dims {
		d := r.u64(what)
		if r.err != nil {
			return t, s
		}
		if d == 0 || d > math.MaxInt32 || elements > math.MaxInt64/64/d {
			r.fail("%s has a dimension of %d", what, d)
			return t, s
		}
		elements *= d
		t.Dims = append(t.Dims, int(d))
	}
	t.Type = kernel.Type(r.u32(what))
	s.start = r.u64(what)
	if r.err != nil {
		return t, s
	}
	block, size := uint64(t.Type.BlockSize()), uint64(t.Type.BlockBytes())
	if block == 0 {
		r.fail("%s has the type %d, which is not known", what, uint32(t.Type))
		return t, s
	}
	if uint64(t.Dims[0])%block != 0 {
		r.fail("%s has rows of %d, no multiple of the %d elements in a block of %s", what, t.Dims[0], block, t.Type)
		return t, s
	}
	s.size = elements / block * size
	return t, s
}

// clip keeps a name from the file short and printable in an error.
func clip(name string) string {
	if len(name) > 60 {
		name = name[:60] + "..."
	}
	return fmt.Sprintf("%q", name)
}
