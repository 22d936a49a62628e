// Package template turns a conversation into the prompt text a model was trained on, by the chat template
// that its file carries (Jinja, tokenizer.chat_template) or by a plain one for models without.
//
// It renders as Hugging Face's apply_chat_template does, from the same variables: messages, tools,
// documents, add_generation_prompt, bos_token, eos_token, strftime_now and raise_exception. It knows nothing
// of tokens or of HTTP. The language itself is in the folder jinja.
//
// Start with Parse, Plain and (*Template).Render.
package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/slm/template/jinja"
)

// Message is one turn of a conversation.
type Message struct {
	Role       string // "system", "user", "assistant", "tool", or what the template knows
	Content    string
	Name       string     // of the participant, or of the tool that answers
	ToolCalls  []ToolCall // of an assistant
	ToolCallID string     // of a tool's answer
}

// ToolCall is a call that the assistant made.
type ToolCall struct {
	ID        string
	Name      string
	Arguments string // a JSON object
}

// Input is what a template is rendered over.
type Input struct {
	Messages []Message
	// Tools are the definitions of OpenAI's tools field: json.RawMessage, which keeps the order of keys, or
	// anything that marshals to JSON. Empty means none.
	Tools []any
	// AddGenerationPrompt asks for the opening of the assistant's turn at the end.
	AddGenerationPrompt bool
	// Vars are more variables for the template, such as enable_thinking. They do not replace those above.
	Vars map[string]any
}

// Options are what a template needs of its model.
type Options struct {
	BOS, EOS string           // the spelling of the tokens, "" if the model has none
	Now      func() time.Time // for strftime_now; nil is time.Now
}

// Template is immutable and safe for concurrent use.
type Template struct {
	opts       Options
	compiled   *jinja.Template // nil for the plain template
	tools      bool
	argsAsText bool
}

var (
	mentionsTools   = regexp.MustCompile(`\btools\b`)
	argumentsAsText = regexp.MustCompile(`arguments['"]?\]?\s*(\+|~|-?\}\})`)
	argumentsAsDict = regexp.MustCompile(`arguments['"]?\]?\s*(\)\s*)?(\|\s*(tojson|items|dictsort)|\.items\b|is\s+(not\s+)?(mapping|string))`)
)

// Parse reads a chat template. The error names the line.
func Parse(src string, o Options) (*Template, error) {
	c, err := jinja.Parse(src)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &Template{
		opts:     o,
		compiled: c,
		tools:    mentionsTools.MatchString(src),
		// Templates disagree on whether a call's arguments are a value, as in transformers' documentation, or
		// text, as in OpenAI's. One that writes them out as they are means text.
		argsAsText: argumentsAsText.MatchString(src) && !argumentsAsDict.MatchString(src),
	}, nil
}

// Plain is the template for a model without one, such as a base model that only continues text:
//
//   - A single message that is not an assistant's is rendered as its content and nothing else, so that a
//     story model given "Once upon a time" tells the story.
//   - Several messages are joined by a blank line between. A system message stands by itself; the others
//     have their role and a colon in front: "User: ...", "Assistant: ...", "Tool: ...". With
//     AddGenerationPrompt the text ends in "Assistant:", without a space after, since in most vocabularies
//     the space belongs to the next word.
//
// Tools are ignored, and tool calls are left out. A caller does well to stop at "\nUser:".
func Plain() *Template { return &Template{} }

// Default is the template to use where a model file has none: Plain.
func Default() *Template { return Plain() }

// IsPlain says whether t is the plain template.
func (t *Template) IsPlain() bool { return t.compiled == nil }

// SupportsTools says whether the template looks at tool definitions. Where it does not, a caller that wants
// tools has to describe them in a message.
func (t *Template) SupportsTools() bool { return t.tools }

// Render returns the prompt. A template that refuses the conversation (raise_exception: "roles must
// alternate") gives a *jinja.Raised, one that runs away jinja.ErrLimit.
func (t *Template) Render(in Input) (string, error) {
	if t.compiled == nil {
		return plain(in), nil
	}
	vars := make(map[string]any, len(in.Vars)+8)
	for k, v := range in.Vars {
		vars[k] = v
	}
	messages := make([]any, len(in.Messages))
	for i := range in.Messages {
		messages[i] = t.message(&in.Messages[i])
	}
	vars["messages"] = messages
	vars["tools"] = nil
	if len(in.Tools) > 0 {
		vars["tools"] = in.Tools
	}
	vars["documents"] = nil
	vars["add_generation_prompt"] = in.AddGenerationPrompt
	vars["bos_token"] = t.opts.BOS
	vars["eos_token"] = t.opts.EOS
	vars["strftime_now"] = jinja.Func(t.strftimeNow)
	out, err := t.compiled.Render(vars)
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return out, nil
}

// message is m as the templates know it; a field that is not set is undefined there.
func (t *Template) message(m *Message) *jinja.Dict {
	d := jinja.NewDict()
	d.Set("role", m.Role)
	d.Set("content", m.Content)
	if m.Name != "" {
		d.Set("name", m.Name)
	}
	if m.ToolCallID != "" {
		d.Set("tool_call_id", m.ToolCallID)
	}
	if len(m.ToolCalls) > 0 {
		calls := make([]any, len(m.ToolCalls))
		for i, c := range m.ToolCalls {
			fn, call := jinja.NewDict(), jinja.NewDict()
			fn.Set("name", c.Name)
			fn.Set("arguments", t.arguments(c.Arguments))
			call.Set("id", c.ID)
			call.Set("type", "function")
			call.Set("function", fn)
			calls[i] = call
		}
		d.Set("tool_calls", calls)
	}
	return d
}

func (t *Template) arguments(s string) any {
	if t.argsAsText || !json.Valid([]byte(s)) {
		return s
	}
	return json.RawMessage(s)
}

func (t *Template) strftimeNow(args []any, _ map[string]any) (any, error) {
	format, ok := "", false
	if len(args) == 1 {
		format, ok = args[0].(string)
	}
	if !ok {
		return nil, fmt.Errorf("strftime_now wants a format string")
	}
	now := time.Now
	if t.opts.Now != nil {
		now = t.opts.Now
	}
	return strftime(now(), format)
}

func plain(in Input) string {
	if len(in.Messages) == 1 && in.Messages[0].Role != "assistant" {
		return in.Messages[0].Content
	}
	var b strings.Builder
	for i, m := range in.Messages {
		if i > 0 {
			b.WriteString("\n\n")
		}
		if label := plainLabel(m.Role); label != "" {
			b.WriteString(label + ": ")
		}
		b.WriteString(m.Content)
	}
	if in.AddGenerationPrompt {
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString("Assistant:")
	}
	return b.String()
}

func plainLabel(role string) string {
	switch role {
	case "system", "developer", "":
		return ""
	}
	r, n := utf8.DecodeRuneInString(role)
	return string(unicode.ToUpper(r)) + role[n:]
}
