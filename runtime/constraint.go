package runtime

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/grammar"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// maxPrograms bounds the compiled forms that a model keeps.
const maxPrograms = 16

// forms compiles the forms of requests for one model's vocabulary and keeps the last ones. It is safe for concurrent use.
type forms struct {
	tok   *tokenizer.Tokenizer
	style callStyle
	vocab func() *grammar.Vocabulary

	mu   sync.Mutex
	kept map[[32]byte]*list.Element
	last list.List // of *compiled, the newest first
}

// compiled is a form ready to run, or why it is not.
type compiled struct {
	key     [32]byte
	once    sync.Once
	program *grammar.Program
	err     error
}

// newForms serves an engine. template is the chat template in place of the file's own; empty: the file's.
func newForms(e *engine.Engine, template string) *forms {
	source := template
	if source == "" {
		source, _ = e.File().String("tokenizer.chat_template")
	}
	tok := e.Tokenizer()
	return &forms{tok: tok, style: styleOf(source), kept: map[[32]byte]*list.Element{}, vocab: sync.OnceValue(func() *grammar.Vocabulary {
		return grammar.NewVocabulary(tok.Size(), func(id int32) []byte {
			if tok.IsControl(id) {
				return nil
			}
			return tok.TokenBytes(id)
		}, tok.IsEOG)
	})}
}

// compile compiles a form, or finds it among those kept. The key is the form itself.
func (f *forms) compile(form grammar.Form) (*grammar.Program, error) {
	doc, err := json.Marshal(form)
	if err != nil {
		return nil, err
	}
	c := f.entry(sha256.Sum256(doc))
	c.once.Do(func() { // others with the same form wait; the rest do not
		g, err := grammar.Compile(form)
		if c.err = err; err == nil {
			c.program = grammar.NewProgram(g, f.vocab())
		}
	})
	return c.program, c.err
}

// entry finds the place of a form, or makes one in the oldest's stead.
func (f *forms) entry(key [32]byte) *compiled {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.kept[key]; ok {
		f.last.MoveToFront(e)
		return e.Value.(*compiled)
	}
	c := &compiled{key: key}
	f.kept[key] = f.last.PushFront(c)
	if f.last.Len() > maxPrograms {
		oldest := f.last.Back()
		delete(f.kept, oldest.Value.(*compiled).key)
		f.last.Remove(oldest)
	}
	return c
}

// constrain returns what holds the answer to its form, nil if nothing does, and its name for the trace. The form is the
// client's format, and the schemas of the tools that may be called.
func (f *forms) constrain(p *pipeline.Prompt) (sample.Constraint, string, error) {
	form, name := grammar.Form{}, ""
	if p.Format != nil {
		form.Content = &grammar.Source{Kind: p.Format.Kind, Text: p.Format.Source}
		name = p.Format.Kind
		if p.Format.Strict {
			name += " strict"
		}
	}
	tools, forced := callable(p)
	auto := len(tools) > 0 && !forced && form.Content == nil
	if len(tools) > 0 {
		form.Calls = f.style.calls(tools)
		switch {
		case forced:
			form.Content, name = nil, "tool_calls forced"
		case auto:
			name = "tool_calls when begun"
			form.Calls.Open = "" // it was written when the constraint begins
		default:
			name += " or tool_calls"
		}
	}
	if form.Content == nil && form.Calls == nil {
		return nil, "", nil
	}
	program, note, err := f.relaxed(p, form)
	if err != nil {
		return nil, "", err
	}
	if auto {
		return &callGuide{f: f, program: program}, name + note, nil
	}
	m, err := program.NewMatcher()
	if err != nil {
		return nil, "", err
	}
	return m, name + note, nil
}

