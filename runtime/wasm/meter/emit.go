package meter

// emit appends the rewritten body to w. Added locals come after the function's own: an i64 for the counter and, where
// needed, an i32.
func (f *function) emit(w []byte, g *added) []byte {
	body := f.r.b
	needI32 := f.bulk || f.calls
	decls := &reader{b: body}
	n := decls.u32()
	extra := uint32(1)
	if needI32 {
		extra = 2
	}
	w = appendU32(w, n+extra)
	w = append(w, body[decls.pos:f.code]...)
	w = append(w, 1, typeI64)
	if needI32 {
		w = append(w, 1, typeI32)
	}
	t64, t32 := f.locals, f.locals+1

	last := f.code
	for i, e := range f.edits {
		w = append(w, body[last:e.pos]...)
		last = e.end
		switch e.kind {
		case editCharge:
			w = f.counter(w, g, t64, i == 0)
			w = appendS64(append(w, opI64Const), int64(f.points[e.arg]))
			w = f.takeFuel(w, g, t64)
		case editFunc:
			w = appendU32(w, e.arg)
		case editReturn:
			if f.wrapped() {
				w = appendU32(append(w, opBr), e.arg)
			} else {
				w = append(w, opReturn)
			}
		case editSpill:
			if f.loops {
				w = appendU32(append(w, opLocalGet), t64)
				w = appendU32(append(w, opGlobalSet), g.fuel)
			}
		case editReload:
			if f.loops {
				w = appendU32(append(w, opGlobalGet), g.fuel)
				w = appendU32(append(w, opLocalSet), t64)
			}
		default:
			w = appendU32(append(w, opLocalSet), t32)
			w = f.counter(w, g, t64, false)
			w = appendU32(append(w, opLocalGet), t32)
			w = append(w, opI64ExtendU)
			switch e.kind {
			case editBytes:
				w = append(w, opI64Const, bulkShift, opI64ShrU)
			case editItems:
				w = append(w, opI64Const, costElement, opI64Mul)
			case editPages:
				w = append(appendS64(append(w, opI64Const), costPage), opI64Mul)
			}
			w = f.takeFuel(w, g, t64)
			w = appendU32(append(w, opLocalGet), t32)
		}
		if i == 0 {
			w = f.enter(w, g, t32)
		}
	}
	w = append(w, body[last:]...) // up to and with the end of the function, which ends the wrapping block if there is one
	if f.calls {
		w = appendU32(append(w, opGlobalGet), g.depth)
		w = appendS64(append(w, opI32Const), -f.frameBytes())
		w = append(w, opI32Sub)
		w = appendU32(append(w, opGlobalSet), g.depth)
	}
	if f.loops {
		w = appendU32(append(w, opLocalGet), t64)
		w = appendU32(append(w, opGlobalSet), g.fuel)
	}
	if f.wrapped() {
		w = append(w, opEnd)
	}
	return w
}

// enter appends what follows the first charge: the dirty flag, and for a function that calls others the stack check
// and the block that all ways out lead through.
func (f *function) enter(w []byte, g *added, t32 uint32) []byte {
	if f.writes {
		w = append(w, opI32Const, 1)
		w = appendU32(append(w, opGlobalSet), g.dirty)
	}
	if !f.wrapped() {
		return w
	}
	if f.calls {
		w = f.takeFrame(w, g, t32)
	}
	w = append(w, opBlock)
	switch results := f.typ.Results; len(results) {
	case 0:
		return append(w, blockEmpty)
	case 1:
		return append(w, results[0])
	default:
		return appendS64(w, int64(g.blockType(results)))
	}
}

// wrapped says whether all ways out of the function lead through the end of a block around its code.
func (f *function) wrapped() bool { return f.calls || f.loops }

// counter appends: get the counter. At the entry it is in its global.
func (f *function) counter(w []byte, g *added, t64 uint32, entry bool) []byte {
	if f.loops && !entry {
		return appendU32(append(w, opLocalGet), t64)
	}
	return appendU32(append(w, opGlobalGet), g.fuel)
}

// takeFrame appends the stack check.
func (f *function) takeFrame(w []byte, g *added, t32 uint32) []byte {
	w = appendU32(append(w, opGlobalGet), g.depth)
	w = appendS64(append(w, opI32Const), f.frameBytes())
	w = append(w, opI32Sub)
	w = appendU32(append(w, opLocalTee), t32)
	w = appendU32(append(w, opGlobalSet), g.depth)
	w = appendU32(append(w, opLocalGet), t32)
	w = append(w, opI32Const, 0, opI32LtS, opIf, blockEmpty)
	w = appendS64(append(w, opI64Const), TickStackOverflow)
	w = appendU32(append(w, opCall), g.tick)
	return append(w, opDrop, opEnd)
}

// added are the indices of what the rewriting adds to a module.
type added struct {
	tick, fuel, depth, dirty uint32
	tickType                 uint32
	blockTypes               map[string]uint32 // results to type index
	order                    []string
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

// takeFuel appends: with counter and cost on the stack, subtract; below zero, ask the host. What the host gives goes to
// the global in any case, so that a trap leaves there what is consistent with what was given.
func (f *function) takeFuel(w []byte, g *added, t64 uint32) []byte {
	w = append(w, opI64Sub)
	w = appendU32(append(w, opLocalTee), t64)
	if !f.loops {
		w = appendU32(append(w, opGlobalSet), g.fuel)
		w = appendU32(append(w, opLocalGet), t64)
	}
	w = append(w, opI64Const, 0, opI64LtS, opIf, blockEmpty)
	w = appendU32(append(w, opLocalGet), t64)
	w = appendU32(append(w, opCall), g.tick)
	if f.loops {
		w = appendU32(append(w, opLocalTee), t64)
	}
	w = appendU32(append(w, opGlobalSet), g.fuel)
	return append(w, opEnd)
}
