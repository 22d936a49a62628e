// Package straighten gives the functions of a module that Go's compiler made for WebAssembly their control flow back.
//
// Go's compiler writes a function as one loop around a table of all its basic blocks: every jump, even over a single
// instruction, stores the number of a block, goes back to the head of the loop and from there through the table. An
// engine can keep nothing in registers across that. Here a jump ahead becomes a plain branch, and a jump back one to a
// loop of WebAssembly's own. The table stays for the entry of a function that goes on after its goroutine was suspended:
// the loops around the place look at the label once a round.
//
// The package relies on what Go's compiler promises: a function is entered at its start or after a call that stands
// outside of any block. So it is for modules of that compiler, at build time; functions of another form are left alone.
// It knows the binary format and nothing of the engine. Start reading at [Module]; layout.go finds the loops.
package straighten

import (
	"errors"
	"fmt"
)

const codeSection = 10

// Module returns the module with straightened functions. The module must be valid; the result then is, too. It is
// deterministic, and the module is neither changed nor kept.
func Module(module []byte) ([]byte, error) {
	const header = "\x00asm\x01\x00\x00\x00"
	if len(module) < len(header) || string(module[:len(header)]) != header {
		return nil, errors.New("straighten: not a WebAssembly module")
	}
	out := append(make([]byte, 0, len(module)), header...)
	r := &reader{b: module, pos: len(header)}
	for r.pos < len(module) && r.err == nil {
		start := r.pos
		id := r.byte()
		body := r.take(r.u32())
		if r.err != nil {
			break
		}
		if id != codeSection {
			out = append(out, module[start:r.pos]...)
			continue
		}
		code, err := section(body)
		if err != nil {
			return nil, fmt.Errorf("straighten: %w", err)
		}
		out = appendU32(append(out, id), uint32(len(code)))
		out = append(out, code...)
	}
	if r.err != nil {
		return nil, fmt.Errorf("straighten: %w", r.err)
	}
	return out, nil
}

func section(b []byte) ([]byte, error) {
	r := &reader{b: b}
	n := r.u32()
	out := appendU32(make([]byte, 0, len(b)), n)
	for range uint64(n) {
		body := r.take(r.u32())
		if r.err != nil {
			return nil, r.err
		}
		if f := parse(body); f != nil {
			body = f.emit()
		}
		out = appendU32(out, uint32(len(body)))
		out = append(out, body...)
	}
	if r.pos != len(b) {
		return nil, errors.New("bytes after the last function")
	}
	return out, nil
}

var errTruncated = errors.New("truncated")

// reader reads the binary format. The first error sticks.
type reader struct {
	b   []byte
	pos int
	err error
}

func (r *reader) byte() byte {
	if r.pos >= len(r.b) {
		r.err = errTruncated
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return uint32(v)
		}
	}
	r.err = errors.New("number out of range")
	return 0
}

// leb skips a number.
func (r *reader) leb() {
	for n := 0; n < 10; n++ {
		if r.byte() < 0x80 {
			return
		}
	}
	r.err = errors.New("number out of range")
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.err, r.pos = errTruncated, len(r.b)
		return nil
	}
	r.pos += int(n)
	return r.b[r.pos-int(n) : r.pos]
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendI32 appends a number below 1<<31 as a signed one.
func appendI32(b []byte, v uint32) []byte {
	for v >= 0x40 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
