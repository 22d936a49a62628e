package straighten

// Instructions that matter here.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opI32Const     = 0x41
	opI32Eqz       = 0x45

	blockEmpty = 0x40
)

// function is a function of the form
//
//	prologue block loop block... local.get LABEL br_table... end segment0 end segment1 ... end segmentN end rest
//
// in which every jump from one segment to another is "i32.const K local.set LABEL br LOOP", alone or as all of an if. The
// first block is only there in functions with calls: a branch to its end leaves the function when the stack is unwound.
type function struct {
	body     []byte
	head     int  // the prologue ends here, the first block included
	exit     bool // there is a first block
	rest     int  // what follows the loop begins here
	label    uint32
	table    []uint32 // segment of each K, and of any other at last
	segments []segment
	broken   bool  // see cut
	roots    []int // see order
}

// segment is the code between two entries of the table.
type segment struct {
	start, end int
	jumps      []jump
	stops      bool // its end is never reached
	calls      bool // it has a call outside of blocks, after which the function may be entered again

	// See layout.go.
	jumped    bool  // a jump leads here
	number    int   // in the order in which it may be reached, from 1
	before    []int // the segments that lead to it
	dominator int
}

// jump is a jump to another segment: the bytes [start, end) of the body.
type jump struct {
	start, end int
	depth      int // blocks of the segment around it
	target     int
	maybe      bool // it is all of an if
	op         byte // not 0: a branch to the end of the first block
}

// parse returns nil for a function of another form.
func parse(body []byte) *function {
	f := &function{body: body}
	r := &reader{b: body}
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		r.u32()
		r.byte()
	}
	blocks := f.header(r)
	if blocks == 0 || r.err != nil {
		return nil
	}
	f.segments = make([]segment, blocks)
	for s := range f.segments {
		if !f.segment(r, s) {
			return nil
		}
	}
	f.rest = r.pos
	for r.err == nil && r.pos < len(body) { // what follows must not look at the label
		pos := r.pos
		if op := r.byte(); (op == opLocalGet || op == opLocalSet || op == opLocalTee) && (&reader{b: body, pos: r.pos}).u32() == f.label {
			return nil
		}
		r.pos = pos
		if !skip(r) {
			return nil
		}
	}
	if r.err != nil {
		return nil
	}
	return f
}

// header reads up to the first segment and returns the number of segments, 0 for another form.
func (f *function) header(r *reader) (blocks int) {
	for r.err == nil {
		f.head = r.pos
		switch op := r.byte(); op {
		case opBlock:
			if f.exit || r.byte() != blockEmpty || r.pos == len(r.b) || r.b[r.pos] != opLoop {
				return 0
			}
			f.exit = true
		case opLoop:
			if r.byte() != blockEmpty {
				return 0
			}
			for r.pos < len(r.b) && r.b[r.pos] == opBlock {
				r.pos++
				if r.byte() != blockEmpty {
					return 0
				}
				blocks++
			}
			if r.byte() != opLocalGet {
				return 0
			}
			f.label = r.u32()
			if r.byte() != opBrTable {
				return 0
			}
			for n := uint64(r.u32()) + 1; n > 0 && r.err == nil; n-- {
				t := r.u32()
				if int64(t) >= int64(blocks) {
					return 0
				}
				f.table = append(f.table, t)
			}
			if r.byte() != opEnd {
				return 0
			}
			return blocks
		case opIf, opElse, opEnd, opBr, opBrIf, opBrTable, opReturn, opCall, opCallIndirect:
			return 0
		case opLocalGet, opLocalSet, opLocalTee:
			r.u32() // before the loop anything may be done with the label
		default:
			r.pos = f.head
			if !skip(r) {
				return 0
			}
		}
	}
	return 0
}

