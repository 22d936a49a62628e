package straighten

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// program makes a function of the compiler's form from bytes: segments that note that they ran, jump to others always or
// depending on a register, return, trap, and call the host. A call may suspend the function, which is then entered again
// behind it. Segments at the end that nothing jumps to stand for what a recovered panic goes on at.
type program struct {
	body   []byte
	resume []uint32 // labels that the function may be entered at besides 0
}

func generate(in []byte) program {
	next := func() (c byte) {
		if len(in) > 0 {
			c, in = in[0], in[1:]
		}
		return c
	}
	// Globals: 0 the trace, 1 the register, 2 steps left, 3 where to go on. Imported function 0: the call.
	const trace, register, steps, goOn = 0, 1, 2, 3
	count := 2 + int(next()%14)
	segments := make([][]byte, 0, count+8)
	empty := func(s []byte) []byte { return append([]byte(nil), s...) }
	p := program{}
	for s := 0; s < count && len(segments) < 40; s++ {
		at := byte(len(segments))
		b := []byte{ // trace = trace*31 + at + local; local = trace; if steps == 0 return; steps--; register = register*5+at
			0x23, trace, 0x41, 31, 0x6c, 0x41, at & 0x3f, 0x6a, 0x20, 1, 0x6a, 0x24, trace,
			0x23, trace, 0x21, 1,
			0x23, steps, 0x45, 0x04, 0x40, 0x41, 0, 0x0f, 0x0b,
			0x23, steps, 0x41, 1, 0x6b, 0x24, steps,
			0x23, register, 0x41, 5, 0x6c, 0x41, at&0x3f | 1, 0x6a, 0x24, register,
		}
		test := func() []byte { return []byte{0x23, register, 0x41, byte(3 + next()%10), 0x76, 0x41, 1, 0x71} }
		kind := next() % 12
		if kind >= 6 && kind <= 8 { // a call, and then a segment of its own: often empty, as before the next block
			k := byte(len(segments) + 1)
			b = append(b, 0x41, k, 0x24, goOn, 0x41, k, 0x10, 0, 0x0d, 0xff)
			segments = append(segments, b)
			p.resume = append(p.resume, uint32(k))
			if kind == 8 {
				segments = append(segments, empty(nil))
			}
			continue
		}
		if next()%3 == 0 { // a block of its own, and a loop inside the segment that runs twice
			b = append(b, 0x02, 0x40)
			b = append(b, test()...)
			b = append(b, 0x0d, 0, 0x23, trace, 0x41, 7, 0x6a, 0x24, trace, 0x0b)
		}
		if next()%5 == 0 { // what a nil pointer leads to: a call that does not come back, in an if
			b = append(b, test()...)
			b = append(b, test()...)
			b = append(b, 0x71, 0x04, 0x40, 0x41, 0x7f, 0x10, 0, 0x0d, 0xfe, 0x0b)
		}
		jump := func(op ...byte) { b = append(b, append(op, 0xfd, next())...) }
		switch kind {
		case 0, 1, 2: // if ... jump
			b = append(b, test()...)
			jump(0x04, 0x40)
			b = append(b, 0x0b)
		case 3:
			jump()
		case 4: // one or the other
			b = append(b, test()...)
			jump(0x04, 0x40)
			b = append(b, 0x0b)
			jump()
		case 5: // a jump within a block
			b = append(b, 0x02, 0x40)
			b = append(b, test()...)
			b = append(b, 0x0d, 0)
			jump()
			b = append(b, 0x0b)
		case 9:
			b = append(b, 0x41, 0, 0x0f)
		case 10:
			b = append(b, 0x00)
		}
		segments = append(segments, b)
	}
	segments = append(segments, []byte{0x41, 0, 0x0f})
	if next()%2 == 0 { // what only a recovered panic leads to
		p.resume = append(p.resume, uint32(len(segments)))
		segments = append(segments, []byte{0x23, trace, 0x41, 13, 0x6c, 0x24, trace, 0x41, 0, 0x0f})
	}

	n := len(segments)
	b := []byte{1, 1, 0x7f, 0x02, 0x40, 0x03, 0x40}
	for range n {
		b = append(b, 0x02, 0x40)
	}
	b = appendU32(append(b, 0x20, 0, 0x0e), uint32(n-1))
	for s := range n {
		b = appendU32(b, uint32(s))
	}
	b = append(b, 0x0b)
	for s, code := range segments {
		outer, depth := n-1-s, 0 // blocks around the segment within the loop
		for i := 0; i < len(code); i++ {
			c := code[i]
			switch {
			case c == 0xfd: // jump
				i++
				b = appendI32(append(b, 0x41), uint32(int(code[i])%n))
				b = appendU32(append(b, 0x21, 0, 0x0c), uint32(outer+depth))
			case c == 0xff, c == 0xfe: // leave the function
				b = appendU32(b, uint32(outer+depth+1))
			case c == 0x02 || c == 0x04:
				depth++
				b = append(b, c, 0x40)
				i++
			case c == 0x0b:
				depth--
				b = append(b, c)
			case c == 0x41 && code[i+1] >= 0x40 && code[i+1] != 0x7f:
				b = appendI32(append(b, c), uint32(code[i+1]))
				i++
			case c == 0x41, c == 0x20, c == 0x21, c == 0x23, c == 0x24, c == 0x10:
				b = append(b, c, code[i+1])
				i++
			case c == 0x0d && code[i+1] < 0xf0:
				b = append(b, c, code[i+1])
				i++
			default:
				b = append(b, c)
			}
		}
		b = append(b, 0x0b) // of the next segment's block; the last one ends the loop
	}
	b = append(b, 0x00, 0x0b, 0x41, 1, 0x0b)
	p.body = b
	return p
}

