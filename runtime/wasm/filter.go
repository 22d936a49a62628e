package wasm

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/ledge-run/ledge/runtime/wasm/abi/httpwasm"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// HTTPExchange is a request and its response as a filter sees them.
type HTTPExchange = httpwasm.Exchange

// HTTPAnswer is the response in an [HTTPExchange].
type HTTPAnswer = httpwasm.Response

// abiFilter is the ABI of http-wasm filters.
const abiFilter = "http-wasm"

// filterInstances is how many requests a filter may hold at once by default. An instance stays with its request until
// the response is there, which waits for a model and costs nothing but its memory.
const filterInstances = 64

// Filter is one request for [Plugin.Filter].
type Filter struct {
	Exchange *HTTPExchange
	Tenant   string        // on whose behalf; handed to host functions, never to the guest
	Timeout  time.Duration // shortens the plugin's limit for each of the two calls; 0 leaves it in force
	// Next answers the request, which the filter may have changed, into Exchange.Response. It runs between the two calls
	// and in no limit of theirs. request is what handle_request cost; buffered says that the filter may still change the response; without it the response may
	// go out as it comes. An error tells the filter that there is no answer, and is returned if the filter does not make
	// one.
	Next func(request Result, buffered bool) error
}

// FilterResult is what the two calls of a filter cost.
type FilterResult struct {
	Request, Response Result // Response is empty where the filter answered by itself
	Answered          bool   // the filter answered by itself; Next was not called
}

// Filter passes a request through a filter: handle_request, Next unless the filter answers by itself, handle_response.
// Both calls run on the same instance. The error is nil, that of Next, or of type *[Error]; after the latter Exchange
// holds what was changed until then.
func (p *Plugin) Filter(ctx context.Context, f Filter) (res FilterResult, err error) {
	if p.abi != abiFilter {
		return res, p.count(p.failf(CodeUnsupportedABI, httpwasm.HandleRequest, "not an http-wasm filter but of ABI %s", p.abi))
	}
	probe, err := p.breaker.enter()
	if err != nil {
		return res, p.count(p.failf(CodeBreakerOpen, httpwasm.HandleRequest, "%v", err))
	}
	var own, next error
	defer func() {
		p.breaker.leave(probe, own)
		_ = p.count(own)
	}()
	inst, own := p.pool.acquire(ctx)
	if own != nil {
		own = p.at(httpwasm.HandleRequest, own)
		return res, own
	}
	defer p.pool.release(inst)
	defer inst.endFilter()
	inst.kernel.Begin(nil)
	inst.guest.exchange = f.Exchange
	timeout := p.limits.Timeout
	if f.Timeout > 0 && f.Timeout < timeout {
		timeout = f.Timeout
	}
	res.Request, own = inst.runFilter(ctx, httpwasm.HandleRequest, f.Tenant, timeout)
	if own != nil {
		return res, own
	}
	verdict := inst.stack[0]
	if uint32(verdict) == 0 {
		res.Answered = true
		return res, nil
	}
	next = f.Next(res.Request, inst.guest.features&httpwasm.BufferResponse != 0)
	f.Exchange.Answered()
	inst.stack = [2]uint64{verdict >> 32, 0}
	if next != nil {
		inst.stack[1] = 1
	}
	res.Response, own = inst.runFilter(context.WithoutCancel(ctx), httpwasm.HandleResponse, f.Tenant, timeout)
	if next != nil {
		return res, next
	}
	return res, own
}

func (inst *instance) runFilter(ctx context.Context, export, tenant string, timeout time.Duration) (res Result, err error) {
	inst.guest.logs = nil // of the other call
	err = inst.run(ctx, &Call{Export: export, Tenant: tenant}, inst.plugin.find(export), timeout, &res)
	if err == nil && inst.guest.exit != nil {
		err = inst.plugin.failf(CodeExited, export, "exit status 0 instead of an answer")
	}
	return res, err
}

func (inst *instance) endFilter() {
	inst.kernel.End()
	inst.mem.extra = 0
	inst.guest.exchange = nil
	inst.guest.end()
}

// isFilter says whether a module is an http-wasm filter: by its imports or, as one may need none, by its exports.
func isFilter(info *meter.Info) bool {
	imports := slices.ContainsFunc(info.Imports, func(i meter.Import) bool { return i.Module == httpwasm.Module })
	return imports || exported(info, httpwasm.HandleRequest) != nil && exported(info, httpwasm.HandleResponse) != nil
}

func exported(info *meter.Info, name string) *meter.FuncType {
	for _, e := range info.Exports {
		if e.Kind == meter.KindFunc && e.Name == name {
			return &e.Type
		}
	}
	return nil
}

// checkFilter says what a filter lacks.
func checkFilter(info *meter.Info) *Error {
	for name, want := range map[string]meter.FuncType{
		httpwasm.HandleRequest:  {Results: []byte{api.ValueTypeI64}},
		httpwasm.HandleResponse: {Params: []byte{api.ValueTypeI32, api.ValueTypeI32}},
	} {
		switch got := exported(info, name); {
		case got == nil:
			return errorf(CodeBadModule, "an http-wasm filter must export %s", name)
		case !want.Equal(*got):
			return errorf(CodeBadModule, "an http-wasm filter must export %s as %s; it is %s", name, signature(want), signature(*got))
		}
	}
	return nil
}

// The methods below are what a filter gets beside the exchange.

func (g *guest) Exchange() *httpwasm.Exchange { return g.exchange }
func (g *guest) Features() *uint32            { return &g.features }
func (g *guest) Moved(n int)                  { g.inst.kernel.Moved += n }

// HTTPConfig is the plugin's configuration as filters expect it: bytes of a form of their own under the key "config", or
// else all of it as a JSON object; nothing where there is none.
func (g *guest) HTTPConfig() []byte {
	config := g.inst.plugin.config
	if own, ok := config["config"]; ok && len(config) == 1 {
		return []byte(own)
	}
	if len(config) == 0 {
		return nil
	}
	doc, err := json.Marshal(config)
	if err != nil {
		panic(err) // a map of strings
	}
	return doc
}

func (g *guest) HTTPLog(level int, text []byte) error {
	levels := map[int]slog.Level{-1: slog.LevelDebug, 0: slog.LevelInfo, 1: slog.LevelWarn, 2: slog.LevelError}
	if err := g.log(levels[level], "log", string(text)); err != nil {
		return err
	}
	return nil
}

// start runs what a filter needs before its first request, if it is not a reactor: _start, as the reference does.
func (inst *instance) start() error {
	f := inst.mod.ExportedFunction("_start")
	if f == nil || len(f.Definition().ParamTypes())+len(f.Definition().ResultTypes()) > 0 {
		return nil
	}
	if _, err := f.Call(&inst.guest); err != nil {
		return inst.notStarted("_start", err)
	}
	return nil
}
