package meter

import (
	"math"
	"slices"
)

// How fuel is charged. A charge point is a place in the code where a constant is taken from the counter. Each
// instruction is paid at exactly one charge point, which lies before it on every path and is passed at least once for
// each time that the instruction is executed:
//
//   - a function opens one at its entry and a loop one at its header, so every cycle of the control flow graph and
//     every call passes one; where the entry leads straight to a loop, the loop's serves for both;
//   - a leaf, a short function without loops and calls, has none: its callers pay for it (see callgraph.go);
//   - code is paid at the latest point opened in an enclosing block, so both arms of an if are paid even though one of
//     them runs; to keep that excess small, a new point is opened where the present one stands for more than
//     pointLimit units;
//   - after the end of a block, the point that was current at its start is current again, because code after the end
//     may be reached by branches that never passed the points inside.

// pointLimit is the cost beyond which a charge point takes no more code. Smaller means finer accounts and more checks.
const pointLimit = 512

// maxLocals bounds the locals of a function, as the web's engines do.
const maxLocals = 50_000

type editKind byte

const (
	editCharge   editKind = iota // insert a charge of the point's cost
	editFunc                     // replace a function index
	editReturn                   // replace a return by a branch to the wrapping block
	editBytes                    // insert a charge for the i32 on the stack, as bytes
	editItems                    // as table elements
	editPages                    // as pages
	editSpill                    // before a call of the guest: the counter goes to its global
	editReload                   // after it: and comes back
	editLoop                     // replace a loop's header by that of a loop that can be left to ask for fuel
	editLoopEnd                  // and its end
	editIndirect                 // replace a call by table of a type, where a function stands in for the table
	editLabel                    // replace a label of a branch
	editLabels                   // replace the labels of a br_table
)

type edit struct {
	kind     editKind
	pos, end int    // original bytes that it replaces; equal when it inserts
	arg      uint32 // charge point, called function, function index, branch depth or index of far
	point    int32  // editSpill: the charge point that pays for the call; -1: none
	nest     uint32 // loops around it
}

// indirect is the arg of an editSpill before a call_indirect.
const indirect = math.MaxUint32

// function is the rewriting of one function body.
type function struct {
	m      *module
	r      reader
	typ    FuncType
	locals uint32 // parameters and declared
	code   int    // where the instructions begin

	edits  []edit
	points []uint64 // cost of each charge point
	cur    int      // current charge point
	ctrl   []frame
	far    [][]uint32 // for each editLabels, how far away the loops are that stand for four frames

	jump     jump   // see jump.go
	jumps    int    // that were made straight
	nest     uint32 // loops around the present place
	open4    []int  // of those, the ones that stand for four frames, as indices of ctrl
	branched bool   // the present place may be reached or left otherwise than straight from the entry
	merged   bool   // the first loop's charge point is the entry's

	dispatches bool   // all calls lie in a loop of a dispatch
	unpaid     uint64 // cost of code that no charge point pays

	instructions uint32
	deepest      uint64 // blocks around each other, at most
	loopsDeep    uint64 // loops around each other, at most
	labels       uint64 // of all its br_tables
	writes       bool   // may change what outlives the call
	calls        bool   // calls functions of the guest
	indirect     bool   // by table
	loops        bool   // has a loop
	bulk         bool   // needs the temporary for lengths

	// See callgraph.go.
	leaf, light, shallow bool
	work                 uint64 // of a light function: its cost with all that it calls
	below                int64  // of a shallow function: bytes that the frames of its callees take
	takes                int64  // bytes of the stack that are counted
	stack                stackCount
	local                bool // the counter is kept in a local; else in its global

	unrestorable bool
}

// stackCount says when a function's frame is counted: never, from its entry on, or around calls.
type stackCount byte

const (
	stackNever stackCount = iota
	stackAtEntry
	stackAtCalls
)

type frame struct {
	op    byte
	save  int // charge point that was current at the start; free: none
	four  bool
	point int // of a loop
	pos   int // of the opcode
	// dispatch is what a loop begins with, if it is that; see jump.go
	dispatch *dispatch
}

// free is the charge point of code that none pays for, up to freeLimit.
const (
	free      = -1
	freeLimit = 16
)

// maxFour is how many loops around each other stand for four frames each.
const maxFour = 8

