package runtime

import (
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/openai"
)

func offer(names ...string) []openai.Tool {
	var out []openai.Tool
	for _, n := range names {
		out = append(out, openai.Tool{Type: "function", Function: openai.Function{Name: n}})
	}
	return out
}

func TestCallScanner_SeparatesCallsFromText(t *testing.T) {
	for name, tc := range map[string]struct {
		answer, text string
		calls        string // name(arguments), one a line
	}{
		"plain text":         {"Hello <b>you</b>", "Hello <b>you</b>", ""},
		"one call":           {"<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>", "", `add({"a": 1})`},
		"text around":        {"Let me see. <tool_call>{\"name\":\"add\",\"arguments\":{}}</tool_call> done", "Let me see.  done", `add({})`},
		"two calls":          {"<tool_call>{\"name\":\"add\"}</tool_call>\n<tool_call>{\"name\":\"sub\"}</tool_call>", "\n", "add({})\nsub({})"},
		"no closing mark":    {"<tool_call>{\"name\":\"add\",\"arguments\":{}}", "", `add({})`},
		"not offered":        {"<tool_call>{\"name\":\"rm\"}</tool_call>", "<tool_call>{\"name\":\"rm\"}</tool_call>", ""},
		"broken call":        {"<tool_call>{\"name\":</tool_call>ok", "<tool_call>{\"name\":</tool_call>ok", ""},
		"bare object":        {`{"name": "add", "parameters": {"a": 2}}`, "", `add({"a": 2})`},
		"python tag":         {`<|python_tag|>{"name": "add", "parameters": {}}`, "", `add({})`},
		"mistral":            {`[TOOL_CALLS] [{"name": "add", "arguments": {"a": 3}}]`, "", `add({"a": 3})`},
		"phi":                {`Well: <|tool_call|>[{"name": "add", "arguments": {"a": 1}}, {"name": "sub", "arguments": {}}]<|/tool_call|>`, "Well: ", "add({\"a\": 1})\nsub({})"},
		"phi, unfinished":    {`<|tool_call|>[{"name": "add", "arguments": {}}]`, "", `add({})`},
		"an object as text":  {`{"answer": 42}`, `{"answer": 42}`, ""},
		"arguments as text":  {`{"name":"add","arguments":"{\"a\":1}"}`, "", `add({"a":1})`},
		"an unfinished mark": {"a <tool_ca", "a <tool_ca", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= len(tc.answer); size++ { // every way to cut the stream
				s := newCallScanner(offer("add", "sub"))
				var text strings.Builder
				for i := 0; i < len(tc.answer); i += size {
					text.WriteString(s.push(tc.answer[i:min(i+size, len(tc.answer))]))
				}
				rest, calls := s.end()
				text.WriteString(rest)
				var got []string
				for _, c := range calls {
					got = append(got, c.Function.Name+"("+c.Function.Arguments+")")
				}
				if strings.Join(got, "\n") != tc.calls || (text.String() != tc.text && strings.TrimSpace(tc.text) != "") {
					t.Fatalf("pieces of %d: text %q, calls %q", size, text.String(), got)
				}
			}
		})
	}
}

func TestCallScanner_PassesAllWithoutTools(t *testing.T) {
	s := newCallScanner(nil)
	if got := s.push("<tool_call>"); got != "<tool_call>" {
		t.Errorf("held %q", got)
	}
}

func FuzzCallScanner(f *testing.F) {
	f.Add("a<tool_call>{}</tool_call>b", 3)
	f.Add(`{"name":"add"}`, 1)
	f.Fuzz(func(t *testing.T, answer string, size int) {
		size = max(size%64, 1)
		s := newCallScanner(offer("add"))
		var text strings.Builder
		for i := 0; i < len(answer); i += size {
			text.WriteString(s.push(answer[i:min(i+size, len(answer))]))
		}
		rest, calls := s.end()
		text.WriteString(rest)
		if len(calls) == 0 && text.String() != answer {
			t.Errorf("text changed without a call: %q became %q", answer, text.String())
		}
	})
}
