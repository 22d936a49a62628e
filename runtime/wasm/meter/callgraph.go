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
// A shallow function has no stack check: with all that it calls it takes at most shallowBytes. Its callers take that
// much more.

const (
	leafLimit    = 48
	leafShare    = 16
	lightLimit   = 2048
	shallowBytes = 1024
	shallowDepth = 4 // how deep the calls of a shallow function may nest
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
		f.below = 0
		if f.indirect {
			f.below = shallowBytes + standInBytes
		}
		f.eachCallee(func(callee uint32) {
			if g := fs[callee-m.impFuncs]; g.shallow {
				f.below = max(f.below, g.frameBytes()+g.below)
			}
		})
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
