package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
)

// raw writes a file's header by hand.
type raw struct{ bytes.Buffer }

func (r *raw) put(values ...any) *raw {
	for _, v := range values {
		if s, ok := v.(string); ok {
			r.put(uint64(len(s)))
			r.WriteString(s)
			continue
		}
		if err := binary.Write(r, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return r
}

// header begins a file.
func header(tensors, keys uint64) *raw {
	r := &raw{}
	r.WriteString("GGUF")
	return r.put(uint32(3), tensors, keys)
}

// fill makes the file n bytes longer.
func (r *raw) fill(n int) *raw { r.Write(make([]byte, n)); return r }

// TestParse_RefusesHostileFiles: each is refused with an error of the format, in little time and memory.
func TestParse_RefusesHostileFiles(t *testing.T) {
	many := uint64(1) << 63
	manyKeys := header(0, maxKeys)
	for range 3000 {
		manyKeys.put(strings.Repeat("k", 1000), uint32(typeUint8), uint8(1)) // the same key again and again
	}
	for name, tc := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":                            {nil, "ends inside"},
		"another format":                     {[]byte("PK\x03\x04 and so on"), "GGUF"},
		"big-endian":                         {append([]byte("GGUF\x00\x00\x00\x03"), make([]byte, 16)...), "big-endian"},
		"version 1":                          {append([]byte("GGUF\x01\x00\x00\x00"), make([]byte, 16)...), "version 1"},
		"2^63 tensors":                       {header(many, 0).Bytes(), "tensors"},
		"2^63 keys":                          {header(0, many).Bytes(), "keys"},
		"2^64-1 of both":                     {header(math.MaxUint64, math.MaxUint64).Bytes(), "tensors"},
		"a key of 2^63 bytes":                {header(0, 1).put(many).Bytes(), "a key"},
		"a key longer than the file":         {header(0, 1).put(uint64(1000), uint8('x')).Bytes(), "ends inside"},
		"an empty key":                       {header(0, 1).put("", uint32(typeUint8), uint8(1)).Bytes(), "empty"},
		"the same key twice":                 {manyKeys.Bytes(), "twice"},
		"an unknown value type":              {header(0, 1).put("k", uint32(99)).Bytes(), "unknown type"},
		"a string of 2^63 bytes":             {header(0, 1).put("k", uint32(typeString), many).Bytes(), "long"},
		"an array of 2^63 bytes":             {header(0, 1).put("k", uint32(typeArray), uint32(typeUint8), many).Bytes(), "elements"},
		"an array of 2^61 numbers":           {header(0, 1).put("k", uint32(typeArray), uint32(typeUint64), many/4).Bytes(), "elements"},
		"an array of arrays":                 {header(0, 1).put("k", uint32(typeArray), uint32(typeArray), uint64(1), uint32(typeArray), uint64(1)).Bytes(), "not supported"},
		"an array of strings past the end":   {header(0, 1).put("k", uint32(typeArray), uint32(typeString), uint64(1<<20), "a").Bytes(), "ends inside"},
		"arrays of too many elements":        {header(0, 2).put("a", uint32(typeArray), uint32(typeUint8), uint64(3<<20)).fill(3<<20).put("b", uint32(typeArray), uint32(typeUint8), uint64(3<<20)).fill(3 << 20).Bytes(), "all arrays together"},
		"an alignment of 0":                  {header(0, 1).put("general.alignment", uint32(typeUint32), uint32(0)).Bytes(), "alignment"},
		"an alignment of 3":                  {header(0, 1).put("general.alignment", uint32(typeUint32), uint32(3)).Bytes(), "alignment"},
		"an alignment of 2^31":               {header(0, 1).put("general.alignment", uint32(typeUint32), uint32(1<<31)).Bytes(), "alignment"},
		"a tensor of 2^32-1 dimensions":      {header(1, 0).put("t", uint32(math.MaxUint32)).Bytes(), "dimensions"},
		"a tensor of no dimensions":          {header(1, 0).put("t", uint32(0), uint32(0), uint64(0)).Bytes(), "dimensions"},
		"a dimension of 0":                   {header(1, 0).put("t", uint32(1), uint64(0), uint32(0), uint64(0)).Bytes(), "dimension"},
		"a dimension of 2^63":                {header(1, 0).put("t", uint32(1), many, uint32(0), uint64(0)).Bytes(), "dimension"},
		"dimensions whose product overflows": {header(1, 0).put("t", uint32(4), uint64(1<<30), uint64(1<<30), uint64(1<<30), uint64(1<<30), uint32(0), uint64(0)).Bytes(), "dimension"},
		"a tensor of an unknown type":        {header(1, 0).put("t", uint32(1), uint64(32), uint32(1000), uint64(0)).Bytes(), "type"},
		"rows that are no whole blocks":      {header(1, 0).put("t", uint32(1), uint64(33), uint32(kernel.Q4_0), uint64(0)).fill(64).Bytes(), "block"},
		"a tensor past the end":              {header(1, 0).put("t", uint32(1), uint64(1<<30), uint32(kernel.F32), uint64(0)).fill(64).Bytes(), "wants"},
		"an offset past the end":             {header(1, 0).put("t", uint32(1), uint64(8), uint32(kernel.F32), uint64(1<<40)).fill(128).Bytes(), "wants"},
		"an offset that overflows":           {header(1, 0).put("t", uint32(1), uint64(8), uint32(kernel.F32), uint64(math.MaxUint64-31)).fill(128).Bytes(), "wants"},
		"an offset that is not aligned":      {header(1, 0).put("t", uint32(1), uint64(8), uint32(kernel.F32), uint64(1)).fill(128).Bytes(), "alignment"},
		"overlapping tensors":                {header(2, 0).put("t", uint32(1), uint64(16), uint32(kernel.F32), uint64(0), "u", uint32(1), uint64(8), uint32(kernel.F32), uint64(32)).fill(256).Bytes(), "overlap"},
		"a tensor twice":                     {header(2, 0).put("t", uint32(1), uint64(8), uint32(kernel.F32), uint64(0), "t", uint32(1), uint64(8), uint32(kernel.F32), uint64(32)).fill(256).Bytes(), "twice"},
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := Parse(tc.file)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; took > time.Second || used > 100<<20 {
			t.Errorf("%s: it took %v and %d bytes", name, took, used)
		}
	}
}

func FuzzParse(f *testing.F) {
	b := &Builder{}
	b.Set("general.architecture", "llama")
	b.Set("n", uint32(7))
	b.Set("list", []string{"a", "b"})
	b.Set("floats", []float32{1, 2})
	b.Set("yes", true)
	b.Add("t", kernel.F32, []int{2, 2}, make([]byte, 16))
	b.Add("q", kernel.Q8_0, []int{32}, make([]byte, 34))
	var whole bytes.Buffer
	if _, err := b.WriteTo(&whole); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(header(1, 1).put("general.alignment", uint32(typeUint32), uint32(32)).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is no error of the format", err)
			}
			return
		}
		// Whatever is read must lie in the file, and every getter must do.
		for _, key := range file.Keys() {
			file.Describe(key)
			file.String(key)
			file.Uint(key)
			file.Float(key)
			file.Bool(key)
			file.Strings(key)
			file.Floats(key)
			file.Ints(key)
			file.Bools(key)
		}
		for _, tensor := range file.Tensors() {
			size := tensor.Rows() * tensor.Type.RowBytes(tensor.Dims[0])
			if len(tensor.Data) != size {
				t.Fatalf("%s %v of %s has %d bytes, not %d", tensor.Name, tensor.Dims, tensor.Type, len(tensor.Data), size)
			}
		}
	})
}
