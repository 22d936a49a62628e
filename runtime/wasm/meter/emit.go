package meter

// emit appends the rewritten body to w. Added locals come after the function's own: an i64 for the counter and, where
// needed, an i32.
//
// The engine allocates registers block by block, each block starting from what the first of its predecessors left. So
// the call of tick must never lie on a way that joins the usual one: it lies in a block of its own that goes back to a
// loop header before the charge, which repeats it. And a value that a loop changes must not be alive across the call,
// or it would be stored on every round: so a loop is left when the counter is used up, into one around it that calls.
func (f *function) emit(w []byte, g *added) []byte {
	body := f.r.b
	c := counter{f: f, g: g, t64: f.locals, t32: f.locals + 1}
	decls := &reader{b: body}
	n := decls.u32()
	switch {
	case !f.counts():
		w = appendU32(w, n)
		w = append(w, body[decls.pos:f.code]...)
	case f.needsI32():
		w = appendU32(w, n+2)
		w = append(w, body[decls.pos:f.code]...)
		w = append(w, 1, typeI64, 1, typeI32)
	default:
		w = appendU32(w, n+1)
		w = append(w, body[decls.pos:f.code]...)
		w = append(w, 1, typeI64)
	}
	w = f.enter(w, &c)
	last := f.code
	for _, e := range f.edits {
		w = append(w, body[last:e.pos]...)
		last = e.end
		w = f.apply(w, e, &c)
	}
	w = append(w, body[last:]...) // up to and with the end of the function, which ends the wrapping block if there is one
	if f.stack == stackAtEntry {
		w = f.giveFrame(w, &c)
	}
	if f.local {
		w = c.spill(w)
	}
	if f.wrapped() {
		w = append(w, opEnd)
	}
	return w
}

// counts says whether the function has any use for the counter.
func (f *function) counts() bool { return !f.leaf }

// asks says whether the function's charges outside loops ask for more fuel when there is none.
func (f *function) asks() bool { return !f.light }

func (f *function) needsI32() bool { return f.bulk || f.stack != stackNever }

// wrapped says whether all ways out of the function lead through the end of a block around its code.
func (f *function) wrapped() bool { return f.stack == stackAtEntry || f.local }

// enter appends what comes before the function's first instruction.
func (f *function) enter(w []byte, c *counter) []byte {
	switch {
	case f.leaf:
		return w
	case f.merged && f.local:
		w = c.reload(w)
	case !f.merged:
		w = c.charge(w, f.points[0], false, f.asks())
		if !f.local {
			w = c.store(w)
		}
	}
	if f.stack == stackAtEntry {
		w = f.takeFrame(w, c)
	}
	if !f.wrapped() {
		return w
	}
	w = append(w, opBlock)
	switch results := f.typ.Results; len(results) {
	case 0:
		return append(w, blockEmpty)
	case 1:
		return append(w, results[0])
	default:
		return appendS64(w, int64(c.g.blockType(results)))
	}
}

// takeFrame appends the stack check. tick does not return from it.
func (f *function) takeFrame(w []byte, c *counter) []byte {
	w = append(w, opBlock, blockEmpty)
	w = appendU32(append(w, opGlobalGet), c.g.depth)
	w = appendS64(append(w, opI32Const), f.takes)
	w = append(w, opI32Sub)
	w = appendU32(append(w, opLocalTee), c.t32)
	w = append(w, opI32Const, 0, opI32GeS, opBrIf, 0)
	w = appendS64(append(w, opI64Const), TickStackOverflow)
	w = appendU32(append(w, opCall), c.g.tick)
	w = append(w, opDrop, opUnreachable, opEnd)
	w = appendU32(append(w, opLocalGet), c.t32)
	return appendU32(append(w, opGlobalSet), c.g.depth)
}

func (f *function) giveFrame(w []byte, c *counter) []byte {
	w = appendU32(append(w, opGlobalGet), c.g.depth)
	w = appendS64(append(w, opI32Const), -f.takes)
	w = append(w, opI32Sub)
	return appendU32(append(w, opGlobalSet), c.g.depth)
}

// apply appends what stands in the place of an edit.
func (f *function) apply(w []byte, e edit, c *counter) []byte {
	body := f.r.b
	switch e.kind {
	case editCharge:
		w = c.charge(w, f.points[e.arg], f.local, f.asks() || f.local)
		if !f.local {
			w = c.store(w)
		}
	case editLoop:
		w = f.openLoop(w, body[e.pos+1:e.end], f.points[e.arg], c)
	case editLoopEnd:
		// The loop's results leave by the outermost block; then follows the way out when the counter is used up.
		w = append(w, opEnd, opBr, 2, opEnd)
		w = append(w, opBr, 0, opEnd, opEnd)
	case editLabel:
		w = appendU32(w, e.arg)
	case editLabels:
		r := &reader{b: body[e.pos:e.end]}
		n := r.u32()
		w = appendU32(w, n)
		for range uint64(n) + 1 {
			w = appendU32(w, grown(r.u32(), f.far[e.arg]))
		}
	case editFunc:
		w = appendU32(w, e.arg)
	case editReturn:
		if f.wrapped() {
			w = appendU32(append(w, opBr), e.arg)
		} else {
			w = append(w, opReturn)
		}
	case editIndirect:
		if c.g.standIns == nil {
			return append(w, body[e.pos:e.end]...)
		}
		return c.g.standIns.call(w, e.arg)
	case editSpill:
		if f.local && !c.g.leaf(e.arg) {
			w = c.spill(w)
		}
		if f.stack == stackAtCalls && c.g.counted(e.arg) {
			w = f.takeFrame(w, c)
		}
	case editReload:
		if f.stack == stackAtCalls && c.g.counted(e.arg) {
			w = f.giveFrame(w, c)
		}
		if f.local && !c.g.leaf(e.arg) {
			w = c.reload(w)
		}
	default:
		w = f.chargeLength(w, e.kind, c)
	}
	return w
}