// segment reads segment s with the end of the block or loop that it stands in.
func (f *function) segment(r *reader, s int) bool {
	g := &f.segments[s]
	g.start = r.pos
	outer := len(f.segments) - 1 - s // blocks around the segment, within the loop
	depth := 0
	for r.err == nil {
		start := r.pos
		switch op := r.byte(); op {
		case opBlock, opLoop:
			r.leb()
			depth++
		case opIf:
			if k, ok := f.jumpAhead(r, depth+1+outer); ok {
				g.jumps = append(g.jumps, jump{start: start, end: r.pos, depth: depth, target: f.to(k), maybe: true})
				continue
			}
			r.leb()
			depth++
		case opEnd:
			if depth == 0 {
				g.end = start
				return true
			}
			depth--
		case opI32Const:
			if k, ok := f.plainJump(r, start, depth+outer); ok {
				g.jumps = append(g.jumps, jump{start: start, end: r.pos, depth: depth, target: f.to(k)})
				g.stops = g.stops || depth == 0
				continue
			}
			r.leb()
		case opBr, opBrIf:
			g.stops = g.stops || op == opBr && depth == 0
			switch label := int64(r.u32()); {
			case label < int64(depth):
			case f.exit && label == int64(depth+outer+1):
				g.jumps = append(g.jumps, jump{start: start, end: r.pos, depth: depth, op: op})
			default:
				return false
			}
		case opBrTable:
			for n := uint64(r.u32()) + 1; n > 0 && r.err == nil; n-- {
				if int64(r.u32()) >= int64(depth) {
					return false
				}
			}
		case opReturn, opUnreachable:
			g.stops = g.stops || depth == 0
		case opCall, opCallIndirect:
			g.calls = g.calls || depth == 0
			r.pos = start
			skip(r)
		case opLocalGet, opLocalSet, opLocalTee:
			if r.u32() == f.label && (op != opLocalSet || !f.scratch(r)) {
				return false
			}
		default:
			r.pos = start
			if !skip(r) {
				return false
			}
		}
	}
	return false
}

// to is the segment that label k stands for.
func (f *function) to(k uint32) int { return int(f.table[min(int64(k), int64(len(f.table)-1))]) }

// plainJump reads a jump whose first opcode, at start, was read. The loop's label is depth.
func (f *function) plainJump(r *reader, start, depth int) (k uint32, ok bool) {
	back := r.pos
	k = r.u32()
	if r.err != nil || r.b[r.pos-1]&0x40 != 0 || r.pos-back > 4 { // negative, or large
		r.pos = back
		return 0, false
	}
	if r.byte() == opLocalSet && r.u32() == f.label && r.byte() == opBr && int64(r.u32()) == int64(depth) && r.err == nil {
		return k, true
	}
	r.pos, r.err = back, nil
	return 0, false
}

// scratch reads "i32.const 0 local.get LABEL" after a local.set LABEL: a call of a closure, which needs a place to put a
// value aside.
func (f *function) scratch(r *reader) bool {
	return r.byte() == opI32Const && r.byte() == 0 && r.byte() == opLocalGet && r.u32() == f.label
}

// jumpAhead reads an if, whose opcode was read, that is nothing but a jump.
func (f *function) jumpAhead(r *reader, depth int) (k uint32, ok bool) {
	back := r.pos
	if r.byte() == blockEmpty && r.byte() == opI32Const {
		if k, ok = f.plainJump(r, back, depth); ok && r.byte() == opEnd && r.err == nil {
			return k, true
		}
	}
	r.pos, r.err = back, nil
	return 0, false
}

// skip reads one instruction that is no block, branch or access to a local. False: it is not known.
func skip(r *reader) bool {
	switch op := r.byte(); {
	case op == opUnreachable, op == 0x01, op == opElse, op == opEnd, op == opReturn, op == 0x1a, op == 0x1b, op == 0xd1, op >= 0x45 && op <= 0xc4:
	case op == opBlock, op == opLoop, op == opIf, op == opBr, op == opBrIf, op == opCall, op >= 0x20 && op <= 0x26, op == 0xd0, op == 0xd2,
		op == 0x3f, op == 0x40, op == opI32Const, op == 0x42:
		r.leb()
	case op == opCallIndirect, op >= 0x28 && op <= 0x3e:
		r.leb()
		r.leb()
	case op == 0x43:
		r.take(4)
	case op == 0x44:
		r.take(8)
	case op == 0xfc:
		switch sub := r.u32(); {
		case sub <= 7:
		case sub == 9, sub == 11, sub == 13, sub >= 15 && sub <= 17:
			r.leb()
		case sub == 8, sub == 10, sub == 12, sub == 14:
			r.leb()
			r.leb()
		default:
			return false
		}
	default:
		return false
	}
	return r.err == nil
}
