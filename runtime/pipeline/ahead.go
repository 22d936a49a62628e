package pipeline

import (
	"bytes"
	"context"
	"runtime"
	"sync/atomic"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// ahead is the plugin calls of a request that may be made before their turn, on the guess that no stage before theirs
// changes the request. A call whose turn comes takes the result of the one with the same input; where a guard did change
// something the input is another, and the call is made as if nothing had been begun. Only plugins without capabilities are
// called ahead: calling them in vain has no effect.
//
// Other processors take the calls in order while the first guard is called on the request's own. When that has to wait
// for one of them, it makes those that nobody has taken yet.
type ahead struct {
	calls  []*aheadCall
	ctx    context.Context // not stopped with the request, whose end an instance in work would not survive: time limits do
	tenant string
	over   atomic.Bool // what nobody has taken is not needed any more
}

type aheadCall struct {
	stage  *Stage
	export string
	input  []byte
	taken  atomic.Bool
	done   chan struct{}
	res    wasm.Result
	err    error
}

// begin lists the calls of the guards after the first, and that of the router, and lets other processors take them.
func (a *ahead) begin(x *exchange) {
	processors := runtime.GOMAXPROCS(0)
	if processors < 2 || len(x.route.Input) == 0 {
		return
	}
	a.ctx, a.tenant = context.WithoutCancel(x.ctx), x.req.Tenant
	add := func(s *Stage, export string, input []byte) {
		a.calls = append(a.calls, &aheadCall{stage: s, export: export, input: input, done: make(chan struct{})})
	}
	texts := x.inputTexts()
	for i := range x.route.Input[1:] {
		s := &x.route.Input[i+1]
		if !s.Pure {
			continue
		}
		for _, t := range texts {
			if content := t.get(); content != "" {
				add(s, hook.ExportGuard, x.guardRequest(t, content).AppendJSON(nil))
			}
		}
	}
	if s := x.route.Router; s != nil && s.Pure {
		if models := x.models(); len(models) > 0 {
			add(s, hook.ExportRoute, x.routeRequest(models).AppendJSON(nil))
		}
	}
	for range min(processors-1, len(a.calls)) {
		go func() {
			for _, c := range a.calls {
				if a.over.Load() {
					return
				}
				a.do(c)
			}
		}()
	}
}

// end leaves out the calls that nobody has taken.
func (a *ahead) end() { a.over.Store(true) }

// do makes a call unless someone has taken it.
func (a *ahead) do(c *aheadCall) bool {
	if c.taken.Swap(true) {
		return false
	}
	c.res, c.err = c.stage.Plugin.Call(a.ctx, wasm.Call{Export: c.export, Input: c.input, Tenant: a.tenant, Timeout: c.stage.Timeout})
	close(c.done)
	return true
}

// take returns the result of the call if it is one of those that are made ahead.
func (a *ahead) take(ctx context.Context, s *Stage, export string, input []byte) (wasm.Result, error, bool) {
	for _, c := range a.calls {
		if c.stage != s || c.export != export || !bytes.Equal(c.input, input) {
			continue
		}
		if a.do(c) {
			return c.res, c.err, true
		}
		for _, other := range a.calls {
			select {
			case <-c.done:
				return c.res, c.err, true
			default:
				a.do(other)
			}
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