// scan reads the body and notes what to edit.
func (f *function) scan() error {
	r := &f.r
	total := uint64(len(f.typ.Params))
	for n := r.count(2); n > 0 && r.err == nil; n-- {
		total += uint64(r.u32())
		if !isValueType(r.byte()) {
			r.fail("local of an unsupported type")
		}
		if total > maxLocals {
			r.fail("more than %d locals", maxLocals)
		}
	}
	f.locals = uint32(total)
	f.code = r.pos
	f.points = append(f.points, costPlain) // entering costs something, or chains of empty functions would be free
	for r.err == nil {
		pos := r.pos
		op := r.byte()
		f.instructions++
		f.deepest = max(f.deepest, uint64(len(f.ctrl)))
		if c := cost(op); c != 0 && op != opPrefixMisc {
			f.pay(c, pos)
		}
		switch op {
		case opBlock, opIf:
			f.blockType()
			f.branched = f.branched || op == opIf
			f.ctrl = append(f.ctrl, frame{op: op, save: f.cur, pos: pos})
			f.jump.block(op)
		case opLoop:
			f.loop(pos)
			f.jump.loop(len(f.ctrl) - 1)
		case opElse:
			if len(f.ctrl) == 0 || f.ctrl[len(f.ctrl)-1].op != opIf {
				r.fail("else without if")
				break
			}
			top := &f.ctrl[len(f.ctrl)-1]
			top.op, f.cur = opElse, top.save
			f.jump = jump{}
		case opEnd:
			if len(f.ctrl) == 0 {
				if !r.done() {
					r.fail("code after the end of the function")
				}
				return r.err
			}
			f.end(pos)
			f.jump = jump{}
		default:
			f.instruction(op, pos)
		}
	}
	return r.err
}

// loop opens a loop whose opcode is at pos.
func (f *function) loop(pos int) {
	plain := f.blockType()
	fr := frame{op: opLoop, pos: pos, save: f.cur, four: plain && len(f.open4) < maxFour}
	if !f.loops && !f.branched && len(f.points) == 1 {
		f.merged = true
		for i := range f.ctrl {
			f.ctrl[i].save = free
		}
		fr.save = free
	} else {
		f.cur = len(f.points)
		f.points = append(f.points, 0)
	}
	f.loops, f.branched = true, true
	f.nest++
	f.loopsDeep = max(f.loopsDeep, uint64(f.nest))
	f.points[f.cur] += costPlain // the branch back
	fr.point = f.cur
	if fr.four {
		f.edits = append(f.edits, edit{kind: editLoop, pos: pos, end: f.r.pos, arg: uint32(f.cur), nest: f.nest})
		f.open4 = append(f.open4, len(f.ctrl))
	} else {
		f.edits = append(f.edits, edit{kind: editCharge, pos: f.r.pos, end: f.r.pos, arg: uint32(f.cur), nest: f.nest})
	}
	f.ctrl = append(f.ctrl, fr)
}

// end closes the innermost block, whose end is at pos.
func (f *function) end(pos int) {
	fr := f.ctrl[len(f.ctrl)-1]
	f.ctrl = f.ctrl[:len(f.ctrl)-1]
	f.cur = fr.save
	if fr.op == opLoop {
		f.nest--
	}
	if fr.four {
		f.open4 = f.open4[:len(f.open4)-1]
		f.edits = append(f.edits, edit{kind: editLoopEnd, pos: pos, end: f.r.pos, arg: uint32(fr.point)})
	}
}

// pay adds to the current charge point, or opens a new one before the instruction at pos.
func (f *function) pay(c uint64, pos int) {
	switch {
	case f.cur == free:
		if f.unpaid += c; f.unpaid > freeLimit {
			f.open(pos)
			f.points[f.cur] = c
		}
		return
	case f.points[f.cur] >= pointLimit:
		f.open(pos)
	}
	f.points[f.cur] += c
}

func (f *function) open(pos int) {
	f.cur = len(f.points)
	f.points = append(f.points, 0)
	f.edits = append(f.edits, edit{kind: editCharge, pos: pos, end: pos, arg: uint32(f.cur), nest: f.nest})
	f.branched = true
}

// blockType reads a block's type and says whether the block has no parameters.
func (f *function) blockType() bool {
	r := &f.r
	t := r.signed(33)
	switch {
	case t == blockEmpty-0x80:
	case t < 0 && t >= -0x40:
		if !isValueType(byte(t & 0x7f)) {
			r.fail("block type %#x is not supported", byte(t&0x7f))
		}
	case t < 0 || t >= int64(len(f.m.types)):
		r.fail("block type %d of %d", t, len(f.m.types))
	default:
		return len(f.m.types[t].Params) == 0
	}
	return true
}

