// Package wasmtest builds small WebAssembly modules for tests, hostile ones included: nothing is checked. Start at
// [Module].
package wasmtest

import "slices"

const typeI64 = 0x7e

// Module collects the parts of a module. Imports must be added before functions.
type Module struct {
	types, imports, funcs, tables, memories, globals, exports, elems, codes, datas [][]byte
	imported                                                                       int
	start                                                                          int
	DataCount                                                                      bool // write a data count section
}

// Build returns an empty module.
func Build() *Module { return &Module{start: -1} }

// Type adds a signature and returns its index.
func (m *Module) Type(params, results []byte) int {
	t := append(append([]byte{0x60}, vec(params)...), vec(results)...)
	m.types = append(m.types, t)
	return len(m.types) - 1
}

// Import adds an imported function and returns its index.
func (m *Module) Import(module, name string, params, results []byte) int {
	t := m.Type(params, results)
	i := append(vec([]byte(module)), vec([]byte(name))...)
	m.imports = append(m.imports, append(append(i, 0), U(t)...))
	m.imported++
	return m.imported - 1
}

// Func adds a function with a number of i64 locals after its parameters, and returns its index. The end is added.
func (m *Module) Func(params, results []byte, locals int, body ...[]byte) int {
	m.funcs = append(m.funcs, U(m.Type(params, results)))
	code := []byte{0}
	if locals > 0 {
		code = append(append([]byte{1}, U(locals)...), typeI64)
	}
	code = append(append(code, slices.Concat(body...)...), 0x0b)
	m.codes = append(m.codes, vec(code))
	return m.imported + len(m.funcs) - 1
}

// Export exports a function.
func (m *Module) Export(name string, f int) { m.export(name, 0, f) }

// ExportMemory exports the memory.
func (m *Module) ExportMemory(name string) { m.export(name, 2, 0) }

// ExportTable exports table 0.
func (m *Module) ExportTable(name string) { m.export(name, 1, 0) }

// ExportGlobal exports a global.
func (m *Module) ExportGlobal(name string, g int) { m.export(name, 3, g) }

func (m *Module) export(name string, kind byte, i int) {
	m.exports = append(m.exports, append(append(vec([]byte(name)), kind), U(i)...))
}

// Memory adds a memory of least pages, and at most most pages unless that is negative.
func (m *Module) Memory(least, most int) { m.memories = append(m.memories, limits(least, most)) }

// Table adds a table of function references.
func (m *Module) Table(least, most int) {
	m.tables = append(m.tables, append([]byte{0x70}, limits(least, most)...))
}

func limits(least, most int) []byte {
	if most < 0 {
		return append([]byte{0}, U(least)...)
	}
	return append(append([]byte{1}, U(least)...), U(most)...)
}

// Elem fills table 0 from offset with functions.
func (m *Module) Elem(offset int, funcs ...int) {
	e := append(append([]byte{0}, Const32(offset)...), 0x0b)
	e = append(e, U(len(funcs))...)
	for _, f := range funcs {
		e = append(e, U(f)...)
	}
	m.elems = append(m.elems, e)
}

// Data adds an active data segment of memory 0.
func (m *Module) Data(offset int, b []byte) {
	m.datas = append(m.datas, append(append(append([]byte{0}, Const32(offset)...), 0x0b), vec(b)...))
}

// PassiveData adds a data segment for memory.init.
func (m *Module) PassiveData(b []byte) { m.datas = append(m.datas, append([]byte{1}, vec(b)...)) }

// Global64 adds a mutable i64 global and returns its index.
func (m *Module) Global64(v int64) int {
	m.globals = append(m.globals, append(append([]byte{typeI64, 1}, Const64(v)...), 0x0b))
	return len(m.globals) - 1
}

// Start sets the start function.
func (m *Module) Start(f int) { m.start = f }

// Bytes is the module in the binary format.
func (m *Module) Bytes() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id    byte
		items [][]byte
	}{{1, m.types}, {2, m.imports}, {3, m.funcs}, {4, m.tables}, {5, m.memories}, {6, m.globals}, {7, m.exports}} {
		b = append(b, Section(s.id, s.items)...)
	}
	if m.start >= 0 {
		b = append(append(b, 8), vec(U(m.start))...)
	}
	b = append(b, Section(9, m.elems)...)
	if m.DataCount {
		b = append(append(b, 12), vec(U(len(m.datas)))...)
	}
	return append(append(b, Section(10, m.codes)...), Section(11, m.datas)...)
}

// Section is a section of a vector of items, or nothing when there are none.
func Section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	return append([]byte{id}, vec(append(U(len(items)), slices.Concat(items...)...))...)
}

func vec(b []byte) []byte { return append(U(len(b)), b...) }

// U is an unsigned LEB128.
func U(v int) []byte {
	var b []byte
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// S is a signed LEB128.
func S(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Instructions that tests need by name; others are written as Op.

// Op is raw bytes.
func Op(b ...byte) []byte { return b }

// Const32 is i32.const.
func Const32(v int) []byte { return append([]byte{0x41}, S(int64(int32(v)))...) }

// Const64 is i64.const.
func Const64(v int64) []byte { return append([]byte{0x42}, S(v)...) }

// Invoke calls a function.
func Invoke(f int) []byte { return append([]byte{0x10}, U(f)...) }

// Loop is a loop without results around body, which goes on for ever unless it leaves.
func Loop(body ...[]byte) []byte {
	return slices.Concat(append([][]byte{{0x03, 0x40}}, append(body, []byte{0x0c, 0, 0x0b})...)...)
}

// Get, Set and Tee access locals.
func Get(i int) []byte { return append([]byte{0x20}, U(i)...) }

// Set is local.set.
func Set(i int) []byte { return append([]byte{0x21}, U(i)...) }

// GlobalGet is global.get.
func GlobalGet(i int) []byte { return append([]byte{0x23}, U(i)...) }

// GlobalSet is global.set.
func GlobalSet(i int) []byte { return append([]byte{0x24}, U(i)...) }

// Drop is drop.
func Drop() []byte { return []byte{0x1a} }
