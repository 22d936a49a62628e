package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// maxToolResult bounds what a tool may put into the prompt, in bytes.
const maxToolResult = 16 << 10

// hostTools are the tools of the route that this request may have run here: those the client offers by name, and all of
// them where the route always offers them.
func (x *exchange) hostTools() map[string]*HostTool {
	if x.injected {
		return nil
	}
	if c := x.req.Prompt.ToolChoice; c != nil && c.Mode == "none" {
		return nil
	}
	var out map[string]*HostTool
	add := func(t *HostTool) {
		if out == nil {
			out = map[string]*HostTool{}
		}
		out[t.Definition.Function.Name] = t
	}
	for i := range x.route.Tools {
		t := &x.route.Tools[i]
		if x.route.AlwaysOffer && x.req.Messages != nil {
			add(t)
			continue
		}
		for _, offered := range x.req.Prompt.Tools {
			if offered.Function.Name == t.Definition.Function.Name {
				add(t)
			}
		}
	}
	return out
}

// noteUndescribed enters the tool plugins that the request has to do without.
func (x *exchange) noteUndescribed() {
	if len(x.req.Prompt.Tools) == 0 {
		return
	}
	for _, u := range x.route.Undescribed {
		x.trace.add(Entry{Stage: "tool", Plugin: u.Plugin.Name(), Digest: u.Plugin.Digest()}).fail(&Stage{Open: true}, u.Err)
	}
}

// offered is what the model is told of: the client's tools, and the host's own in place of those of the same name,
// because the host's schema is the one that will be called.
func (x *exchange) offered(host map[string]*HostTool) []openai.Tool {
	if x.injected {
		return nil
	}
	if c := x.req.Prompt.ToolChoice; c != nil && c.Mode == "none" {
		return nil
	}
	var out []openai.Tool
	seen := map[string]bool{}
	for _, t := range x.req.Prompt.Tools {
		if h := host[t.Function.Name]; h != nil {
			t = h.Definition
		}
		seen[t.Function.Name] = true
		out = append(out, t)
	}
	for i := range x.route.Tools {
		t := x.route.Tools[i].Definition
		if host[t.Function.Name] != nil && !seen[t.Function.Name] {
			out = append(out, t)
		}
	}
	return out
}

// suggested are the calls the router asked for, made before the model runs.
func (x *exchange) suggested(host map[string]*HostTool) []openai.ToolCall {
	var calls []openai.ToolCall
	for i, c := range x.decision.ToolCalls {
		if host[c.Name] == nil {
			continue
		}
		id := c.ID
		if id == "" {
			id = fmt.Sprintf("call_route_%d", i)
		}
		calls = append(calls, openai.ToolCall{ID: id, Type: "function", Function: openai.FunctionCall{Name: c.Name, Arguments: c.Arguments}})
	}
	return calls
}

// runnable says whether every call is for a tool that runs here. Otherwise the client gets them all: it offered them.
func runnable(calls []openai.ToolCall, host map[string]*HostTool) bool {
	for _, c := range calls {
		if host[c.Function.Name] == nil {
			return false
		}
	}
	return len(calls) > 0
}

// runTools makes the calls and returns the messages that tell the model of them.
func (x *exchange) runTools(calls []openai.ToolCall, host map[string]*HostTool) ([]openai.Message, error) {
	out := []openai.Message{{Role: "assistant", ToolCalls: calls}}
	for _, c := range calls {
		result, err := x.runTool(host[c.Function.Name], c)
		if err != nil {
			return nil, err
		}
		out = append(out, openai.Message{Role: "tool", ToolCallID: c.ID, Name: c.Function.Name, Content: openai.Content(result)})
	}
	return out, nil
}

// runTool makes one call, with the tool guards before and behind it. The same call in the same request runs once. What
// goes wrong inside a tool is told to the model, which may do better; only a guard or the client ends the request.
func (x *exchange) runTool(t *HostTool, c openai.ToolCall) (string, error) {
	args := strings.TrimSpace(c.Function.Arguments)
	if args == "" {
		args = "{}"
	}
	key := c.Function.Name + "\x00" + args
	if result, ok := x.memo[key]; ok {
		return result, nil
	}
	guarded := text{stage: hook.StageTool, role: "assistant", message: -1, get: func() string { return args }, set: func(s string) { args = s }}
	for i := range x.route.Tool {
		if err := x.guard("guard.tool", &x.route.Tool[i], []text{guarded}); err != nil {
			return "", err
		}
	}
	result, err := x.callTool(t, c.Function.Name, args)
	if err != nil {
		return "", err
	}
	guarded = text{stage: hook.StageTool, role: "tool", message: -1, data: true, get: func() string { return result }, set: func(s string) { result = s }}
	for i := range x.route.Tool {
		if err := x.guard("guard.tool", &x.route.Tool[i], []text{guarded}); err != nil {
			return "", err
		}
	}
	x.memo[key] = result
	return result, nil
}

func (x *exchange) callTool(t *HostTool, name, args string) (string, error) {
	entry := x.trace.add(Entry{Stage: "tool", Plugin: t.Plugin.Name(), Digest: t.Plugin.Digest(), Verdict: "ok", Reason: name})
	req := &hook.ToolRequest{Method: "tools/call", Params: hook.ToolParams{Name: name, Arguments: hook.Raw(args)}}
	if !req.Params.Arguments.IsObject() {
		entry.Verdict = "bad_arguments"
		return "error: the arguments are not a JSON object", nil
	}
	input := getBuffer()
	defer putBuffer(input)
	*input = req.AppendJSON((*input)[:0])
	res, err := t.Plugin.Call(x.ctx, wasm.Call{Export: hook.ExportCall, Input: *input, Tenant: x.req.Tenant})
	entry.took(res.Duration, res.Fuel)
	var out hook.ToolResult
	if err == nil {
		if err = out.ParseJSON(res.Output); err != nil {
			err = fmt.Errorf("tool %s: %w", name, err)
		}
	}
	if err != nil {
		if x.ctx.Err() != nil {
			return "", x.ctx.Err()
		}
		entry.fail(&Stage{Open: true}, err)
		return "error: the tool " + name + " failed", nil
	}
	var b strings.Builder
	if out.IsError {
		entry.Verdict = "tool_error"
		b.WriteString("error: ")
	}
	for _, part := range out.Content {
		if b.WriteString(part.Text); part.Text == "" && part.Type != "text" {
			fmt.Fprintf(&b, "[a part of type %s was left out]", clip(part.Type, 20))
		}
	}
	return clip(b.String(), maxToolResult), nil
}

// Describe asks a plugin for its tools.
func Describe(ctx context.Context, p Plugin) ([]HostTool, error) {
	res, err := p.Call(ctx, wasm.Call{Export: hook.ExportDescribe})
	if err != nil {
		return nil, fmt.Errorf("describe of %s: %w", p.Name(), err)
	}
	var list hook.ToolList
	if err = list.ParseJSON(res.Output); err == nil {
		err = list.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("describe of %s: %w", p.Name(), err)
	}
	tools := make([]HostTool, len(list.Tools))
	for i, t := range list.Tools {
		tools[i] = HostTool{Plugin: p, Definition: openai.Tool{Type: "function",
			Function: openai.Function{Name: t.Name, Description: t.Description, Parameters: []byte(t.InputSchema)}}}
	}
	return tools, nil
}