// label reads a branch's label and notes by how much it grows.
func (f *function) label() {
	pos := f.r.pos
	d := below(&f.r, uint32(len(f.ctrl))+1, "label")
	to := d
	if f.jump.isJump() && f.r.err == nil {
		to = f.straight(d)
	}
	if n := grown(to, f.distances(nil)); n != d && f.r.err == nil {
		f.edits = append(f.edits, edit{kind: editLabel, pos: pos, end: f.r.pos, arg: n})
	}
}

// distances appends how far away from here, in frames, the loops are that stand for four.
func (f *function) distances(w []uint32) []uint32 {
	for _, at := range f.open4 {
		w = append(w, uint32(len(f.ctrl)-1-at))
	}
	return w
}

// grown is what a label becomes: a branch out of a loop that stands for four frames crosses three more.
func grown(d uint32, distances []uint32) uint32 {
	n := d
	for _, far := range distances {
		if far < d {
			n += 3
		}
	}
	return n
}

// instruction reads the immediates of any other instruction.
func (f *function) instruction(op byte, pos int) {
	r := &f.r
	if !f.jump.keeps(op) {
		f.jump = jump{}
	}
	switch {
	case op >= opNumericFirst && op <= opNumericLast, op == opNop, op == opDrop, op == opSelect,
		op == opRefIsNull:
	case op == opUnreachable:
		f.branched = true
	case op == opLocalGet || op == opLocalSet || op == opLocalTee:
		f.jump.local(op, below(r, f.locals, "local"))
	case op >= opLoadFirst && op <= opStoreLast:
		f.writes = f.writes || op >= opStoreFirst
		f.memarg()
	case op == opI32Const:
		f.jump.constant(r.signed(32))
	case op == opI64Const:
		r.signed(64)
	case op == opBr || op == opBrIf:
		f.label()
		f.jump = jump{}
		f.branched = true
	case op == opBrTable:
		start := r.pos
		for n := r.count(1); n >= 0 && r.err == nil; n-- {
			f.jump.label(f, below(r, uint32(len(f.ctrl))+1, "label"))
			f.labels++
		}
		f.jump.dispatched(f)
		if len(f.open4) > 0 {
			f.edits = append(f.edits, edit{kind: editLabels, pos: start, end: r.pos, arg: uint32(len(f.far))})
			f.far = append(f.far, f.distances(make([]uint32, 0, len(f.open4))))
		}
		f.branched = true
	case op == opReturn:
		f.edits = append(f.edits, edit{kind: editReturn, pos: pos, end: r.pos, arg: grown(uint32(len(f.ctrl)), f.distances(nil))})
		f.branched = true
	case op == opCall:
		n := len(f.edits)
		if i := f.function(); i >= f.m.impFuncs {
			f.calls = true
			f.edits = slices.Insert(f.edits, n, edit{kind: editSpill, pos: pos, end: pos, arg: i, point: int32(f.cur), nest: f.nest})
			f.edits = append(f.edits, edit{kind: editReload, pos: r.pos, end: r.pos, arg: i})
		}
		f.branched = true
	case op == opRefFunc:
		f.m.refFunc = true
		f.function()
	case op == opCallIndirect:
		f.edits = append(f.edits, edit{kind: editSpill, pos: pos, end: pos, arg: indirect, point: int32(f.cur), nest: f.nest})
		typ := f.m.typeIndex(r)
		below(r, f.m.tables, "table")
		f.edits = append(f.edits, edit{kind: editIndirect, pos: pos, end: r.pos, arg: typ})
		f.calls, f.indirect, f.branched = true, true, true
		f.edits = append(f.edits, edit{kind: editReload, pos: r.pos, end: r.pos, arg: indirect})
	case op == opGlobalGet:
		f.m.globalIndex(r)
	case op == opGlobalSet:
		f.m.globalIndex(r)
		f.writes = true
	case op == opF32Const:
		r.take(4)
	case op == opF64Const:
		r.take(8)
	case op == opSelectT:
		for n := r.count(1); n > 0; n-- {
			if !isValueType(r.byte()) {
				r.fail("select of an unsupported type")
			}
		}
	case op == opTableGet:
		below(r, f.m.tables, "table")
		f.m.tableOps = true
	case op == opTableSet:
		below(r, f.m.tables, "table")
		f.writes, f.unrestorable = true, true
		f.m.tableOps = true
	case op == opMemorySize:
		f.memoryZero()
	case op == opMemoryGrow:
		f.memoryZero()
		f.length(editPages, pos)
	case op == opRefNull:
		if !isRefType(r.byte()) {
			r.fail("ref.null of an unsupported type")
		}
	case op == opPrefixMisc:
		f.misc(pos)
	case op == opPrefixSIMD:
		f.simd()
	default:
		r.fail("unknown instruction %#x", op)
	}
}