// openLoop appends the header of a loop of type bt, the innermost of four frames: leave by the first, ask for fuel at the
// second, which is a loop, and get to the end of the third, and from there to the second, when the counter is used up.
func (f *function) openLoop(w, bt []byte, cost uint64, c *counter) []byte {
	w = append(append(w, opBlock), bt...)
	w = append(append(w, opLoop), bt...)
	w = append(w, opBlock, blockEmpty)
	if f.local {
		w = appendU32(append(w, opLocalGet), c.t64)
	} else {
		w = appendU32(append(w, opGlobalGet), c.g.fuel)
		w = appendU32(append(w, opLocalTee), c.t64)
	}
	w = append(w, opI64Const, 0, opI64GeS, opBrIf, 0)
	w = c.ask(w, cost, f.local)
	w = append(w, opBr, 1, opEnd)
	w = append(w, opBlock, blockEmpty)
	w = append(append(w, opLoop), bt...)
	w = c.take(w, cost, f.local)
	if !f.local {
		w = c.store(w) // before the branch, at whose target it is looked at
	}
	return append(w, opI64Const, 0, opI64LtS, opBrIf, 1)
}

// chargeLength appends a charge by the i32 on the stack.
func (f *function) chargeLength(w []byte, kind editKind, c *counter) []byte {
	w = appendU32(append(w, opLocalSet), c.t32)
	if f.local {
		w = appendU32(append(w, opLocalGet), c.t64)
	} else {
		w = appendU32(append(w, opGlobalGet), c.g.fuel)
	}
	w = appendU32(append(w, opLocalGet), c.t32)
	w = append(w, opI64ExtendU)
	switch kind {
	case editBytes:
		w = append(w, opI64Const, bulkShift, opI64ShrU)
	case editItems:
		w = append(w, opI64Const, costElement, opI64Mul)
	case editPages:
		w = append(appendS64(append(w, opI64Const), costPage), opI64Mul)
	}
	w = append(w, opI64Sub)
	w = appendU32(append(w, opLocalTee), c.t64)
	w = append(w, opI64Const, 0, opI64LtS, opIf, blockEmpty)
	w = c.ask(w, 0, true)
	w = append(w, opEnd)
	if !f.local {
		w = c.store(w)
	}
	return appendU32(append(w, opLocalGet), c.t32)
}

// counter writes the code that works on the counter, with temporaries t64 and t32. In a function that keeps the counter
// in a local, t64 is that.
type counter struct {
	f        *function
	g        *added
	t64, t32 uint32
}

// take appends: counter minus cost, left in t64 and on the stack.
func (c *counter) take(w []byte, cost uint64, local bool) []byte {
	if local {
		w = appendU32(append(w, opLocalGet), c.t64)
	} else {
		w = appendU32(append(w, opGlobalGet), c.g.fuel)
	}
	w = appendS64(append(w, opI64Const), int64(cost))
	w = append(w, opI64Sub)
	return appendU32(append(w, opLocalTee), c.t64)
}

// charge appends a charge that leaves the rest in t64. The counter is read from t64 if local, else from the global.
func (c *counter) charge(w []byte, cost uint64, local, asks bool) []byte {
	if !asks {
		return append(c.take(w, cost, local), opDrop)
	}
	w = append(w, opLoop, blockEmpty, opBlock, blockEmpty)
	w = c.take(w, cost, local)
	w = append(w, opI64Const, 0, opI64GeS, opBrIf, 0)
	w = c.ask(w, cost, local)
	return append(w, opBr, 1, opEnd, opEnd)
}

// ask appends: get fuel from the host, and add the cost that will be taken again. What the host gives goes to the global
// in any case, so that a trap leaves there what is consistent with what was given.
func (c *counter) ask(w []byte, cost uint64, local bool) []byte {
	w = appendU32(append(w, opLocalGet), c.t64)
	w = appendU32(append(w, opCall), c.g.tick)
	if local {
		w = appendU32(append(w, opLocalTee), c.t64)
		w = appendU32(append(w, opGlobalSet), c.g.fuel)
		w = appendU32(append(w, opLocalGet), c.t64)
	}
	if cost != 0 {
		w = appendS64(append(w, opI64Const), int64(cost))
		w = append(w, opI64Add)
	}
	if local {
		return appendU32(append(w, opLocalSet), c.t64)
	}
	return appendU32(append(w, opGlobalSet), c.g.fuel)
}

// store and spill append: t64 to the global; reload the other way.
func (c *counter) store(w []byte) []byte {
	w = appendU32(append(w, opLocalGet), c.t64)
	return appendU32(append(w, opGlobalSet), c.g.fuel)
}

func (c *counter) spill(w []byte) []byte { return c.store(w) }

func (c *counter) reload(w []byte) []byte {
	w = appendU32(append(w, opGlobalGet), c.g.fuel)
	return appendU32(append(w, opLocalSet), c.t64)
}

// added are the indices of what the rewriting adds to a module.
type added struct {
	tick, fuel, depth uint32
	tickType          uint32
	blockTypes        map[string]uint32 // results to type index
	order             []string
	standIns          *standIns // nil: the table stays
	leaf              func(callee uint32) bool
	counted           func(callee uint32) bool // the caller's frame is
}

// blockType returns the type () -> results, which the module gets if it is asked for.
func (g *added) blockType(results []byte) uint32 {
	i, ok := g.blockTypes[string(results)]
	if !ok {
		i = g.tickType + 1 + uint32(len(g.order))
		g.blockTypes[string(results)] = i
		g.order = append(g.order, string(results))
	}
	return i
}
