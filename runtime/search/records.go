package search

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ledge-run/ledge/runtime/search/vector"
)

// Names of a tenant's records. A document's text and index are written under a version of their own, and count once its
// record names that version.
//
//	'C'                        what the index was made with
//	'D' | id                   document, JSON
//	'G'                        generation: a number that grows with every change
//	'P' | id | '/' | version   a version that is being written or dropped
//	'T' | id | '/' | version | '/' | number (4, BE)   text, textBlock bytes each
//	'I' | id | '/' | version | '/' | number           index of blockChunks chunks
//	'V' | id | '/' | version | '/' | number           one chunk: headings, parent and float values
const (
	recordConfig     = 'C'
	recordDocument   = 'D'
	recordGeneration = 'G'
	recordPending    = 'P'
	recordText       = 'T'
	recordIndex      = 'I'
	recordVector     = 'V'
)

const (
	textBlock   = 32 << 10
	blockChunks = 64
)

func documentName(id string) []byte { return append([]byte{recordDocument}, id...) }

func versionName(kind byte, id, version string) []byte {
	b := make([]byte, 0, len(id)+len(version)+8)
	b = append(append(b, kind), id...)
	b = append(b, '/')
	return append(b, version...)
}

func partName(kind byte, id, version string, n int) []byte {
	return binary.BigEndian.AppendUint32(append(versionName(kind, id, version), '/'), uint32(n))
}

// cutPart takes apart the name of a record of a version.
func cutPart(name []byte) (id, version string, n int, ok bool) {
	if len(name) < 6 {
		return "", "", 0, false
	}
	n = int(binary.BigEndian.Uint32(name[len(name)-4:]))
	if name = name[1 : len(name)-4]; name[len(name)-1] != '/' {
		return "", "", 0, false
	}
	name = name[:len(name)-1]
	for i, c := range name {
		if c == '/' {
			return string(name[:i]), string(name[i+1:]), n, true
		}
	}
	return "", "", 0, false
}

// errRecord means that a record of the index does not say what it should.
var errRecord = errors.New("a record of the index is damaged")

// indexed is one chunk as the index holds it.
type indexed struct {
	start, end int
	length     int // in terms
	counts     []count
	code       vector.Code
}

// appendIndexed appends the record of a chunk: start and end, length, scale, slack, the codes, the number of terms, and
// five bytes and a count for each.
func appendIndexed(b []byte, c *indexed) []byte {
	b = binary.AppendUvarint(b, uint64(c.start))
	b = binary.AppendUvarint(b, uint64(c.end))
	b = binary.AppendUvarint(b, uint64(c.length))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(c.code.Scale))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(c.code.Slack))
	for _, v := range c.code.Values {
		b = append(b, byte(v))
	}
	b = binary.AppendUvarint(b, uint64(len(c.counts)))
	for _, t := range c.counts {
		b = append(b, byte(t.term), byte(t.term>>8), byte(t.term>>16), byte(t.term>>24), byte(t.term>>32), t.n)
	}
	return b
}

// cutIndexed reads the next chunk of a block into c, whose slices are used again.
func cutIndexed(b []byte, dims int, c *indexed) ([]byte, error) {
	for _, dst := range []*int{&c.start, &c.end, &c.length} {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt32 {
			return nil, errRecord
		}
		*dst, b = int(v), b[n:]
	}
	if len(b) < 8+dims || c.start > c.end {
		return nil, errRecord
	}
	c.code.Scale = math.Float32frombits(binary.LittleEndian.Uint32(b))
	c.code.Slack = math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
	b = b[8:]
	if len(c.code.Values) != dims {
		c.code.Values = make([]int8, dims)
	}
	for i, v := range b[:dims] {
		c.code.Values[i] = int8(v)
	}
	b = b[dims:]
	terms, n := binary.Uvarint(b)
	if n <= 0 || terms > uint64(len(b)-n)/6 {
		return nil, errRecord
	}
	b = b[n:]
	c.counts = c.counts[:0]
	for range terms {
		t := termID(b[0]) | termID(b[1])<<8 | termID(b[2])<<16 | termID(b[3])<<24 | termID(b[4])<<32
		c.counts = append(c.counts, count{t, b[5]})
		b = b[6:]
	}
	return b, nil
}

// hasParent is set in the number of headings where a parent stands before them.
const hasParent = 1 << 20

// appendVector appends the record of a chunk's place, its headings and its parent, and its float values.
func appendVector(b []byte, c *Chunk, v []float32) []byte {
	n := uint64(len(c.Heading))
	if c.Parent != nil {
		n |= hasParent
	}
	b = binary.AppendUvarint(b, n)
	if p := c.Parent; p != nil {
		for _, v := range []int{p.ID, p.Start, p.End} {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	for _, h := range c.Heading {
		b = append(binary.AppendUvarint(b, uint64(len(h))), h...)
	}
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// cutPlace reads headings and parent and returns what follows: the float values.
func cutPlace(b []byte) (heading []string, parent *Parent, values []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n&^hasParent > uint64(len(b)) {
		return nil, nil, nil, errRecord
	}
	b = b[size:]
	if n&hasParent != 0 {
		n &^= hasParent
		parent = &Parent{}
		for _, dst := range []*int{&parent.ID, &parent.Start, &parent.End} {
			v, size := binary.Uvarint(b)
			if size <= 0 || v > math.MaxInt32 {
				return nil, nil, nil, errRecord
			}
			*dst, b = int(v), b[size:]
		}
		if parent.Start > parent.End {
			return nil, nil, nil, errRecord
		}
	}
	for range n {
		l, size := binary.Uvarint(b)
		if size <= 0 || l > uint64(len(b)-size) {
			return nil, nil, nil, errRecord
		}
		heading = append(heading, string(b[size:size+int(l)]))
		b = b[size+int(l):]
	}
	return heading, parent, b, nil
}

// floats decodes the values behind the headings into v.
func floats(b []byte, v []float32) error {
	_, _, b, err := cutPlace(b)
	if err != nil || len(b) != 4*len(v) {
		return fmt.Errorf("%w: float values", errRecord)
	}
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return nil
}
