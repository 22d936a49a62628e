package meter

import "slices"

// How fuel is charged. A charge point is a place in the code where a constant is taken from the counter. Each
// instruction is paid at exactly one charge point, which lies before it on every path and is passed at least once for
// each time that the instruction is executed:
//
//   - a function opens one at its entry and a loop one at its header, so every cycle of the control flow graph and
//     every call passes one;
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
	editCharge editKind = iota // insert a charge of the point's cost
	editFunc                   // replace a function index
	editReturn                 // replace a return by a branch to the wrapping block
	editBytes                  // insert a charge for the i32 on the stack, as bytes
	editItems                  // as table elements
	editPages                  // as pages
	editSpill                  // before a call of the guest: the counter goes to its global
	editReload                 // after it: and comes back
)

type edit struct {
	kind     editKind
	pos, end int    // original bytes that it replaces; equal when it inserts
	arg      uint32 // charge point, function index or branch depth
}

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

	instructions uint32
	writes       bool // may change what outlives the call
	calls        bool // calls functions of the guest
	loops        bool // has a loop: the counter is kept in a local, since a global costs a loop a load and a store
	bulk         bool // needs the temporary for lengths
	unrestorable bool
}

type frame struct {
	op   byte
	save int // charge point that was current at the start
}

func (f *function) reset(m *module, typ FuncType, body []byte) {
	*f = function{m: m, r: reader{b: body}, typ: typ, edits: f.edits[:0], points: f.points[:0], ctrl: f.ctrl[:0]}
}

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
	f.edits = append(f.edits, edit{editCharge, r.pos, r.pos, 0})
	for r.err == nil {
		pos := r.pos
		op := r.byte()
		f.instructions++
		if c := cost(op); c != 0 && op != opPrefixMisc {
			f.pay(c, pos)
		}
		switch op {
		case opBlock, opIf:
			f.blockType()
			f.ctrl = append(f.ctrl, frame{op, f.cur})
		case opLoop:
			f.blockType()
			f.ctrl = append(f.ctrl, frame{op, f.cur})
			f.loops = true
			f.open(r.pos)
			f.points[f.cur] = costPlain // the branch back
		case opElse:
			if len(f.ctrl) == 0 || f.ctrl[len(f.ctrl)-1].op != opIf {
				r.fail("else without if")
				break
			}
			top := &f.ctrl[len(f.ctrl)-1]
			top.op, f.cur = opElse, top.save
		case opEnd:
			if len(f.ctrl) == 0 {
				if !r.done() {
					r.fail("code after the end of the function")
				}
				return r.err
			}
			f.cur = f.ctrl[len(f.ctrl)-1].save
			f.ctrl = f.ctrl[:len(f.ctrl)-1]
		default:
			f.instruction(op, pos)
		}
	}
	return r.err
}

// pay adds to the current charge point, or opens a new one before the instruction at pos.
func (f *function) pay(c uint64, pos int) {
	if f.points[f.cur] >= pointLimit {
		f.open(pos)
	}
	f.points[f.cur] += c
}

func (f *function) open(pos int) {
	f.cur = len(f.points)
	f.points = append(f.points, 0)
	f.edits = append(f.edits, edit{editCharge, pos, pos, uint32(f.cur)})
}

func (f *function) blockType() {
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
	}
}

// instruction reads the immediates of any other instruction.
func (f *function) instruction(op byte, pos int) {
	r := &f.r
	switch {
	case op >= opNumericFirst && op <= opNumericLast, op == opUnreachable, op == opNop, op == opDrop, op == opSelect,
		op == opRefIsNull:
	case op == opLocalGet || op == opLocalSet || op == opLocalTee:
		below(r, f.locals, "local")
	case op >= opLoadFirst && op <= opStoreLast:
		f.writes = f.writes || op >= opStoreFirst
		f.memarg()
	case op == opI32Const:
		r.signed(32)
	case op == opI64Const:
		r.signed(64)
	case op == opBr || op == opBrIf:
		below(r, uint32(len(f.ctrl))+1, "label")
	case op == opBrTable:
		for n := r.count(1); n >= 0 && r.err == nil; n-- {
			below(r, uint32(len(f.ctrl))+1, "label")
		}
	case op == opReturn:
		f.edits = append(f.edits, edit{editReturn, pos, r.pos, uint32(len(f.ctrl))})
	case op == opCall:
		n := len(f.edits)
		if i := f.function(); i >= f.m.impFuncs {
			f.calls = true
			f.edits = slices.Insert(f.edits, n, edit{editSpill, pos, pos, 0})
			f.edits = append(f.edits, edit{editReload, r.pos, r.pos, 0})
		}
	case op == opRefFunc:
		f.function()
	case op == opCallIndirect:
		f.edits = append(f.edits, edit{editSpill, pos, pos, 0})
		f.m.typeIndex(r)
		below(r, f.m.tables, "table")
		f.calls = true
		f.edits = append(f.edits, edit{editReload, r.pos, r.pos, 0})
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
	case op == opTableSet:
		below(r, f.m.tables, "table")
		f.writes, f.unrestorable = true, true
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
		f.edits = append(f.edits, edit{editFunc, pos, f.r.pos, f.m.shift(i)})
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
	f.edits = append(f.edits, edit{kind, pos, pos, 0})
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

// frameBytes estimates what a frame of the function takes of the engine's stack: parameters, locals, and a share of
// the intermediate values.
func (f *function) frameBytes() int64 {
	return 128 + 8*int64(f.locals) + 2*int64(f.instructions)
}
