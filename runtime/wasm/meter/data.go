package meter

import "fmt"

const (
	// mergeGap is how many zero bytes are written out rather than starting another segment.
	mergeGap = 1024
	// mergeLimit bounds the memory image that merging builds.
	mergeLimit = 16 << 20
	pageBytes  = 1 << 16
)

// rewriteData merges the data segments where that cannot be observed: all are active with constant offsets into the
// memory's initial pages, which are zero, and no instruction names a segment (no data count section). Otherwise it
// copies them.
func (m *module) rewriteData(out *Output) ([]byte, error) {
	if !m.hasSec[secData] {
		return nil, nil
	}
	r := &reader{b: m.sections[secData]}
	n := r.count(2)
	out.SegmentsIn, out.SegmentsOut = n, n
	w := appendU32(make([]byte, 0, len(r.b)+16), uint32(n))
	mergeable := m.ownMemory() && !m.namesSegments()
	limit := min(uint64(m.MinPages)*pageBytes, mergeLimit)
	var segments []Segment
	for i := 0; i < n && r.err == nil; i++ {
		kind := r.u32()
		if kind > 2 {
			r.fail("data segment kind %d", kind)
		}
		w = appendU32(w, kind)
		if kind == 2 {
			if r.u32() != 0 {
				r.fail("memory index is not 0")
			}
			w = append(w, 0)
		}
		constant := false
		var offset uint32
		if kind != 1 {
			if start := r.pos; !r.done() && r.b[start] == opI32Const {
				r.pos++
				offset = uint32(r.signed(32))
				constant = true
				r.pos = start
			}
			constExpr(r, m, &w)
		}
		data := r.take(r.u32())
		w = appendU32(w, uint32(len(data)))
		w = append(w, data...)
		mergeable = mergeable && constant && uint64(offset)+uint64(len(data)) <= limit
		if mergeable {
			segments = append(segments, Segment{offset, data})
		}
	}
	if r.err == nil && !r.done() {
		r.fail("bytes after the last segment")
	}
	if r.err != nil {
		return nil, fmt.Errorf("data: %w", r.err)
	}
	if !mergeable {
		return w, nil
	}
	merged := merge(segments)
	if !m.hasSec[secStart] {
		out.SegmentsOut, out.Data = 0, merged
		return appendU32(w[:0], 0), nil
	}
	out.SegmentsOut = len(merged)
	w = appendU32(w[:0], uint32(len(merged)))
	for _, s := range merged {
		w = append(appendS64(append(w, 0, opI32Const), int64(int32(s.Offset))), opEnd)
		w = appendU32(w, uint32(len(s.Bytes)))
		w = append(w, s.Bytes...)
	}
	return w, nil
}

// ownMemory: an imported memory may hold anything before the segments are written.
func (m *module) ownMemory() bool { return m.HasMemory && m.hasSec[secMemory] }

// namesSegments: memory.init and data.drop need a data count section, and only they do; but compilers write the
// section whether or not they use it, so look at the code as well.
func (m *module) namesSegments() bool { return m.hasSec[secDataCount] && m.dataOps }

// merge writes the segments into an image of the memory in their order and cuts it at long runs of zeros.
func merge(segments []Segment) []Segment {
	size := 0
	for _, s := range segments {
		size = max(size, int(s.Offset)+len(s.Bytes))
	}
	image := make([]byte, size)
	for _, s := range segments {
		copy(image[s.Offset:], s.Bytes)
	}
	var merged []Segment
	for i := 0; i < size; {
		if image[i] == 0 {
			i++
			continue
		}
		end, zeros := i, 0
		for j := i; j < size && zeros <= mergeGap; j++ {
			if image[j] == 0 {
				zeros++
			} else {
				zeros, end = 0, j+1
			}
		}
		merged = append(merged, Segment{uint32(i), image[i:end]})
		i = end
	}
	return merged
}
