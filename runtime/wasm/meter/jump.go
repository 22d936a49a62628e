package meter

// Go compiles a function into a loop that begins with as many blocks as there are places to jump to, and a br_table in
// the innermost: whoever jumps puts the number of a place into a local and goes back to the loop. A jump to a place that
// lies ahead can as well leave the block that ends there, which costs neither the charge at the loop's header nor the
// br_table. The local is still set, so nothing else changes.
//
// What is passed by is paid all the same: the way from one pass of a loop's header to the next leads through each
// instruction once at most, and the charge at the header is for all that no later point pays.

// dispatch is the beginning of a loop: blocks, and a br_table by a local in the innermost.
type dispatch struct {
	local  uint32
	places []place // where each number leads; the last one stands for all above
}

// place is a block that was open at the br_table, by its index in ctrl and its position.
type place struct{ index, pos int }

// maxPlaces bounds what is kept of a br_table: the places of all open loops are.
const maxPlaces = 20_000

// jump follows instructions that may turn out to be a dispatch or a jump.
type jump struct {
	state  jumpState
	at     int // the loop, as index of ctrl
	from   uint32
	number int64
	places []place
}

type jumpState byte

const (
	jumpNone     jumpState = iota
	jumpLoop               // loop, block*
	jumpGot                // and the local
	jumpConstant           // a constant
	jumpSet                // which went to a local
)

func (j *jump) loop(at int) { *j = jump{state: jumpLoop, at: at} }

func (j *jump) block(op byte) {
	if op != opBlock || j.state != jumpLoop {
		*j = jump{}
	}
}

func (j *jump) local(op byte, index uint32) {
	switch {
	case op == opLocalGet && j.state == jumpLoop:
		j.state, j.from = jumpGot, index
	case op == opLocalSet && j.state == jumpConstant:
		j.state, j.from = jumpSet, index
	default:
		*j = jump{}
	}
}

func (j *jump) constant(v int64) { *j = jump{state: jumpConstant, number: v} }

func (j *jump) isJump() bool { return j.state == jumpSet }

// keeps says whether what was followed may go on with an instruction; others end it.
func (j *jump) keeps(op byte) bool {
	switch op {
	case opLocalGet, opLocalSet:
		return true // local decides
	case opBr:
		return j.state == jumpSet
	case opBrTable:
		return j.state == jumpGot
	}
	return false
}

// label notes a label of the br_table of a dispatch.
func (j *jump) label(f *function, l uint32) {
	if j.state != jumpGot || f.r.err != nil {
		return
	}
	p := place{index: len(f.ctrl) - 1 - int(l)}
	if p.index > j.at && len(j.places) < maxPlaces {
		p.pos = f.ctrl[p.index].pos
		j.places = append(j.places, p)
	} else {
		*j = jump{} // a label beyond the loop's own blocks
	}
}

func (j *jump) dispatched(f *function) {
	if j.state == jumpGot && len(j.places) > 0 {
		f.ctrl[j.at].dispatch = &dispatch{j.from, j.places}
		f.dispatches = f.dispatches || f.nest == 1 && !f.calls
	}
	*j = jump{}
}

// straight returns the label of a jump to the place that it leads to, or label where that does not lie ahead.
func (f *function) straight(label uint32) uint32 {
	at := len(f.ctrl) - 1 - int(label)
	if at < 0 {
		return label
	}
	d := f.ctrl[at].dispatch
	if d == nil || d.local != f.jump.from {
		return label
	}
	p := d.places[min(uint32(f.jump.number), uint32(len(d.places)-1))]
	if p.index >= len(f.ctrl) || f.ctrl[p.index].pos != p.pos {
		return label
	}
	f.jumps++
	return uint32(len(f.ctrl) - 1 - p.index)
}
