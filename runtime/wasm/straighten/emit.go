package straighten

// emitter writes one function.
type emitter struct {
	f      *function
	out    []byte
	frames []frame // the blocks and loops that are open
	lost   bool    // a jump found no frame
}

// frame is a block or loop: a branch to it leads to a segment, in an item that may be checked.
type frame struct {
	target  int
	checked bool
}

// nowhere is the target of a frame that no jump leads to.
const nowhere = -1

// emit returns the function's body.
func (f *function) emit() []byte {
	top := f.layout()
	if top == nil {
		return f.body
	}
	e := &emitter{f: f, out: append(make([]byte, 0, len(f.body)), f.body[:f.head]...)}
	if f.broken {
		e.open(opLoop, nowhere, false)
	}
	e.open(opBlock, nowhere, false)
	e.blocks(top.items, 0)
	e.branch(top.items)
	e.items(top.items, 0)
	e.close()
	e.out = append(e.out, opUnreachable)
	if f.broken {
		e.close()
	}
	if e.lost {
		return f.body
	}
	e.out = append(e.out, f.body[f.rest:]...)
	return e.out
}

// blocks opens a block for each item from the given one on; the end of an item's block is where it starts.
func (e *emitter) blocks(list []*item, from int) {
	for p := len(list) - 1; p >= from; p-- {
		e.open(opBlock, list[p].entry, list[p].checked())
	}
}

// branch writes the table that leads to the items, whose blocks are all open. What none takes cannot happen; it leads
// beyond them.
func (e *emitter) branch(list []*item) {
	at := make([]int, len(e.f.segments))
	for s := range at {
		at[s] = len(list)
	}
	for p, i := range list {
		for _, s := range i.resumes {
			at[s] = p
		}
		at[i.entry] = p
	}
	e.out = appendU32(append(e.out, opLocalGet), e.f.label)
	e.out = appendU32(append(e.out, opBrTable), uint32(len(e.f.table)-1))
	for _, s := range e.f.table {
		e.out = appendU32(e.out, uint32(at[s]))
	}
}

// items writes the items, closing the block of each from the given one on before it.
func (e *emitter) items(list []*item, from int) {
	for p, i := range list {
		if p >= from {
			e.close()
		}
		if i.loop {
			e.loop(i)
			continue
		}
		next := &item{entry: nowhere}
		if p+1 < len(list) {
			next = list[p+1]
		}
		e.segment(i.entry, next)
	}
}

func (e *emitter) open(op byte, target int, checked bool) {
	e.out = append(e.out, op, blockEmpty)
	e.frames = append(e.frames, frame{target, checked})
}

func (e *emitter) close() {
	e.out = append(e.out, opEnd)
	e.frames = e.frames[:len(e.frames)-1]
}

func (e *emitter) loop(l *item) {
	e.open(opLoop, l.entry, l.checked())
	if !l.checked() {
		e.blocks(l.items, 1)
		e.items(l.items, 1)
		e.close()
		return
	}
	e.open(opBlock, nowhere, false)
	e.blocks(l.items, 0)
	e.out = appendU32(append(e.out, opLocalGet), e.f.label)
	e.out = append(e.out, opI32Eqz, opBrIf, 0)
	e.branch(l.items)
	e.items(l.items, 0)
	e.close()
	e.out = append(e.out, opUnreachable)
	e.close()
}

func (e *emitter) segment(s int, next *item) {
	g := &e.f.segments[s]
	at := g.start
	for _, j := range g.jumps {
		e.out = append(e.out, e.f.body[at:j.start]...)
		e.jump(j)
		at = j.end
	}
	e.out = append(e.out, e.f.body[at:g.end]...)
	switch {
	case g.stops:
	case e.f.cut(s):
		e.byTable(s + 1)
	case next.entry == s+1:
		e.clear(next.checked())
	case s+1 == len(e.f.segments):
		e.out = append(e.out, opUnreachable)
	default:
		e.jump(jump{target: s + 1})
	}
}

// byTable jumps by way of the table.
func (e *emitter) byTable(segment int) {
	k := 0
	for k < len(e.f.table) && int(e.f.table[k]) != segment {
		k++
	}
	e.lost = e.lost || k == len(e.f.table)
	e.out = appendI32(append(e.out, opI32Const), uint32(k))
	e.out = appendU32(append(e.out, opLocalSet), e.f.label)
	e.out = appendU32(append(e.out, opBr), uint32(len(e.frames)-1))
}

// clear sets the label to 0 before a checked item is entered at its entry.
func (e *emitter) clear(checked bool) {
	if checked {
		e.out = append(e.out, opI32Const, 0)
		e.out = appendU32(append(e.out, opLocalSet), e.f.label)
	}
}

// jump writes a branch to the target's frame.
func (e *emitter) jump(j jump) {
	if j.op != 0 {
		e.out = appendU32(append(e.out, j.op), uint32(j.depth+len(e.frames)))
		return
	}
	i := len(e.frames) - 1
	for i >= 0 && e.frames[i].target != j.target {
		i--
	}
	if i < 0 {
		e.lost = true
		return
	}
	e.clear(e.frames[i].checked)
	op := byte(opBr)
	if j.maybe {
		op = opBrIf
	}
	e.out = appendU32(append(e.out, op), uint32(j.depth+len(e.frames)-1-i))
}