// module puts the function between what it needs.
func (p program) module() []byte {
	m := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) { m = append(appendU32(append(m, id), uint32(len(content))), content...) }
	section(1, []byte{1, 0x60, 1, 0x7f, 1, 0x7f})
	section(2, []byte{1, 1, 'h', 1, 'c', 0, 0})
	section(3, []byte{1, 0})
	section(6, []byte{4, 0x7f, 1, 0x41, 0, 0x0b, 0x7f, 1, 0x41, 0, 0x0b, 0x7f, 1, 0x41, 0, 0x0b, 0x7f, 1, 0x41, 0, 0x0b})
	section(7, []byte{5, 1, 'f', 0, 1, 1, 't', 3, 0, 1, 'r', 3, 1, 1, 's', 3, 2, 1, 'g', 3, 3})
	section(codeSection, append(appendU32([]byte{1}, uint32(len(p.body))), p.body...))
	return m
}

// history is what a module does: what it traces at each call and at its end, entered anew whenever it is suspended.
func history(ctx context.Context, r wazero.Runtime, module []byte, resume []uint32, seed uint64) (out []string, err error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var m api.Module
	never := errors.New("a call that does not return")
	host, err := r.NewHostModuleBuilder("h").NewFunctionBuilder().WithFunc(func(k int32) int32 {
		trace := m.ExportedGlobal("t").Get()
		out = append(out, fmt.Sprint("call ", k, " ", trace))
		if k < 0 {
			panic(never)
		}
		return int32(rng.IntN(2))
	}).Export("c").Instantiate(ctx)
	if err != nil {
		return nil, err
	}
	defer host.Close(ctx)
	if m, err = r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithName("")); err != nil {
		return nil, err
	}
	defer m.Close(ctx)
	m.ExportedGlobal("r").(api.MutableGlobal).Set(uint64(rng.Uint32()))
	m.ExportedGlobal("s").(api.MutableGlobal).Set(300)
	label := uint64(0)
	for range 100 {
		res, err := m.ExportedFunction("f").Call(ctx, label)
		label = m.ExportedGlobal("g").Get()
		switch {
		case err != nil && errors.Is(err, never) && len(resume) > 0: // a panic, recovered from
			label = uint64(resume[len(resume)-1])
			out = append(out, fmt.Sprint("recovered ", label))
		case err != nil:
			return append(out, fmt.Sprint("trap ", m.ExportedGlobal("t").Get(), m.ExportedGlobal("s").Get())), nil
		case res[0] == 0:
			return append(out, fmt.Sprint("end ", m.ExportedGlobal("t").Get(), m.ExportedGlobal("s").Get())), nil
		}
	}
	return out, nil
}

// compare runs a generated function as it is and straightened.
func compare(t *testing.T, in []byte, runs int) {
	t.Helper()
	p := generate(in)
	module := p.module()
	straight, err := Module(module)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	for seed := range uint64(runs) {
		want, err := history(ctx, r, module, p.resume, seed)
		if err != nil {
			t.Fatalf("generated % x: %v", module, err)
		}
		got, err := history(ctx, r, straight, p.resume, seed)
		if err != nil {
			t.Fatalf("straightened % x: %v", straight, err)
		}
		for i := range max(len(want), len(got)) {
			if i >= len(want) || i >= len(got) || want[i] != got[i] {
				t.Fatalf("input %q, run %d, step %d: straightened %q, generated %q", in, seed, i, got[min(i, len(got)):], want[min(i, len(want)):])
			}
		}
	}
}

func TestModule_GeneratedFunctionsDoTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	taken, changed := 0, 0
	for range 1500 {
		in := make([]byte, 8+rng.IntN(90))
		for i := range in {
			in[i] = byte(rng.Uint32())
		}
		compare(t, in, 4)
		body := generate(in).body
		if f := parse(body); f != nil {
			taken++
			if string(f.emit()) != string(body) {
				changed++
			}
		}
	}
	t.Logf("of 1500 functions %d had the form, %d were straightened", taken, changed)
	if taken < 1400 || changed < taken/2 {
		t.Error("the generated functions have another form than this package knows")
	}
}

func FuzzGenerated(f *testing.F) {
	f.Add([]byte("\x05\x06\x00\x01\x02\x03\x07\x01\x04\x02\x02\x01\x00\x03\x05"))
	f.Fuzz(func(t *testing.T, in []byte) { compare(t, in[:min(len(in), 300)], 2) })
}
