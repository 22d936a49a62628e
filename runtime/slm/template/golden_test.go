package template

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

type goldenFile struct {
	Chats map[string][]struct {
		Role, Content, Name string
		ToolCallID          string `json:"tool_call_id"`
		ToolCalls           []struct {
			ID       string
			Function struct {
				Name      string
				Arguments json.RawMessage
			}
		} `json:"tool_calls"`
	}
	Tools []json.RawMessage
	Cases []struct {
		Template, Messages, Want, Error string
		Tools, Generate                 bool
	}
}

func readGolden(t testing.TB) goldenFile {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldenFile
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g goldenFile) messages(chat string) []Message {
	var out []Message
	for _, m := range g.Chats[chat] {
		msg := Message{Role: m.Role, Content: m.Content, Name: m.Name, ToolCallID: m.ToolCallID}
		for _, c := range m.ToolCalls {
			msg.ToolCalls = append(msg.ToolCalls, ToolCall{c.ID, c.Function.Name, string(c.Function.Arguments)})
		}
		out = append(out, msg)
	}
	return out
}

func parseSource(t testing.TB, name string) string {
	t.Helper()
	src, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

func parseFile(t testing.TB, name string) *Template {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 3, 9, 8, 5, 0, 0, time.UTC) }
	tm, err := Parse(parseSource(t, name), Options{BOS: "<s>", EOS: "</s>", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// The wanted texts are Python's; see testdata/golden.py.
func TestRender_EqualsPythonJinja2(t *testing.T) {
	g := readGolden(t)
	if len(g.Cases) < 200 {
		t.Fatalf("only %d cases", len(g.Cases))
	}
	for _, c := range g.Cases {
		name := c.Template + "/" + c.Messages
		in := Input{Messages: g.messages(c.Messages), AddGenerationPrompt: c.Generate}
		if c.Tools {
			name += "/tools"
			for _, tool := range g.Tools {
				in.Tools = append(in.Tools, tool)
			}
		}
		got, err := parseFile(t, c.Template).Render(in)
		switch {
		case c.Error != "" && err == nil:
			t.Errorf("%s: rendered %q, want error %q", name, got, c.Error)
		case c.Error != "" && strings.Contains(c.Error, "lternate") && !strings.Contains(err.Error(), c.Error):
			t.Errorf("%s: error %q, want %q", name, err, c.Error)
		case c.Error == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case got != c.Want:
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.Want)
		}
	}
}
