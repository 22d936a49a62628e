package pipeline

import (
	"bytes"
	"context"
	"runtime"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// ahead is the plugin calls of a request that were begun before their turn, on the guess that no stage before theirs
// changes the request. A call whose turn comes takes the result of the one with the same input; where a guard did change
// something the input is another, and the call is made as if nothing had been begun. Only plugins without capabilities are
// called ahead: calling them in vain has no effect.
type ahead struct {
	of map[*Stage][]*aheadCall
}

type aheadCall struct {
	export string
	input  []byte
	done   chan struct{}
	res    wasm.Result
	err    error
}

// begin starts the calls of the guards after the first, and that of the router. They run on while the first guard is
// called, and are not stopped with the request, whose end an instance in work would not survive: their own time limits do.
func (a *ahead) begin(x *exchange) {
	if runtime.GOMAXPROCS(0) < 2 || len(x.route.Input) == 0 {
		return
	}
	ctx := context.WithoutCancel(x.ctx)
	tenant := x.req.Tenant
	start := func(s *Stage, calls []*aheadCall) {
		if a.of == nil {
			a.of = map[*Stage][]*aheadCall{}
		}
		a.of[s] = calls
		go func() {
			for _, c := range calls {
				c.res, c.err = s.Plugin.Call(ctx, wasm.Call{Export: c.export, Input: c.input, Tenant: tenant, Timeout: s.Timeout})
				close(c.done)
			}
		}()
	}
	call := func(export string, input []byte) *aheadCall {
		return &aheadCall{export: export, input: input, done: make(chan struct{})}
	}
	texts := x.inputTexts()
	for i := range x.route.Input[1:] {
		s := &x.route.Input[i+1]
		if !s.Pure {
			continue
		}
		var calls []*aheadCall
		for _, t := range texts {
			if content := t.get(); content != "" {
				calls = append(calls, call(hook.ExportGuard, x.guardRequest(t, content).AppendJSON(nil)))
			}
		}
		start(s, calls)
	}
	if s := x.route.Router; s != nil && s.Pure {
		if models := x.models(); len(models) > 0 {
			start(s, []*aheadCall{call(hook.ExportRoute, x.routeRequest(models).AppendJSON(nil))})
		}
	}
}

// take returns the result of the call if it was begun.
func (a *ahead) take(ctx context.Context, s *Stage, export string, input []byte) (wasm.Result, error, bool) {
	for _, c := range a.of[s] {
		if c.export != export || !bytes.Equal(c.input, input) {
			continue
		}
		select {
		case <-c.done:
			return c.res, c.err, true
		case <-ctx.Done():
			return wasm.Result{}, ctx.Err(), true
		}
	}
	return wasm.Result{}, nil, false
}
