package wasm

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ledge-run/ledge/runtime/wasm/abi/bulk"
	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/abi/httpwasm"
	"github.com/ledge-run/ledge/runtime/wasm/abi/wasip1"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// lentFunction is a function that every guest may import.
type lentFunction struct {
	name string
	meter.FuncType
	// call gets the instance that called, which has its memory, and the guest, which is whoever was called from outside.
	call func(g *guest, mod api.Module, stack []uint64) error
}

// lent are the functions that every guest may import, by module.
var lent = func() map[string][]lentFunction {
	m := make(map[string][]lentFunction)
	lend := func(module, name string, params, results []byte, call func(*guest, api.Module, []uint64) error) {
		m[module] = append(m[module], lentFunction{name, meter.FuncType{Params: params, Results: results}, call})
	}
	for _, f := range extism.Functions() {
		lend(extism.Module, f.Name, f.Params, f.Results, func(g *guest, _ api.Module, s []uint64) error {
			return f.Call(&g.inst.kernel, s)
		})
	}
	for _, f := range bulk.Functions() {
		lend(bulk.Module, f.Name, f.Params, f.Results, func(g *guest, mod api.Module, s []uint64) error {
			g.inst.dirtied = g.inst.dirtied || f.Writes
			return f.Call(&g.inst.kernel, memoryOf(mod), s)
		})
	}
	for _, f := range httpwasm.Functions() {
		lend(httpwasm.Module, f.Name, f.Params, f.Results, func(g *guest, mod api.Module, s []uint64) error {
			g.inst.dirtied = true
			return f.Call(g, memoryOf(mod), s)
		})
	}
	for _, f := range wasip1.Functions() {
		lend(wasip1.Module, f.Name, f.Params, f.Results, func(g *guest, mod api.Module, s []uint64) error {
			g.inst.dirtied = true
			return f.Call(g, memoryOf(mod), s)
		})
	}
	return m
}()

// memoryOf is an instance's memory, or nil: the engine has a nil pointer in the interface for none.
func memoryOf(mod api.Module) api.Memory {
	if m := mod.Memory(); m != nil && !reflect.ValueOf(m).IsNil() {
		return m
	}
	return nil
}

// lentType returns the signature of a function that every guest may import.
func lentType(module, name string) (meter.FuncType, bool) {
	for _, f := range lent[module] {
		if f.name == name {
			return f.FuncType, true
		}
	}
	return meter.FuncType{}, false
}

// instantiateImports gives the engine the modules that every guest may import from.
func instantiateImports(ctx context.Context, rt wazero.Runtime) error {
	b := rt.NewHostModuleBuilder(meter.TickModule)
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, s []uint64) {
		s[0] = uint64(guestOf(ctx).tick(int64(s[0])))
	}), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).Export(meter.TickName)
	if _, err := b.Instantiate(ctx); err != nil {
		return err
	}
	for module, functions := range lent {
		b := rt.NewHostModuleBuilder(module)
		for _, f := range functions {
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, s []uint64) {
				g := guestOf(ctx)
				g.enterHost()
				if err := f.call(g, mod, s); err != nil {
					g.stop(f.name, err)
				}
			}), f.Params, f.Results).Export(f.name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// userModule makes the module "extism:host/user" of one plugin. It has no name in the engine; the plugin's instances
// find it by resolver.
func userModule(ctx context.Context, rt wazero.Runtime, functions []HostFunction) (api.Module, wazero.CompiledModule, error) {
	b := rt.NewHostModuleBuilder(extism.UserModule)
	for _, f := range functions {
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, s []uint64) {
			g := guestOf(ctx)
			g.enterHost()
			g.serve(&f, s)
		}), valueTypes(f.Params), valueTypes(f.Results)).Export(f.Name)
	}
	code, err := b.Compile(ctx)
	if err != nil {
		return nil, nil, err
	}
	mod, err := rt.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		code.Close(ctx)
		return nil, nil, err
	}
	return mod, code, nil
}

func valueTypes(ts []ValueType) []byte {
	b := make([]byte, len(ts))
	for i, t := range ts {
		b[i] = byte(t)
	}
	return b
}

