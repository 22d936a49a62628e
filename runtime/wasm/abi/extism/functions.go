package extism

import (
	"encoding/binary"
)

// Function is one import of the ABI.
type Function struct {
	Name            string
	Params, Results []byte // value types of the binary format
	// Call reads its parameters from stack and leaves its result there. An error stops the guest.
	Call func(k *Kernel, stack []uint64) error
}

var (
	none = []byte{}
	i32  = []byte{0x7f}
	i64  = []byte{0x7e}
	i64s = []byte{0x7e, 0x7e}
	i6i3 = []byte{0x7e, 0x7f}
)

// Functions lists all imports of the ABI.
func Functions() []Function {
	fs := []Function{
		{"alloc", i64, i64, func(k *Kernel, s []uint64) error { s[0] = k.Alloc(s[0]); return nil }},
		{"free", i64, none, func(k *Kernel, s []uint64) error { k.Free(s[0]); return nil }},
		{"length", i64, i64, func(k *Kernel, s []uint64) error { s[0] = k.Length(s[0]); return nil }},
		{"length_unsafe", i64, i64, func(k *Kernel, s []uint64) error { s[0] = k.Length(s[0]); return nil }},
		{"load_u8", i64, i32, loadU8},
		{"load_u64", i64, i64, func(k *Kernel, s []uint64) (err error) { s[0], err = k.load64(s[0]); return err }},
		{"store_u8", i6i3, none, storeU8},
		{"store_u64", i64s, none, func(k *Kernel, s []uint64) error { return k.store64(s[0], s[1]) }},
		{"input_length", none, i64, func(k *Kernel, s []uint64) error { s[0] = uint64(len(k.input)); return nil }},
		{"input_load_u8", i64, i32, inputLoadU8},
		{"input_load_u64", i64, i64, inputLoadU64},
		{"input_offset", none, i64, inputOffset},
		{"input_set", i64s, none, inputSet},
		{"output_set", i64s, none, outputSet},
		{"output_length", none, i64, func(k *Kernel, s []uint64) error { s[0] = k.outLen; return nil }},
		{"output_offset", none, i64, func(k *Kernel, s []uint64) error { s[0] = k.outOff; return nil }},
		{"error_set", i64, none, errorSet},
		{"error_get", none, i64, func(k *Kernel, s []uint64) error { s[0] = k.errOff; return nil }},
		{"reset", none, none, func(k *Kernel, s []uint64) error { k.reset(); return nil }},
		{"memory_bytes", none, i64, func(k *Kernel, s []uint64) error { s[0] = uint64(len(k.arena)); return nil }},
		{"config_get", i64, i64, configGet},
		{"var_get", i64, i64, varGet},
		{"var_set", i64s, none, varSet},
		{"http_request", i64s, i64, httpRequest},
		{"http_status_code", none, i32, func(k *Kernel, s []uint64) error { s[0] = uint64(uint32(k.httpStatus)); return nil }},
		{"http_headers", none, i64, httpHeaders},
		// Guests may log on every level; how much is the caller's limit.
		{"get_log_level", none, i32, func(k *Kernel, s []uint64) error { s[0] = 0; return nil }},
	}
	for level, name := range []string{"trace", "debug", "info", "warn", "error"} {
		fs = append(fs, Function{Name: "log_" + name, Params: i64, Results: none,
			Call: func(k *Kernel, s []uint64) error { return k.log(level, s[0]) }})
	}
	return fs
}

func loadU8(k *Kernel, s []uint64) error {
	b, err := k.at(s[0], 1)
	if err != nil {
		return err
	}
	s[0] = uint64(b[0])
	return nil
}

func storeU8(k *Kernel, s []uint64) error {
	b, err := k.at(s[0], 1)
	if err == nil {
		b[0] = byte(s[1])
	}
	return err
}

// Reads beyond the input give zeros, as in the reference.

func inputLoadU8(k *Kernel, s []uint64) error {
	if s[0] < uint64(len(k.input)) {
		s[0] = uint64(k.input[s[0]])
	} else {
		s[0] = 0
	}
	return nil
}

func inputLoadU64(k *Kernel, s []uint64) error {
	if n := uint64(len(k.input)); n >= 8 && s[0] <= n-8 {
		s[0] = binary.LittleEndian.Uint64(k.input[s[0]:])
	} else {
		s[0] = 0
	}
	return nil
}

// inputOffset copies the input into a block the first time that a guest asks where it is; most never do.
func inputOffset(k *Kernel, s []uint64) (err error) {
	if k.inputOffset == 0 {
		k.inputOffset, err = k.Write(k.input)
	}
	s[0] = k.inputOffset
	return err
}

func inputSet(k *Kernel, s []uint64) error {
	var b []byte
	if s[1] != 0 {
		view, err := k.at(s[0], s[1])
		if err != nil {
			return err
		}
		b = append(b, view...)
		k.Moved += len(b)
	}
	k.input, k.inputOffset = b, s[0]
	return nil
}

func outputSet(k *Kernel, s []uint64) error {
	if s[1] != 0 {
		if _, err := k.at(s[0], s[1]); err != nil {
			return err
		}
	}
	k.outOff, k.outLen = s[0], s[1]
	return nil
}

func errorSet(k *Kernel, s []uint64) error {
	if s[0] == 0 {
		k.errOff, k.errLen = 0, 0
		return nil
	}
	b, err := k.Read(s[0])
	if err != nil {
		return err
	}
	k.errOff, k.errLen = s[0], uint64(len(b))
	return nil
}

func configGet(k *Kernel, s []uint64) error {
	key, err := k.Read(s[0])
	if err != nil {
		return err
	}
	v, ok := k.Config[string(key)]
	if !ok {
		s[0] = 0
		return nil
	}
	s[0], err = k.Write([]byte(v))
	return err
}

func (k *Kernel) log(level int, off uint64) error {
	text, err := k.Read(off)
	if err != nil {
		return err
	}
	k.Moved += len(text)
	if k.Log != nil {
		if err := k.Log(level, text); err != nil {
			return err
		}
	}
	k.Free(off)
	return nil
}
