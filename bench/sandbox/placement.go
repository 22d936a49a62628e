package main

import (
	"encoding/binary"
	"errors"
)

// placements is how many places in memory a module's code is measured at. The same loop takes up to half as long again
// where it straddles the processor's windows of decoded instructions, so that one place says more of itself than of the code.
const placements = 4

const codeSection = 10

// move returns the module with n stores of zeros to address 0 before the first function's code, which moves the code of
// all others along.
func move(module []byte, n int) ([]byte, error) {
	out := append([]byte(nil), module[:8]...)
	for rest := module[8:]; len(rest) > 0; {
		id := rest[0]
		size, k := binary.Uvarint(rest[1:])
		if k <= 0 || uint64(len(rest)-1-k) < size {
			return nil, errors.New("not a module")
		}
		body := rest[1+k : 1+k+int(size)]
		rest = rest[1+k+int(size):]
		if id == codeSection {
			count, a := binary.Uvarint(body)
			length, b := binary.Uvarint(body[a:])
			first := body[a+b : a+b+int(length)]
			locals, at := binary.Uvarint(first)
			for range locals {
				_, c := binary.Uvarint(first[at:])
				at += c + 1
			}
			moved := append([]byte(nil), first[:at]...)
			for range n {
				moved = append(moved, 0x41, 0, 0x41, 0, 0x36, 2, 0) // i32.store (0) (0)
			}
			moved = append(moved, first[at:]...)
			tail := body[a+b+int(length):]
			body = binary.AppendUvarint(nil, count)
			body = append(binary.AppendUvarint(body, uint64(len(moved))), moved...)
			body = append(body, tail...)
		}
		out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
	}
	return out, nil
}