// checkImports refuses what the host does not have or the plugin was not granted, and says what to do.
func checkImports(info *meter.Info, functions []HostFunction, linked []*linkedModule) *Error {
	for _, i := range info.Imports {
		if i.Kind != meter.KindFunc {
			return errorf(CodeUnknownImport, "imports %s %q.%q; this host lends functions only, and a module brings its own memory", kindName(i.Kind), i.Module, i.Name)
		}
		want, known := lentType(i.Module, i.Name)
		if n := slices.IndexFunc(linked, func(l *linkedModule) bool { return l.Name == i.Module }); n >= 0 {
			t := exported(linked[n].info, i.Name)
			if t == nil {
				return errorf(CodeUnknownImport, "imports %q, which the linked module %s does not export", i.Name, i.Module)
			}
			if !t.Equal(i.Type) {
				return errorf(CodeUnknownImport, "imports %q.%q as %s; the linked module has it as %s", i.Module, i.Name, signature(i.Type), signature(*t))
			}
			continue
		}
		if i.Module == extism.UserModule {
			n := slices.IndexFunc(functions, func(f HostFunction) bool { return f.Name == i.Name })
			if n < 0 {
				return notGranted(i.Name)
			}
			want, known = meter.FuncType{Params: valueTypes(functions[n].Params), Results: valueTypes(functions[n].Results)}, true
		}
		switch {
		case lent[i.Module] == nil && i.Module != extism.UserModule:
			return errorf(CodeUnknownImport, "imports %q from module %q, which this host does not have; it has %q, %q, %q, %q and %q%s",
				i.Name, i.Module, extism.Module, extism.UserModule, bulk.Module, wasip1.Module, httpwasm.Module, elsewhere(i.Module, i.Name))
		case !known:
			return errorf(CodeUnknownImport, "imports %q.%q, which this host does not have", i.Module, i.Name)
		case !want.Equal(i.Type):
			return errorf(CodeUnknownImport, "imports %q.%q as %s; this host has it as %s", i.Module, i.Name, signature(i.Type), signature(want))
		}
	}
	return nil
}

// notGranted: functions of capabilities are named <host>_<capability>_<verb>, which tells what to grant.
func notGranted(name string) *Error {
	if parts := strings.SplitN(name, "_", 3); len(parts) == 3 && parts[0] == "ledge" {
		return errorf(CodeCapabilityDenied, "imports %q of capability %q, which the plugin was not granted; ask for %q in its manifest and grant it in the policy (ledge plugin call: --grant %s)",
			name, parts[1], parts[1], parts[1])
	}
	return errorf(CodeUnknownImport, "imports %q.%q, which this host does not lend to the plugin", extism.UserModule, name)
}

// elsewhere says what an imported module is made for, where that is known, and what to do.
func elsewhere(module, name string) string {
	switch {
	case module == "env" && (name == "abort" || name == "seed" || name == "trace"):
		return "; AssemblyScript imports it unless told otherwise: build with --use " + name + "=FILE/FUNCTION, a function of the plugin's own"
	case module == "wasi_unstable":
		return "; it was built for a preview of WASI from before 2020: build it for wasm32-wasip1"
	case module == "env":
		return "; the linker left symbols undefined, or it was built for JavaScript: build it for wasm32-wasip1 or wasm32-unknown-unknown without undefined symbols"
	case module == "gojs" || module == "go":
		return "; it was built with GOOS=js: build it with GOOS=wasip1"
	case strings.HasPrefix(module, "__wbindgen"):
		return "; it was built for JavaScript with wasm-bindgen: build it without"
	case module == "wasi_ephemeral_nn" || module == "proxy_wasm":
		return "; this host does not run that ABI"
	case strings.HasPrefix(module, "wasi:") || strings.HasPrefix(module, "cm32p2"):
		return "; it is the core of a component: build for wasm32-wasip1, not wasip2"
	}
	return "; a module of that name is linked by an Extism manifest that lists both, this one as \"main\""
}

func signature(t meter.FuncType) string {
	names := func(ts []byte) string {
		s := make([]string, len(ts))
		for i, t := range ts {
			s[i] = api.ValueTypeName(t)
		}
		return strings.Join(s, ",")
	}
	return fmt.Sprintf("(%s) -> (%s)", names(t.Params), names(t.Results))
}

func kindName(kind byte) string {
	switch kind {
	case meter.KindFunc:
		return "func"
	case meter.KindTable:
		return "table"
	case meter.KindMemory:
		return "memory"
	}
	return "global"
}
