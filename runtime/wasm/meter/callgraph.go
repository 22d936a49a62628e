package meter

// What is known of functions together, before any of them is written.
//
// A leaf is a short function without loops, lengths and calls of the guest, which nobody outside calls. It has no
// charge point and no stack check: whoever calls it by name pays its cost, and whoever calls by a table pays leafShare
// for what may be one. So the cost of what is not paid for is bounded by what is.
//
// A light function has no loops, and with all that it calls costs little. It takes its fuel without asking for more: the
// next loop or function that is not light does, for no cycle of loops and calls is made of light functions alone.
//
// A shallow function takes with all that it calls at most shallowBytes of the stack, and its frame is not counted.
// That of any other function is while a function is called that is not shallow, or by a table: from its entry on, or only
// around each such call, so that what is not counted is one frame and a shallow function with what it calls.

const (
	leafLimit    = 48
	leafShare    = 16
	lightLimit   = 2048
	shallowBytes = 1024
	shallowDepth = 4 // how deep the calls of a shallow function may nest

	// countedCalls is how many calls a function may have whose frame is counted around each. Most have one or two that
	// are hardly ever made, for more stack or to fail. All in all, a frame is counted once for each function called
	// either way; calls in loops tip the scales.
	countedCalls = 3
)

// settle decides for all functions of the module, and returns which may write what outlives the call.
func (m *module) settle(fs []*function) (writes []bool) {
	outside := m.calledFromOutside()
	for i, f := range fs {
		f.leaf = !f.loops && !f.bulk && !f.calls && len(f.points) == 1 && f.points[0] <= leafLimit && !outside[m.impFuncs+uint32(i)]
	}
	for _, f := range fs {
		f.settleCalls(fs, m.impFuncs)
	}
	for range shallowDepth {
		for _, f := range fs {
			f.settleShallow(fs, m.impFuncs)
			f.settleLight(fs, m.impFuncs)
		}
	}
	for _, f := range fs {
		f.settleStack(fs, m.impFuncs)
	}
	return m.writers(fs)
}

// calledFromOutside are the functions that the host may enter.
func (m *module) calledFromOutside() map[uint32]bool {
	outside := make(map[uint32]bool)
	for _, e := range m.Exports {
		if e.Kind == KindFunc {
			outside[e.Index] = true
		}
	}
	if m.HasStart {
		outside[m.start] = true
	}
	return outside
}

// settleCalls adds the cost of leaves to where they are called, and decides where the counter is kept.
func (f *function) settleCalls(fs []*function, imports uint32) {
	inLocal, inGlobal := uint64(0), uint64(6)
	weight := func(nest uint32) uint64 { return 1 << (3 * min(nest, 4)) }
	for _, e := range f.edits {
		switch e.kind {
		case editCharge, editLoop:
			inGlobal += 6 * weight(e.nest) // a load that waits for the store of the round before
		case editSpill:
			price := uint64(leafShare)
			if e.arg != indirect && fs[e.arg-imports].leaf {
				price = fs[e.arg-imports].points[0]
			} else {
				if e.arg != indirect {
					price = 0
				}
				inLocal += 2 * weight(e.nest)
			}
			if e.point >= 0 {
				f.points[e.point] += price
			}
		}
	}
	f.local = f.loops && inLocal <= inGlobal
}

func (f *function) eachCallee(do func(uint32)) {
	for _, e := range f.edits {
		if e.kind == editSpill && e.arg != indirect {
			do(e.arg)
		}
	}
}

// settleShallow decides by what is known of the callees; recursive functions never become shallow.
func (f *function) settleShallow(fs []*function, imports uint32) {
	if f.shallow || f.indirect {
		return
	}
	shallow, below := true, int64(0)
	f.eachCallee(func(callee uint32) {
		g := fs[callee-imports]
		shallow = shallow && g.shallow
		below = max(below, g.frameBytes()+g.below)
	})
	if shallow && f.frameBytes()+below <= shallowBytes {
		f.shallow, f.below = true, below
	}
}

// counted says whether the caller's frame is counted during a call.
func counted(fs []*function, imports, callee uint32) bool {
	return callee == indirect || !fs[callee-imports].shallow
}

// settleStack decides where the function's frame is counted.
func (f *function) settleStack(fs []*function, imports uint32) {
	if f.takes = f.frameBytes(); f.indirect {
		f.takes += standInBytes
	}
	if f.shallow {
		return
	}
	calls, loops := 0, uint32(0)
	for _, e := range f.edits {
		if e.kind == editSpill && counted(fs, imports, e.arg) {
			calls++
			loops = max(loops, e.nest)
		}
	}
	if f.dispatches && loops > 0 {
		loops--
	}
	switch {
	case calls == 0:
	case calls <= countedCalls && loops == 0 && f.takes <= shallowBytes:
		f.stack = stackAtCalls
	default:
		f.stack = stackAtEntry
	}
}

// settleLight is like settleShallow for the cost.
func (f *function) settleLight(fs []*function, imports uint32) {
	if f.light || f.loops || f.indirect || f.bulk {
		return
	}
	light, work := true, uint64(0)
	for _, p := range f.points {
		work += p
	}
	f.eachCallee(func(callee uint32) {
		g := fs[callee-imports]
		light = light && g.light
		work = min(work+g.work, lightLimit+1)
	})
	if light && work <= lightLimit {
		f.light, f.work = true, work
	}
}

// writers says of each function whether it or whatever it calls may write what outlives the call.
func (m *module) writers(fs []*function) []bool {
	callers := make([][]uint32, len(fs))
	writes := make([]bool, len(fs))
	var todo []uint32
	for i, f := range fs {
		if f.writes || f.indirect {
			writes[i] = true
			todo = append(todo, uint32(i))
		}
		f.eachCallee(func(callee uint32) {
			callers[callee-m.impFuncs] = append(callers[callee-m.impFuncs], uint32(i))
		})
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, c := range callers[i] {
			if !writes[c] {
				writes[c] = true
				todo = append(todo, c)
			}
		}
	}
	return writes
}
