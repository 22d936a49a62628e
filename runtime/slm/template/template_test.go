package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/template/jinja"
)

func TestPlain_GivesABaseModelOnlyTheText(t *testing.T) {
	user := Message{Role: "user", Content: "Once upon a time"}
	for name, c := range map[string]struct {
		messages []Message
		generate bool
		want     string
	}{
		"one message":    {[]Message{user}, true, "Once upon a time"},
		"none":           {nil, true, "Assistant:"},
		"system":         {[]Message{{Role: "system", Content: "Be kind."}, user}, true, "Be kind.\n\nUser: Once upon a time\n\nAssistant:"},
		"turns":          {[]Message{user, {Role: "assistant", Content: "there was"}, {Role: "user", Content: "a dog?"}}, true, "User: Once upon a time\n\nAssistant: there was\n\nUser: a dog?\n\nAssistant:"},
		"not generating": {[]Message{user, {Role: "assistant", Content: "there was"}}, false, "User: Once upon a time\n\nAssistant: there was"},
		"tool answer":    {[]Message{user, {Role: "tool", Content: "21"}}, false, "User: Once upon a time\n\nTool: 21"},
		"other alphabet": {[]Message{user, {Role: "élève", Content: "oui"}}, false, "User: Once upon a time\n\nÉlève: oui"},
	} {
		got, err := Default().Render(Input{Messages: c.messages, AddGenerationPrompt: c.generate})
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, c.want)
		}
	}
	if !Plain().IsPlain() || Plain().SupportsTools() {
		t.Error("the plain template claims to support tools, or not to be plain")
	}
}

func TestSupportsTools_GoesByTheTemplate(t *testing.T) {
	for name, want := range map[string]bool{
		"qwen25.jinja": true, "mistral-tools.jinja": true, "llama3-tools.jinja": true,
		"chatml.jinja": false, "llama2.jinja": false, "zephyr.jinja": false,
	} {
		if got := parseFile(t, name).SupportsTools(); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestRender_KeepsTheOrderOfJSONKeys(t *testing.T) {
	tm, err := Parse("{{ tools[0] | tojson }}{{ tools[1] | tojson }}", Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tm.Render(Input{Tools: []any{
		json.RawMessage(`{"z":1,"a":{"y":1.50,"b":"<é>"}}`),
		map[string]any{"z": 1, "a": 2},
	}})
	if want := `{"z": 1, "a": {"y": 1.5, "b": "<é>"}}{"a": 2, "z": 1}`; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestRender_GivesArgumentsAsTheTemplateUsesThem(t *testing.T) {
	in := Input{Messages: []Message{{Role: "assistant", ToolCalls: []ToolCall{{Name: "f", Arguments: `{"b": 1, "a": 2}`}}}}}
	for source, want := range map[string]string{
		"{{ messages[0].tool_calls[0].function.arguments | tojson }}":                                      `{"b": 1, "a": 2}`,
		"{{ messages[0].tool_calls[0].function | tojson }}":                                                `{"name": "f", "arguments": {"b": 1, "a": 2}}`,
		"{{ messages[0].tool_calls[0]['function']['arguments'] + '!' }}":                                   `{"b": 1, "a": 2}!`,
		"{{ messages[0].tool_calls[0].function.arguments }}":                                               `{"b": 1, "a": 2}`,
		"{% for k, v in messages[0].tool_calls[0].function.arguments.items() %}{{ k }}{{ v }}{% endfor %}": "b1a2",
	} {
		tm, err := Parse(source, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tm.Render(in); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", source, got, err, want)
		}
	}
}

func TestRender_VarsReachTheTemplateButDoNotReplaceItsOwn(t *testing.T) {
	tm, err := Parse("{{ enable_thinking }} {{ bos_token }}", Options{BOS: "<s>"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tm.Render(Input{Vars: map[string]any{"enable_thinking": false, "bos_token": "forged"}})
	if err != nil || got != "False <s>" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRender_TellsARefusalFromAFault(t *testing.T) {
	_, err := parseFile(t, "gemma.jinja").Render(Input{Messages: []Message{{Role: "system"}}})
	var raised *jinja.Raised
	if !errors.As(err, &raised) || raised.Message != "System role not supported" {
		t.Errorf("got %v", err)
	}
}

func TestStrftime_FollowsC(t *testing.T) {
	at := time.Date(2026, 3, 9, 8, 5, 7, 0, time.UTC)
	for format, want := range map[string]string{
		"%d %b %Y": "09 Mar 2026", "%Y-%m-%d": "2026-03-09", "%-d.%-m.": "9.3.", "%A, %B %e": "Monday, March  9",
		"%H:%M:%S %p": "08:05:07 AM", "100%%": "100%", "%j": "068", "%": "%",
	} {
		if got, err := strftime(at, format); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", format, got, err, want)
		}
	}
	if _, err := strftime(at, "%Q"); err == nil {
		t.Error("an unknown conversion was accepted")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"llama2.jinja", "qwen25.jinja", "mistral-tools.jinja", "macros.jinja"} {
		f.Add(parseSource(f, name))
	}
	in := Input{
		Messages:            []Message{{Role: "user", Content: "hi"}, {Role: "assistant", ToolCalls: []ToolCall{{Name: "f", Arguments: "{}"}}}},
		Tools:               []any{json.RawMessage(`{"function":{"name":"f"}}`)},
		AddGenerationPrompt: true,
	}
	f.Fuzz(func(t *testing.T, source string) {
		tm, err := Parse(source, Options{BOS: "<s>", EOS: "</s>"})
		if err != nil {
			return
		}
		if _, err := tm.Render(in); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	tm := parseFile(b, "qwen25.jinja")
	in := Input{AddGenerationPrompt: true}
	for range 10 {
		in.Messages = append(in.Messages, Message{Role: "user", Content: "How warm is it?"}, Message{Role: "assistant", Content: "21 degrees."})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tm.Render(in); err != nil {
			b.Fatal(err)
		}
	}
}
