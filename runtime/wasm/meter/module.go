package meter

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Value types of the binary format.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

func isValueType(t byte) bool { return t >= typeV128 && t <= typeI32 || isRefType(t) }
func isRefType(t byte) bool   { return t == typeFuncref || t == typeExternref }

// Section ids.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
)

// sectionRank is the order in which sections must come; data count stands before code.
var sectionRank = [13]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10}

// Kinds of imports and exports.
const (
	KindFunc   = 0
	KindTable  = 1
	KindMemory = 2
	KindGlobal = 3
)

// FuncType is a function's signature; each byte is a value type.
type FuncType struct{ Params, Results []byte }

// Equal reports whether both signatures are the same.
func (t FuncType) Equal(u FuncType) bool {
	return bytes.Equal(t.Params, u.Params) && bytes.Equal(t.Results, u.Results)
}

// Import is one import of a module; Type is set for functions.
type Import struct {
	Module, Name string
	Kind         byte
	Type         FuncType
}

// Export is one export of a module; Type is set for functions.
type Export struct {
	Name  string
	Kind  byte
	Index uint32
	Type  FuncType
}

// Info is what a module says of itself outside its code.
type Info struct {
	Imports   []Import
	Exports   []Export
	HasMemory bool
	MinPages  uint32 // of the memory
	HasStart  bool
}

type globalType struct {
	valType byte
	mutable bool
}

// module is a parsed module: what the rewriting needs, and views of the sections for the rest.
type module struct {
	Info
	sections  [13][]byte // contents by id; nil when absent
	hasSec    [13]bool
	names     []byte // content of the name section
	types     []FuncType
	typeIdx   []uint32 // type of each function, imported ones first
	impFuncs  uint32
	impTables uint32
	tables    uint32
	globals   []globalType // imported ones first
	impGlobal uint32
	start     uint32
	refFunc   bool // code takes references of functions; so are the next two known
	tableOps  bool // code uses a table otherwise than to call
	dataOps   bool // code names data segments; known once the code is read
}

const maxModuleBytes = 256 << 20

// ErrComponent is wrapped when the binary is a component and not a core module.
var ErrComponent = errors.New("a component, not a core module")

// Inspect reads what a module says of itself, without looking at its code.
func Inspect(mod []byte) (*Info, error) {
	m, err := parse(mod)
	if err != nil {
		return nil, err
	}
	return &m.Info, nil
}

func parse(mod []byte) (*module, error) {
	if len(mod) < 8 || string(mod[:4]) != "\x00asm" {
		return nil, errors.New("not a WebAssembly binary")
	}
	if mod[6] == 1 && mod[7] == 0 {
		return nil, ErrComponent
	}
	if string(mod[4:8]) != "\x01\x00\x00\x00" {
		return nil, fmt.Errorf("unknown binary version %#x", mod[4:8])
	}
	if len(mod) > maxModuleBytes {
		return nil, fmt.Errorf("module of %d bytes is larger than %d", len(mod), maxModuleBytes)
	}
	m := &module{}
	r := &reader{b: mod, pos: 8}
	rank := 0
	for !r.done() {
		id := r.byte()
		body := r.take(r.u32())
		if r.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, r.err)
		}
		if id == secCustom {
			c := &reader{b: body}
			if name := c.name(); c.err != nil {
				return nil, fmt.Errorf("custom section: %w", c.err)
			} else if name == "name" {
				m.names = body[c.pos:]
			}
			continue
		}
		if int(id) >= len(sectionRank) {
			return nil, fmt.Errorf("unknown section %d", id)
		}
		if sectionRank[id] <= rank {
			return nil, fmt.Errorf("section %d is repeated or out of order", id)
		}
		rank = sectionRank[id]
		m.sections[id], m.hasSec[id] = body, true
		if err := m.section(id, body); err != nil {
			return nil, fmt.Errorf("section %d: %w", id, err)
		}
	}
	return m, nil
}

func (m *module) section(id byte, body []byte) error {
	r := &reader{b: body}
	switch id {
	case secType:
		m.readTypes(r)
	case secImport:
		m.readImports(r)
	case secFunction:
		for n := r.count(1); n > 0 && r.err == nil; n-- {
			m.typeIdx = append(m.typeIdx, m.typeIndex(r))
		}
	case secTable:
		n := r.count(3)
		for i := 0; i < n && r.err == nil; i++ {
			m.readTable(r)
		}
		m.tables += uint32(n)
	case secMemory:
		if n := r.count(2); n > 1 {
			r.fail("%d memories; one is supported", n)
		} else if n == 1 {
			m.readMemory(r)
		}
	case secGlobal:
		for n := r.count(3); n > 0 && r.err == nil; n-- {
			m.readGlobalType(r)
			constExpr(r, m, nil)
		}
	case secExport:
		m.readExports(r)
	case secStart:
		m.HasStart = true
		m.start = m.funcIndex(r)
	default:
		return nil // element, code, data and data count are read when they are rewritten
	}
	if r.err == nil && !r.done() {
		r.fail("%d bytes too many", len(r.b)-r.pos)
	}
	return r.err
}

func (m *module) readTypes(r *reader) {
	for n := r.count(3); n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != 0x60 {
			r.fail("type form %#x is not supported", form)
		}
		m.types = append(m.types, FuncType{valueTypes(r), valueTypes(r)})
	}
}