// relaxed compiles a form. Where a schema cannot be enforced and the client did not ask for strictness, any object takes
// its place, and the note says so.
func (f *forms) relaxed(p *pipeline.Prompt, form grammar.Form) (*grammar.Program, string, error) {
	note := ""
	for {
		program, err := f.compile(form)
		if err == nil {
			return program, note, nil
		}
		var tool *grammar.ToolError
		var schema *grammar.SchemaError
		switch {
		case errors.As(err, &tool):
			t := form.Calls.Tools[tool.Tool]
			for i, offered := range p.Tools {
				if offered.Function.Name != t.Name {
					continue
				}
				if s := offered.Function.Strict; s != nil && *s {
					return nil, "", openai.Invalid(fmt.Sprintf("tools[%d].function.parameters", i), "invalid_function_parameters", "the parameters of the function %s cannot be enforced: %v", t.Name, tool.Err)
				}
			}
			if t.Schema == nil {
				return nil, "", cannotHold(err)
			}
			relaxed := *form.Calls
			relaxed.Tools = append([]grammar.Tool(nil), form.Calls.Tools...)
			relaxed.Tools[tool.Tool].Schema = nil
			form.Calls = &relaxed
			note += fmt.Sprintf("; any object for %s, since %v", t.Name, tool.Err)
		case errors.As(err, &schema) && p.Format != nil && !p.Format.Strict && form.Content.Kind == grammar.KindSchema && json.Valid([]byte(p.Format.Source)):
			form.Content = &grammar.Source{Kind: grammar.KindObject}
			note += "; any object, since " + schema.Error()
		case p.Format != nil:
			code := "invalid_value"
			if schema != nil {
				code = "invalid_json_schema"
			}
			return nil, "", openai.Invalid(p.Format.Param, code, "%s cannot be enforced: %v", p.Format.Param, err)
		default:
			return nil, "", cannotHold(err)
		}
	}
}

// cannotHold is the refusal of tools to whose form an answer cannot be held.
func cannotHold(err error) error {
	return openai.Invalid("tools", "invalid_value", "calls of the tools cannot be enforced: %v", err)
}

// callable are the tools that the model may call, and whether it must call one.
func callable(p *pipeline.Prompt) (tools []grammar.Tool, forced bool) {
	name := ""
	if c := p.ToolChoice; c != nil {
		switch c.Mode {
		case "none":
			return nil, false
		case "required":
			forced = true
		case "function":
			forced, name = true, c.Function
		}
	}
	for _, t := range p.Tools {
		if name == "" || t.Function.Name == name {
			schema := []byte(t.Function.Parameters)
			if string(schema) == "null" {
				schema = nil
			}
			tools = append(tools, grammar.Tool{Name: t.Function.Name, Schema: schema})
		}
	}
	return tools, forced && len(tools) > 0
}

// callGuide leaves an answer free until it begins a tool call, and then holds the call to its form.
type callGuide struct {
	f       *forms
	program *grammar.Program

	seen  []byte // the end of the text so far, as long as a mark
	begun bool   // something other than white space was written
	done  bool   // a call ended the answer
	call  *grammar.Matcher
}

var _ sample.Constraint = (*callGuide)(nil)

// Mask implements sample.Constraint.
func (g *callGuide) Mask(mask []uint32) error {
	if g.call != nil {
		return g.call.Mask(mask)
	}
	for i := range mask {
		mask[i] = ^uint32(0)
	}
	return nil
}

// Complete implements sample.Constraint. After a call with a closing mark the model may write another one, or end.
func (g *callGuide) Complete() bool { return g.done }

// Accept implements sample.Constraint.
func (g *callGuide) Accept(id int32) error {
	if g.call == nil {
		return g.watch(g.f.tok.TokenBytes(id))
	}
	if err := g.call.Accept(id); err != nil {
		return err
	}
	if g.call.Complete() {
		g.call, g.seen, g.done = nil, g.seen[:0], g.f.style.close == ""
	}
	return nil
}

// watch looks for the beginning of a call in free text. A token may end a mark and go on: what does not fit the call is
// no call then, and stays text.
func (g *callGuide) watch(b []byte) error {
	for i, c := range b {
		g.seen = append(g.seen, c)
		rest := b[i+1:]
		opens := bytes.HasSuffix(g.seen, []byte(g.f.style.open)) && g.f.style.open != ""
		if g.f.style.bare && !g.begun && c == '{' {
			opens, rest = true, b[i:]
		}
		g.begun = g.begun || !strings.ContainsRune(" \t\r\n", rune(c))
		if !opens {
			continue
		}
		m, err := g.program.NewMatcher()
		if err != nil {
			return err
		}
		if m.AcceptBytes(rest) && !m.Complete() {
			g.call = m
			return nil
		}
	}
	if n := len(g.seen) - 32; n > 0 {
		g.seen = append(g.seen[:0], g.seen[n:]...)
	}
	return nil
}