func (f *function) function() uint32 {
	pos := f.r.pos
	i := f.m.funcIndex(&f.r)
	if i >= f.m.impFuncs {
		f.edits = append(f.edits, edit{kind: editFunc, pos: pos, end: f.r.pos, arg: f.m.shift(i)})
	}
	return i
}

func (f *function) memarg() {
	if f.r.u32() >= 32 {
		f.r.fail("alignment out of range")
	}
	f.r.u32()
}

func (f *function) memoryZero() {
	if f.r.byte() != 0 {
		f.r.fail("memory index is not 0")
	}
}

// length notes an operation on as many things as the i32 on the stack says.
func (f *function) length(kind editKind, pos int) {
	f.edits = append(f.edits, edit{kind: kind, pos: pos, end: pos})
	f.writes, f.bulk = true, true
}

func (f *function) misc(pos int) {
	r := &f.r
	op := r.u32()
	if r.err != nil {
		return
	}
	price := uint64(costBulk)
	if op <= miscTruncLast {
		price = costPlain
	} else if op == miscTableGrow {
		price = costGrow
	}
	f.pay(price, pos)
	if op >= miscTableInit {
		f.m.tableOps = true
	}
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, miscTruncLast:
	case miscMemoryInit:
		r.u32()
		f.memoryZero()
		f.length(editBytes, pos)
		f.m.dataOps = true
	case miscDataDrop, miscElemDrop:
		r.u32()
		f.m.dataOps = f.m.dataOps || op == miscDataDrop
		f.writes, f.unrestorable = true, true
	case miscMemoryCopy:
		f.memoryZero()
		f.memoryZero()
		f.length(editBytes, pos)
	case miscMemoryFill:
		f.memoryZero()
		f.length(editBytes, pos)
	case miscTableInit:
		r.u32()
		below(r, f.m.tables, "table")
		f.length(editItems, pos)
		f.unrestorable = true
	case miscTableCopy:
		below(r, f.m.tables, "table")
		below(r, f.m.tables, "table")
		f.length(editItems, pos)
		f.unrestorable = true
	case miscTableGrow, miscTableFill:
		below(r, f.m.tables, "table")
		f.length(editItems, pos)
		f.unrestorable = true
	case miscTableSize:
		below(r, f.m.tables, "table")
	default:
		r.fail("unknown instruction 0xfc %d", op)
	}
}

func (f *function) simd() {
	r := &f.r
	switch op := r.u32(); {
	case op <= simdStore, op == simdLoadZeroFirst, op == simdLoadZeroLast:
		f.writes = f.writes || op == simdStore
		f.memarg()
	case op == simdConst || op == simdShuffle:
		r.take(16)
	case op >= simdLaneFirst && op <= simdLaneLast:
		r.byte()
	case op >= simdMemLaneFirst && op <= simdMemLaneLast:
		f.writes = f.writes || op >= simdStoreLane
		f.memarg()
		r.byte()
	case op <= simdLast:
	default:
		r.fail("unknown instruction 0xfd %d", op)
	}
}

// maxEngineWork bounds, in nanoseconds, what a module may cost the engine beyond what grows with its size: a few bytes
// each of nested blocks and labels keep it busy for minutes.
const maxEngineWork = 3_000_000_000

// engineWork estimates what the function costs the engine so, by times that were measured.
func (f *function) engineWork() uint64 {
	return 6*f.deepest*f.deepest + 250*f.loopsDeep*f.loopsDeep + f.labels*f.labels
}

// frameBytes estimates what a frame of the function takes of the engine's stack: parameters, locals, and a share of
// the intermediate values.
func (f *function) frameBytes() int64 {
	return 128 + 8*int64(f.locals) + 2*int64(f.instructions)
}
