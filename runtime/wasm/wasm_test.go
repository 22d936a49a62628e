package wasm

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	. "github.com/ledge-run/ledge/runtime/wasm/wasmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	none []byte
	i32  = []byte{byte(I32)}
	i64  = []byte{byte(I64)}
)

func newHost(t testing.TB, o Options) *Host {
	t.Helper()
	h, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

func load(t testing.TB, h *Host, module []byte, o PluginOptions) *Plugin {
	t.Helper()
	if o.Name == "" {
		o.Name = "test"
	}
	p, err := h.Load(context.Background(), module, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return "not an *Error: " + Code(err.Error())
	}
	return "none"
}

// env adds an import of the Extism ABI.
func env(m *Module, name string) int {
	t, _ := lentType(extism.Module, name)
	return m.Import(extism.Module, name, t.Params, t.Results)
}

// echo is a module that answers with its input; "run" is the export.
func echo() []byte {
	m := Build()
	off, n, set := env(m, "input_offset"), env(m, "input_length"), env(m, "output_set")
	m.Export("run", m.Func(none, none, 0, Invoke(off), Invoke(n), Invoke(set)))
	return m.Bytes()
}

// sdkModules is the folder of modules that ships with the reference host.
var sdkModules = sync.OnceValue(func() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/extism/go-sdk").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(out)), "wasm")
})

func TestCall_EchoesInput(t *testing.T) {
	p := load(t, newHost(t, Options{}), echo(), PluginOptions{})
	for _, in := range []string{"", "x", "hello", strings.Repeat("0123456789", 100_000)} {
		res, err := p.Call(context.Background(), Call{Export: "run", Input: []byte(in)})
		if err != nil || string(res.Output) != in {
			t.Fatalf("%d bytes in, %d out, %v", len(in), len(res.Output), err)
		}
		if res.Fuel == 0 || res.Duration <= 0 {
			t.Errorf("fuel %d, duration %v", res.Fuel, res.Duration)
		}
	}
}

func TestCall_SameInputBurnsSameFuel(t *testing.T) {
	m := Build()
	m.Export("run", m.Func(none, none, 1, countTo(100_000)))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{})
	var fuel uint64
	for i := range 20 {
		res, err := p.Call(context.Background(), Call{Export: "run"})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			fuel = res.Fuel
		}
		if res.Fuel != fuel || fuel < 500_000 {
			t.Fatalf("fuel %d, then %d", fuel, res.Fuel)
		}
	}
	limited := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Limits: Limits{Fuel: fuel}})
	if _, err := limited.Call(context.Background(), Call{Export: "run"}); err != nil {
		t.Errorf("with just enough fuel: %v", err)
	}
	limited = load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Limits: Limits{Fuel: fuel - 1}})
	if _, err := limited.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodeFuelExhausted {
		t.Errorf("with one unit less: %v", err)
	}
}

