package meter

import (
	"fmt"
	"strconv"
)

// Tables hold references outside the linear memory, so their size is bounded here: in all at the start, and each when
// it grows.
const (
	maxTables        = 16
	maxTableElements = 1 << 20
	maxTableGrowth   = 1 << 16
)

func (m *module) rewrite() (*Output, error) {
	out := &Output{Restorable: true}
	n := uint32(len(m.globals))
	g := &added{
		tick: m.impFuncs, tickType: uint32(len(m.types)), fuel: n, depth: n + 1,
		blockTypes: make(map[string]uint32),
	}
	code, err := m.rewriteCode(g, out)
	if err != nil {
		return nil, err
	}
	data, err := m.rewriteData(out)
	if err != nil {
		return nil, err
	}
	tables, err := m.rewriteTables(g.standIns != nil)
	if err != nil {
		return nil, err
	}
	elements, err := m.rewriteElements()
	if err != nil {
		return nil, err
	}
	if g.standIns != nil {
		elements = nil
	}
	globals, err := m.rewriteGlobals()
	if err != nil {
		return nil, err
	}

	size := 1024 + len(m.names)*5/4 + len(code) + len(data) + len(elements)
	for _, s := range m.sections[:secElement] {
		size += len(s)
	}
	w := make([]byte, 0, size)
	w = append(w, "\x00asm\x01\x00\x00\x00"...)
	section := func(id byte, content []byte) {
		w = append(w, id)
		w = appendU32(w, uint32(len(content)))
		w = append(w, content...)
	}
	section(secType, m.addTypes(g))
	section(secImport, m.addTick(g))
	if m.hasSec[secFunction] {
		section(secFunction, m.addFunctions(g))
	}
	if tables != nil {
		section(secTable, tables)
	}
	if m.hasSec[secMemory] {
		section(secMemory, m.sections[secMemory])
	}
	section(secGlobal, globals)
	section(secExport, m.addExports(g, out))
	if m.HasStart {
		section(secStart, appendU32(nil, m.shift(m.start)))
	}
	if elements != nil {
		section(secElement, elements)
	}
	if m.hasSec[secDataCount] {
		section(secDataCount, appendU32(nil, uint32(out.SegmentsOut)))
	}
	if code != nil {
		section(secCode, code)
	}
	if data != nil {
		section(secData, data)
	}
	if names := m.shiftNames(); names != nil {
		section(secCustom, names)
	}
	out.Module = w
	return out, nil
}

func (m *module) rewriteCode(g *added, out *Output) ([]byte, error) {
	if !m.hasSec[secCode] {
		if uint32(len(m.typeIdx)) != m.impFuncs {
			return nil, fmt.Errorf("functions without code")
		}
		return nil, nil
	}
	r := &reader{b: m.sections[secCode]}
	n := r.count(2)
	if r.err == nil && n != len(m.typeIdx)-int(m.impFuncs) {
		return nil, fmt.Errorf("%d function bodies for %d functions", n, len(m.typeIdx)-int(m.impFuncs))
	}
	fs := make([]*function, 0, n)
	work := uint64(0)
	for i := 0; i < n; i++ {
		b := r.take(r.u32())
		if r.err != nil {
			break
		}
		index := m.impFuncs + uint32(i)
		f := &function{m: m, r: reader{b: b}, typ: m.types[m.typeIdx[index]]}
		if err := f.scan(); err != nil {
			return nil, fmt.Errorf("function %d: %w", index, err)
		}
		if work += f.engineWork(); work > maxEngineWork {
			return nil, fmt.Errorf("function %d: blocks nested %d deep, loops %d deep, %d labels: too much for the engine to compile in time", index, f.deepest, f.loopsDeep, f.labels)
		}
		fs = append(fs, f)
	}
	if r.err == nil && !r.done() {
		r.fail("bytes after the last function")
	}
	if r.err != nil {
		return nil, fmt.Errorf("code: %w", r.err)
	}
	writes := m.settle(fs)
	out.Pure = make(map[string]bool)
	for _, e := range m.Exports {
		if e.Kind == KindFunc && e.Index >= m.impFuncs && !writes[e.Index-m.impFuncs] {
			out.Pure[e.Name] = true
		}
	}
	g.leaf = func(callee uint32) bool { return callee != indirect && fs[callee-m.impFuncs].leaf }
	g.counted = func(callee uint32) bool { return counted(fs, m.impFuncs, callee) }
	extra := 0
	if g.standIns = m.standIn(fs); g.standIns != nil {
		extra = len(g.standIns.types)
		out.StandIns = extra
	}
	w := appendU32(make([]byte, 0, len(r.b)*3/2), uint32(n+extra))
	var body []byte
	for _, f := range fs {
		body = f.emit(body[:0], g)
		w = appendU32(w, uint32(len(body)))
		w = append(w, body...)
		if !f.leaf {
			out.Checks += len(f.points)
		}
		out.Jumps += f.jumps
		if f.unrestorable {
			out.Restorable = false
		}
	}
	for i := range extra {
		body := g.standIns.body(m, g.standIns.types[i])
		w = appendU32(w, uint32(len(body)))
		w = append(w, body...)
	}
	return w, nil
}