func valueTypes(r *reader) []byte {
	ts := r.take(r.u32())
	for _, t := range ts {
		if !isValueType(t) {
			r.fail("value type %#x is not supported", t)
		}
	}
	return ts
}

func (m *module) readImports(r *reader) {
	for n := r.count(4); n > 0 && r.err == nil; n-- {
		i := Import{Module: r.name(), Name: r.name(), Kind: r.byte()}
		switch i.Kind {
		case KindFunc:
			t := m.typeIndex(r)
			if r.err != nil {
				return
			}
			i.Type = m.types[t]
			m.typeIdx = append(m.typeIdx, t)
			m.impFuncs++
		case KindTable:
			m.readTable(r)
			m.impTables++
			m.tables++
		case KindMemory:
			m.readMemory(r)
		case KindGlobal:
			m.readGlobalType(r)
			m.impGlobal++
		default:
			r.fail("import kind %d is not supported", i.Kind)
		}
		m.Imports = append(m.Imports, i)
	}
}

func (m *module) readTable(r *reader) {
	if t := r.byte(); !isRefType(t) {
		r.fail("table type %#x is not supported", t)
	}
	readLimits(r)
}

func (m *module) readMemory(r *reader) {
	if m.HasMemory {
		r.fail("more than one memory")
	}
	m.HasMemory = true
	m.MinPages = readLimits(r)
}

func readLimits(r *reader) (least uint32) {
	flags := r.byte()
	if flags > 1 {
		r.fail("limits flag %#x is not supported: shared and 64-bit memories are not", flags)
	}
	least = r.u32()
	if flags == 1 {
		r.u32()
	}
	return least
}

func (m *module) readGlobalType(r *reader) {
	g := globalType{valType: r.byte()}
	if !isValueType(g.valType) {
		r.fail("value type %#x is not supported", g.valType)
	}
	mut := r.byte()
	if mut > 1 {
		r.fail("global mutability %#x", mut)
	}
	g.mutable = mut == 1
	m.globals = append(m.globals, g)
}

func (m *module) readExports(r *reader) {
	seen := make(map[string]bool)
	for n := r.count(3); n > 0 && r.err == nil; n-- {
		e := Export{Name: r.name(), Kind: r.byte()}
		switch e.Kind {
		case KindFunc:
			e.Index = m.funcIndex(r)
			if r.err != nil {
				return
			}
			e.Type = m.types[m.typeIdx[e.Index]]
		case KindTable, KindMemory:
			e.Index = r.u32()
		case KindGlobal:
			e.Index = m.globalIndex(r)
		default:
			r.fail("export kind %d is not supported", e.Kind)
		}
		if seen[e.Name] {
			r.fail("export %q is repeated", e.Name)
		}
		seen[e.Name] = true
		m.Exports = append(m.Exports, e)
	}
}

// The index readers refuse what the original module does not have, so that nothing can reach what is added to it.

func (m *module) typeIndex(r *reader) uint32 {
	return below(r, uint32(len(m.types)), "type")
}

func (m *module) funcIndex(r *reader) uint32 {
	return below(r, uint32(len(m.typeIdx)), "function")
}

func (m *module) globalIndex(r *reader) uint32 {
	return below(r, uint32(len(m.globals)), "global")
}

func below(r *reader, n uint32, what string) uint32 {
	i := r.u32()
	if i >= n {
		r.fail("%s index %d of %d", what, i, n)
		return 0
	}
	return i
}

func (m *module) refuseReserved() error {
	for _, i := range m.Imports {
		if i.Module == TickModule || strings.HasPrefix(i.Module, ReservedPrefix) {
			return fmt.Errorf("import %q.%q: %w", i.Module, i.Name, ErrReserved)
		}
	}
	for _, e := range m.Exports {
		if strings.HasPrefix(e.Name, ReservedPrefix) {
			return fmt.Errorf("export %q: %w", e.Name, ErrReserved)
		}
	}
	return nil
}

// shift maps an original function index to the rewritten module's, where tick is the last import.
func (m *module) shift(i uint32) uint32 {
	if i >= m.impFuncs {
		return i + 1
	}
	return i
}

// constExpr reads a constant expression and, unless w is nil, appends it to w with function indices shifted.
func constExpr(r *reader, m *module, w *[]byte) {
	start := r.pos
	switch op := r.byte(); op {
	case opI32Const:
		r.signed(32)
	case opI64Const:
		r.signed(64)
	case opF32Const:
		r.take(4)
	case opF64Const:
		r.take(8)
	case opGlobalGet:
		m.globalIndex(r)
	case opRefNull:
		r.byte()
	case opRefFunc:
		i := m.funcIndex(r)
		if w != nil {
			*w = append(*w, op)
			*w = appendU32(*w, m.shift(i))
		}
		start = r.pos
	case opPrefixSIMD:
		if r.u32() != simdConst {
			r.fail("constant expression with a vector instruction")
		}
		r.take(16)
	default:
		r.fail("instruction %#x in a constant expression is not supported", op)
	}
	if r.byte() != opEnd {
		r.fail("constant expression of more than one instruction is not supported")
	}
	if w != nil && r.err == nil {
		*w = append(*w, r.b[start:r.pos]...)
	}
}