// countTo counts local 0 up to n.
func countTo(n int64) []byte {
	return join(Op(0x03, 0x40), Get(0), Const64(1), Op(0x7c), Op(0x22, 0), Const64(n), Op(0x53, 0x0d, 0), Op(0x0b))
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func TestCall_TimeoutShortensAndNeverLengthens(t *testing.T) {
	m := Build()
	m.Export("run", m.Func(none, none, 0, Loop()))
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Limits: Limits{Timeout: 50 * time.Millisecond}})
	for _, c := range []struct{ ask, want time.Duration }{{10 * time.Millisecond, 10 * time.Millisecond}, {time.Hour, 50 * time.Millisecond}, {0, 50 * time.Millisecond}} {
		res, err := p.Call(context.Background(), Call{Export: "run", Timeout: c.ask})
		if codeOf(err) != CodeDeadline || res.Duration < c.want || res.Duration > c.want+40*time.Millisecond {
			t.Errorf("timeout %v: ended after %v with %v", c.ask, res.Duration, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if res, err := p.Call(ctx, Call{Export: "run"}); codeOf(err) != CodeDeadline || res.Duration > 40*time.Millisecond {
		t.Errorf("caller's deadline: ended after %v with %v", res.Duration, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(5*time.Millisecond, stop)
	if _, err := p.Call(ctx, Call{Export: "run"}); codeOf(err) != CodeCanceled {
		t.Errorf("canceled: %v", err)
	}
}

func TestLoad_RefusesWithDirections(t *testing.T) {
	withImport := func(module, name string, params, results []byte) []byte {
		m := Build()
		m.Import(module, name, params, results)
		return m.Bytes()
	}
	start := Build()
	start.Func(none, none, 0)
	header := start.Bytes()[:8+6+4] // up to and with the function section
	twoStarts := append(header[:len(header):len(header)], 8, 1, 0, 8, 1, 0)
	fat := Build()
	fat.Memory(10_000, -1)
	outside := Build()
	outside.Memory(1, 1)
	outside.Data(65530, []byte("0123456789"))
	outside.Export("run", outside.Func(none, none, 0))
	reserved := Build()
	reserved.Export("ledge:meter/fuel", reserved.Func(none, none, 0))
	counter := Build() // global 0 would be the counter
	counter.Export("run", counter.Func(none, none, 0, Const64(1<<40), GlobalSet(0)))
	tick := Build() // function 1 would be what is after tick
	tick.Export("run", tick.Func(none, none, 0, Invoke(1)))
	for name, c := range map[string]struct {
		module []byte
		code   Code
		text   string
	}{
		"empty":            {nil, CodeBadModule, "not a WebAssembly"},
		"text":             {[]byte("(module)"), CodeBadModule, "not a WebAssembly"},
		"truncated":        {echo()[:40], CodeBadModule, ""},
		"component":        {[]byte("\x00asm\x0d\x00\x01\x00"), CodeUnsupportedABI, "component"},
		"half a filter":    {withImport("http_handler", "log", []byte{0x7f, 0x7f, 0x7f}, nil), CodeBadModule, "must export handle_re"},
		"for JavaScript":   {withImport("gojs", "runtime.wasmExit", i32, nil), CodeUnknownImport, "GOOS=wasip1"},
		"core of another":  {withImport("wasi:cli/exit@0.2.0", "exit", i32, nil), CodeUnknownImport, "component"},
		"unknown module":   {withImport("env", "f", nil, nil), CodeUnknownImport, `"env"`},
		"unknown function": {withImport(extism.Module, "nope", nil, nil), CodeUnknownImport, `"nope"`},
		"wrong signature":  {withImport(extism.Module, "alloc", i32, i32), CodeUnknownImport, "(i64) -> (i64)"},
		"not granted":      {withImport(extism.UserModule, "ledge_kv_get", i64, i64), CodeCapabilityDenied, "--grant kv"},
		"unknown user":     {withImport(extism.UserModule, "other", nil, nil), CodeUnknownImport, "other"},
		"counter import":   {withImport("ledge:meter", "tick", i64, i64), CodeUnknownImport, ""},
		"reserved export":  {reserved.Bytes(), CodeBadModule, "reserved"},
		"names counter":    {counter.Bytes(), CodeBadModule, "global index"},
		"names tick":       {tick.Bytes(), CodeBadModule, "function index"},
		"two starts":       {twoStarts, CodeBadModule, "repeated"},
		"too much memory":  {fat.Bytes(), CodeMemoryLimit, "655360000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newHost(t, Options{}).Load(context.Background(), c.module, PluginOptions{Name: "x"})
			if codeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %s with %q", err, c.code, c.text)
			}
		})
	}
	t.Run("segment out of range", func(t *testing.T) { // valid, and fails when it is instantiated
		p := load(t, newHost(t, Options{}), outside.Bytes(), PluginOptions{})
		if _, err := p.Call(context.Background(), Call{Export: "run"}); codeOf(err) != CodeTrap {
			t.Errorf("got %v", err)
		}
	})
}

func TestCall_HostFunctionSeesCallAndDeadline(t *testing.T) {
	var got [3]string
	fs := []HostFunction{
		{Name: "note", Params: []ValueType{I64}, Results: []ValueType{I64}, Func: func(ctx context.Context, c *HostCall, s []uint64) error {
			b, err := c.Read(s[0])
			got = [3]string{c.Plugin(), c.Tenant(), string(b)}
			if err != nil {
				return err
			}
			s[0], err = c.Write([]byte("answer"))
			return err
		}},
		{Name: "block", Func: func(ctx context.Context, _ *HostCall, _ []uint64) error {
			<-ctx.Done()
			return ctx.Err()
		}},
		{Name: "panics", Func: func(context.Context, *HostCall, []uint64) error { panic("a bug of the host") }},
		{Name: "fails", Func: func(context.Context, *HostCall, []uint64) error { return errors.New("no luck") }},
	}
	m := Build()
	off, set, length := env(m, "input_offset"), env(m, "output_set"), env(m, "length")
	note := m.Import(extism.UserModule, "note", i64, i64)
	m.Export("run", m.Func(none, none, 1, Invoke(off), Invoke(note), Op(0x22, 0), Get(0), Invoke(length), Invoke(set)))
	for _, name := range []string{"block", "panics", "fails"} {
		g := Build()
		g.Export("run", g.Func(none, none, 0, Invoke(g.Import(extism.UserModule, name, none, none))))
		p := load(t, newHost(t, Options{}), g.Bytes(), PluginOptions{Functions: fs, Limits: Limits{Timeout: 20 * time.Millisecond}})
		res, err := p.Call(context.Background(), Call{Export: "run"})
		want := CodeTrap
		if name == "block" {
			want = CodeDeadline
		}
		if codeOf(err) != want || res.Duration > 60*time.Millisecond {
			t.Errorf("%s: %v after %v", name, err, res.Duration)
		}
	}
	p := load(t, newHost(t, Options{}), m.Bytes(), PluginOptions{Name: "p", Functions: fs})
	res, err := p.Call(context.Background(), Call{Export: "run", Input: []byte("question"), Tenant: "t1"})
	if err != nil || string(res.Output) != "answer" || got != [3]string{"p", "t1", "question"} {
		t.Errorf("got %q, %v, %v", res.Output, got, err)
	}
}