func (m *module) addTypes(g *added) []byte {
	var old []byte
	if m.hasSec[secType] {
		r := &reader{b: m.sections[secType]}
		r.u32()
		old = r.b[r.pos:]
	}
	standIns := 0
	if g.standIns != nil {
		standIns = len(g.standIns.types)
	}
	w := appendU32(nil, uint32(len(m.types)+1+len(g.order)+standIns))
	w = append(w, old...)
	w = append(w, 0x60, 1, typeI64, 1, typeI64)
	for _, results := range g.order {
		w = appendName(append(w, 0x60, 0), results)
	}
	for i := range standIns {
		t := m.types[g.standIns.types[i]]
		w = appendName(append(w, 0x60), string(t.Params)+string([]byte{typeI32}))
		w = appendName(w, string(t.Results))
	}
	return w
}

// addFunctions appends the stand-ins for the table to the functions' types.
func (m *module) addFunctions(g *added) []byte {
	if g.standIns == nil {
		return m.sections[secFunction]
	}
	r := &reader{b: m.sections[secFunction]}
	n := r.u32()
	w := appendU32(make([]byte, 0, len(r.b)+16), n+uint32(len(g.standIns.types)))
	w = append(w, r.b[r.pos:]...)
	for i := range g.standIns.types {
		w = appendU32(w, g.tickType+1+uint32(len(g.order)+i))
	}
	return w
}

func (m *module) addTick(g *added) []byte {
	var old []byte
	if m.hasSec[secImport] {
		r := &reader{b: m.sections[secImport]}
		r.u32()
		old = r.b[r.pos:]
	}
	w := appendU32(nil, uint32(len(m.Imports))+1)
	w = append(w, old...)
	w = appendName(appendName(w, TickModule), TickName)
	return appendU32(append(w, KindFunc), g.tickType)
}

func (m *module) rewriteTables(empty bool) ([]byte, error) {
	if !m.hasSec[secTable] {
		return nil, nil
	}
	r := &reader{b: m.sections[secTable]}
	n := r.u32()
	if n > maxTables {
		return nil, fmt.Errorf("%d tables; at most %d", n, maxTables)
	}
	w := appendU32(nil, n)
	sum := uint64(0)
	for ; n > 0; n-- {
		w = append(w, r.byte(), 1)
		limited := r.byte() == 1
		least := r.u32()
		most := max(least, maxTableGrowth)
		if limited {
			declared := r.u32()
			if declared < least {
				return nil, fmt.Errorf("table of at least %d and at most %d elements", least, declared)
			}
			most = min(most, declared)
		}
		sum += uint64(least)
		if empty {
			least, most = 0, 0
		}
		w = appendU32(appendU32(w, least), most)
	}
	if sum > maxTableElements {
		return nil, fmt.Errorf("tables of %d elements; at most %d", sum, maxTableElements)
	}
	return w, r.err
}

