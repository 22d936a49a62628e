package meter

// A standard-Go module has a table of all its functions, thousands, and the engine makes two objects for each of them
// whenever it instantiates the module: most of what a new instance costs in time and memory. Where nobody changes or
// sees the table, a function can stand in for it: for each signature that is called by table one that takes the
// arguments and the index, finds the function by br_table and calls it. The table then stays empty, and the
// stand-in calls by it for an index that has no function of the signature, which traps as it did.

const (
	manyElements = 512 // fewer are left in the table
	mostElements = 1 << 14
	mostStandIns = 8   // signatures
	groupShift   = 6   // elements of a group, as a power of two: one br_table for the groups, and one in each
	standInBytes = 256 // of the stack, for a stand-in's frame
)

// standIns are the functions that stand in for the table, by signature.
type standIns struct {
	elements []int64           // function index of each element as in the original, -1 for none
	byType   map[uint32]uint32 // type of a call by table to position in types
	types    []uint32
	first    uint32 // index of the first one in the result
}

// standIn decides whether functions stand in for the table, and which. It returns nil if the table stays.
func (m *module) standIn(fs []*function) *standIns {
	if m.tables != 1 || m.impTables != 0 || m.refFunc || m.tableOps || !m.hasSec[secElement] {
		return nil
	}
	for _, e := range m.Exports {
		if e.Kind == KindTable {
			return nil
		}
	}
	s := &standIns{byType: make(map[uint32]uint32), first: uint32(len(m.typeIdx)) + 1}
	if s.elements = m.readElements(); len(s.elements) < manyElements {
		return nil
	}
	for _, f := range fs {
		for _, e := range f.edits {
			if e.kind != editIndirect {
				continue
			}
			if _, ok := s.byType[e.arg]; !ok {
				s.byType[e.arg] = uint32(len(s.types))
				s.types = append(s.types, e.arg)
			}
		}
	}
	if len(s.types) > mostStandIns {
		return nil
	}
	return s
}

// readElements returns what the table holds at the start, or nil if that is not as simple as Go has it: active segments
// of functions at constant places within the table.
func (m *module) readElements() []int64 {
	t := &reader{b: m.sections[secTable]}
	t.u32()
	if t.byte() != typeFuncref {
		return nil
	}
	size := readLimits(t)
	if t.err != nil || size > mostElements {
		return nil
	}
	elements := make([]int64, size)
	for i := range elements {
		elements[i] = -1
	}
	r := &reader{b: m.sections[secElement]}
	for n := r.count(3); n > 0 && r.err == nil; n-- {
		if r.u32() != 0 || r.byte() != opI32Const {
			return nil
		}
		at := r.signed(32)
		if r.byte() != opEnd {
			return nil
		}
		items := r.count(1)
		if at < 0 || at+int64(items) > int64(size) {
			return nil
		}
		for i := range items {
			elements[at+int64(i)] = int64(m.funcIndex(r))
		}
	}
	if r.err != nil || !r.done() {
		return nil
	}
	return elements
}

// call appends a call of the stand-in for calls of a type.
func (s *standIns) call(w []byte, typ uint32) []byte {
	return appendU32(append(w, opCall), s.first+s.byType[typ])
}

// body returns the body of a stand-in.
func (s *standIns) body(m *module, typ uint32) []byte {
	t := m.types[typ]
	index := uint32(len(t.Params))
	arguments := func(w []byte) []byte {
		for i := range index {
			w = appendU32(append(w, opLocalGet), i)
		}
		return w
	}
	groups := (len(s.elements) + 1<<groupShift - 1) >> groupShift
	w := []byte{0, opBlock, blockEmpty} // no locals; the block's end is where the table is called
	w = blocks(w, groups)
	w = appendU32(append(w, opLocalGet), index)
	w = append(w, opI32Const, groupShift, opI32ShrU, opBrTable)
	w = appendU32(w, uint32(groups))
	for g := range groups + 1 {
		w = appendU32(w, uint32(g)) // beyond them is the outermost block
	}
	for g := range groups {
		w = append(w, opEnd)
		members := s.elements[g<<groupShift : min((g+1)<<groupShift, len(s.elements))]
		var callees []int64
		for _, f := range members {
			if f >= 0 && m.sameType(m.typeIdx[f], typ) {
				callees = append(callees, f)
			}
		}
		out := uint32(len(callees) + groups - 1 - g) // the outermost block, from the innermost
		w = blocks(w, len(callees))
		w = appendU32(append(w, opLocalGet), index)
		w = append(appendS64(append(w, opI32Const), 1<<groupShift-1), opI32And, opBrTable)
		w = appendU32(w, uint32(len(members)))
		next := uint32(0)
		for _, f := range members {
			if f >= 0 && m.sameType(m.typeIdx[f], typ) {
				w = appendU32(w, next)
				next++
			} else {
				w = appendU32(w, out)
			}
		}
		w = appendU32(w, out)
		for _, f := range callees {
			w = arguments(append(w, opEnd))
			w = appendU32(append(w, opCall), m.shift(uint32(f)))
			w = append(w, opReturn)
		}
	}
	w = arguments(append(w, opEnd))
	w = appendU32(append(w, opLocalGet), index)
	w = append(appendU32(append(w, opCallIndirect), typ), 0)
	return append(w, opEnd)
}

func blocks(w []byte, n int) []byte {
	for range n {
		w = append(w, opBlock, blockEmpty)
	}
	return w
}

// sameType: signatures are compared by what they are, not by their index.
func (m *module) sameType(a, b uint32) bool { return a == b || m.types[a].Equal(m.types[b]) }
