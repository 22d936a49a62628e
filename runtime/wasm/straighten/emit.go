package straighten

// emitter writes one function.
type emitter struct {
	f      *function
	out    []byte
	frames []int       // of the blocks and loops that are open: the segment that a branch to them leads to
	top    map[int]int // position among the outermost items, by the segment where an item is entered
	ok     bool
}

const (
	dispatch = -1 - iota // the frame whose label is the table's loop
	nowhere
)

// emit returns the function's body.
func (f *function) emit() []byte {
	loops := f.loops()
	for {
		list := items(0, len(f.segments)-1, loops)
		e := &emitter{f: f, out: make([]byte, 0, len(f.body)), top: map[int]int{}, ok: true}
		for p, i := range list {
			e.top[i.entry()] = p
		}
		e.function(list)
		if e.ok {
			return e.out
		}
		dissolved := false
		for _, i := range list { // a jump out of a loop leads where it cannot: do without the outermost ones
			if i.loop != nil {
				i.loop.dissolved, dissolved = true, true
			}
		}
		if !dissolved {
			return f.body
		}
	}
}

func (e *emitter) function(list []item) {
	f := e.f
	e.out = append(e.out, f.body[:f.head]...)
	e.open(opLoop, dispatch)
	e.open(opBlock, nowhere)
	for p := len(list) - 1; p >= 0; p-- {
		e.open(opBlock, list[p].entry())
	}
	e.out = appendU32(append(e.out, opLocalGet), f.label)
	e.out = appendU32(append(e.out, opBrTable), uint32(len(f.table)-1))
	for _, s := range f.table {
		p, ok := e.top[int(s)]
		if !ok { // inside of a loop: nothing enters there
			p = len(list)
		}
		e.out = appendU32(e.out, uint32(p))
	}
	for p, i := range list {
		e.close()
		e.item(i, follower(list, p))
	}
	e.close()
	e.out = append(e.out, opUnreachable)
	e.close()
	e.out = append(e.out, f.body[f.rest:]...)
}

// follower is the segment that is entered when the item at p ends without a jump.
func follower(list []item, p int) int {
	if p+1 < len(list) && list[p].loop == nil {
		return list[p+1].entry()
	}
	return nowhere
}

func (e *emitter) open(op byte, target int) {
	e.out = append(e.out, op, blockEmpty)
	e.frames = append(e.frames, target)
}

func (e *emitter) close() {
	e.out = append(e.out, opEnd)
	e.frames = e.frames[:len(e.frames)-1]
}

func (e *emitter) item(i item, next int) {
	if i.loop == nil {
		e.segment(i.segment, next)
		return
	}
	e.open(opLoop, i.loop.entry)
	list := i.loop.inside()
	for p := len(list) - 1; p > 0; p-- {
		e.open(opBlock, list[p].entry())
	}
	for p, i := range list {
		if p > 0 {
			e.close()
		}
		e.item(i, follower(list, p))
	}
	e.close()
}

func (e *emitter) segment(s, next int) {
	g := &e.f.segments[s]
	at := g.start
	for _, j := range g.jumps {
		e.out = append(e.out, e.f.body[at:j.start]...)
		e.jump(j)
		at = j.end
	}
	e.out = append(e.out, e.f.body[at:g.end]...)
	switch {
	case g.stops || next == s+1:
	case s+1 == len(e.f.segments):
		e.out = append(e.out, opUnreachable)
	default:
		e.jump(jump{target: s + 1})
	}
}

// k is a label that stands for the target of a jump.
func (e *emitter) k(j jump) uint32 {
	if j.end > 0 {
		return j.k
	}
	for k, s := range e.f.table {
		if int(s) == j.target {
			return uint32(k)
		}
	}
	e.ok = false
	return 0
}

// jump writes a branch to the segment's frame if one is open, else the way through the table.
func (e *emitter) jump(j jump) {
	if j.op != 0 {
		e.out = appendU32(append(e.out, j.op), uint32(j.depth+len(e.frames)))
		return
	}
	for i := len(e.frames) - 1; i > 0; i-- {
		if e.frames[i] != j.target {
			continue
		}
		op := byte(opBr)
		if j.maybe {
			op = opBrIf
		}
		e.out = appendU32(append(e.out, op), uint32(j.depth+len(e.frames)-1-i))
		return
	}
	if _, ok := e.top[j.target]; !ok {
		e.ok = false
	}
	depth := j.depth + len(e.frames) - 1
	if j.maybe {
		depth++
		e.out = append(e.out, opIf, blockEmpty)
	}
	e.out = appendI32(append(e.out, opI32Const), e.k(j))
	e.out = appendU32(append(e.out, opLocalSet), e.f.label)
	e.out = appendU32(append(e.out, opBr), uint32(depth))
	if j.maybe {
		e.out = append(e.out, opEnd)
	}
}