// rewriteGlobals shifts function references and appends the counters: no fuel, so that the first check asks the host;
// and the whole stack.
func (m *module) rewriteGlobals() ([]byte, error) {
	w := appendU32(nil, uint32(len(m.globals))-m.impGlobal+2)
	if m.hasSec[secGlobal] {
		r := &reader{b: m.sections[secGlobal]}
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			w = append(w, r.byte(), r.byte())
			constExpr(r, m, &w)
		}
		if r.err != nil {
			return nil, fmt.Errorf("globals: %w", r.err)
		}
	}
	w = append(w, typeI64, 1, opI64Const, 0, opEnd)
	return append(appendS64(append(w, typeI32, 1, opI32Const), StackBytes), opEnd), nil
}

func (m *module) addExports(g *added, out *Output) []byte {
	var added []Export
	add := func(name string, index uint32) {
		added = append(added, Export{Name: name, Kind: KindGlobal, Index: index})
	}
	add(FuelGlobal, g.fuel)
	add(StackGlobal, g.depth)
	for i := m.impGlobal; i < uint32(len(m.globals)); i++ {
		switch t := m.globals[i]; {
		case !t.mutable:
		case t.valType == typeV128 || isRefType(t.valType):
			out.Restorable = false
		default:
			name := globalPrefix + strconv.Itoa(int(i))
			add(name, i)
			out.Globals = append(out.Globals, name)
		}
	}
	w := appendU32(nil, uint32(len(m.Exports)+len(added)))
	for _, e := range append(m.Exports[:len(m.Exports):len(m.Exports)], added...) {
		w = append(appendName(w, e.Name), e.Kind)
		if e.Kind == KindFunc {
			e.Index = m.shift(e.Index)
		}
		w = appendU32(w, e.Index)
	}
	return w
}

// rewriteElements shifts the function indices of the element segments.
func (m *module) rewriteElements() ([]byte, error) {
	if !m.hasSec[secElement] {
		return nil, nil
	}
	r := &reader{b: m.sections[secElement]}
	n := r.count(3)
	w := appendU32(make([]byte, 0, len(r.b)*5/4), uint32(n))
	for ; n > 0 && r.err == nil; n-- {
		flags := r.u32()
		if flags > 7 {
			r.fail("element segment kind %d", flags)
		}
		passive, explicit, exprs := flags&1 != 0, flags&2 != 0, flags&4 != 0
		w = appendU32(w, flags)
		if !passive {
			if explicit {
				w = appendU32(w, below(r, m.tables, "table"))
			}
			constExpr(r, m, &w)
		}
		if passive || explicit {
			w = append(w, r.byte()) // element kind or reference type
		}
		items := r.count(1)
		w = appendU32(w, uint32(items))
		for ; items > 0 && r.err == nil; items-- {
			if exprs {
				constExpr(r, m, &w)
			} else {
				w = appendU32(w, m.shift(m.funcIndex(r)))
			}
		}
	}
	if r.err == nil && !r.done() {
		r.fail("bytes after the last segment")
	}
	if r.err != nil {
		return nil, fmt.Errorf("elements: %w", r.err)
	}
	return w, nil
}

// shiftNames keeps the module and function names, which stack traces show, and drops the rest of the name section. A
// name section that cannot be read is dropped whole, as the specification asks.
func (m *module) shiftNames() []byte {
	if m.names == nil {
		return nil
	}
	w := appendName(nil, "name")
	r := &reader{b: m.names}
	for !r.done() {
		id := r.byte()
		body := r.take(r.u32())
		switch {
		case r.err != nil:
			return nil
		case id == 0:
			w = appendName(append(w, id), string(body))
		case id == 1:
			c := &reader{b: body}
			n := c.count(2)
			sub := appendU32(make([]byte, 0, len(body)+len(body)/8), uint32(n))
			for ; n > 0 && c.err == nil; n-- {
				sub = appendU32(sub, m.shift(m.funcIndex(c)))
				sub = appendName(sub, c.name())
			}
			if c.err != nil {
				return nil
			}
			w = appendName(append(w, id), string(sub))
		}
	}
	return w
}
