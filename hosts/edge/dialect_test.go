package edge

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
)

// uncached makes every answer the model's own.
func uncached(c *config.Config) {
	r := c.Routes["default"]
	r.Cache = config.CacheUse{}
	c.Routes["default"] = r
}

var lightTool = map[string]any{"type": "object", "properties": map[string]any{"on": map[string]any{"type": "boolean"}}, "required": []string{"on"}, "additionalProperties": false}

func TestOllama_ChatSaysWhatOpenAIsSays(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), uncached)
	want := a.post("/v1/chat/completions", ask("Once upon a time", "max_tokens", 120)).text()
	body := map[string]any{"model": "default:latest", "messages": []map[string]string{{"role": "user", "content": "Once upon a time"}},
		"options": map[string]any{"temperature": 0, "num_predict": 120}}
	r := a.post("/api/chat", body)
	lines := strings.Split(strings.TrimSpace(string(r.body)), "\n")
	var text strings.Builder
	for i, l := range lines {
		var v ollamaLine
		if err := json.Unmarshal([]byte(l), &v); err != nil || v.Message == nil || v.Done != (i == len(lines)-1) || v.Model != "default" {
			t.Fatalf("line %d: %v %s", i, err, l)
		}
		text.WriteString(v.Message.Content)
		if v.Done && (v.DoneReason != "length" || v.EvalCount != 120 || v.PromptEvalCount == 0 || v.TotalDuration <= 0) {
			t.Errorf("%s", l)
		}
	}
	if r.header.Get("Content-Type") != "application/x-ndjson" || len(lines) < 3 || text.String() != want {
		t.Errorf("%v, %d lines, %q, want %q", r.header, len(lines), text.String(), want)
	}
	body["stream"] = false
	var whole ollamaLine
	if r := a.post("/api/chat", body); json.Unmarshal(r.body, &whole) != nil || whole.Message == nil || whole.Message.Content != want || !whole.Done {
		t.Errorf("%s", r.body)
	}
}

func TestOllama_GeneratesFormatsAndLists(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	var line ollamaLine
	r := a.post("/api/generate", map[string]any{"model": "default", "prompt": "The light", "system": "Answer.", "stream": false, "format": lightTool,
		"options": map[string]any{"num_predict": 200, "temperature": 0}})
	var answer struct{ On *bool }
	if json.Unmarshal(r.body, &line) != nil || line.Response == nil || json.Unmarshal([]byte(*line.Response), &answer) != nil || answer.On == nil {
		t.Errorf("format: %s", r.body)
	}
	raw := a.post("/v1/completions", map[string]any{"model": "default", "prompt": "Once", "max_tokens": 30, "temperature": 0}).text()
	line = ollamaLine{}
	r = a.post("/api/generate", map[string]any{"model": "default", "prompt": "Once", "raw": true, "stream": false, "options": map[string]any{"num_predict": 30, "temperature": 0}})
	if json.Unmarshal(r.body, &line) != nil || line.Response == nil || *line.Response != raw {
		t.Errorf("raw: %s, want %q", r.body, raw)
	}
	if r := a.post("/api/generate", map[string]any{"model": "default"}); r.status != 200 || !strings.Contains(string(r.body), `"done_reason":"load"`) {
		t.Errorf("load: %d %s", r.status, r.body)
	}
	for path, want := range map[string]string{"/api/tags": `"family":"llama"`, "/api/ps": `"size_vram":0`, "/api/version": `"version"`, "/": "Ledge is running"} {
		if r := a.get(a.api.URL + path); r.status != 200 || !strings.Contains(string(r.body), want) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := a.post("/api/show", map[string]string{"model": "tiny"}); r.status != 200 || !strings.Contains(string(r.body), `"llama.context_length"`) {
		t.Errorf("show: %d %s", r.status, r.body)
	}
}

func TestOllama_ErrorsAreItsOwn(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	for _, c := range []struct {
		path   string
		body   any
		status int
	}{
		{"/api/chat", `{"model": `, 400},
		{"/api/chat", map[string]any{"model": "none", "messages": []map[string]string{{"role": "user", "content": "hi"}}}, 404},
		{"/api/chat", map[string]any{"model": "default", "messages": []map[string]any{{"role": "user", "content": "hi", "images": []string{"aGk="}}}}, 400},
		{"/api/chat", map[string]any{"model": "default", "format": "xml", "messages": []map[string]string{{"role": "user", "content": "hi"}}}, 400},
		{"/api/generate", map[string]any{"model": "default", "prompt": "a", "suffix": "b"}, 400},
		{"/api/show", map[string]any{"model": "none"}, 404},
		{"/api/pull", map[string]any{"model": "none"}, 404},
		{"/api/embed", map[string]any{"model": "none", "input": "a"}, 404},
	} {
		r := a.post(c.path, c.body)
		var e struct{ Error string }
		if r.status != c.status || json.Unmarshal(r.body, &e) != nil || e.Error == "" {
			t.Errorf("%s %v: %d %s", c.path, c.body, r.status, r.body)
		}
	}
}

func messagesBody(more ...any) map[string]any {
	m := map[string]any{"model": "default", "temperature": 0, "max_tokens": 120, "messages": []map[string]any{{"role": "user", "content": "Once upon a time"}}}
	for i := 0; i < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return m
}

func TestMessages_SayWhatOpenAIsChatSays(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), uncached)
	want := a.post("/v1/chat/completions", ask("Once upon a time", "max_tokens", 120)).text()
	r := a.post("/v1/messages", messagesBody())
	var m message
	if json.Unmarshal(r.body, &m) != nil || m.Type != "message" || len(m.Content) != 1 || m.Content[0]["text"] != want || m.StopReason == nil || *m.StopReason != "max_tokens" ||
		m.Usage.OutputTokens != 120 || m.Usage.InputTokens == 0 || r.header.Get("Request-Id") == "" {
		t.Errorf("%s, want %q", r.body, want)
	}
	stream := a.post("/v1/messages", messagesBody("stream", true))
	var text strings.Builder
	var order []string
	for event := range strings.SplitSeq(strings.TrimSpace(string(stream.body)), "\n\n") {
		name, data, ok := strings.Cut(event, "\ndata: ")
		var e messagesEvent
		if !ok || json.Unmarshal([]byte(data), &e) != nil || name != "event: "+e.Type {
			t.Fatalf("%q", event)
		}
		if s, ok := e.Delta["text"].(string); ok {
			text.WriteString(s)
		}
		if len(order) == 0 || order[len(order)-1] != e.Type {
			order = append(order, e.Type)
		}
	}
	if got := strings.Join(order, " "); text.String() != want || got != "message_start content_block_start content_block_delta content_block_stop message_delta message_stop" {
		t.Errorf("%q: %s", text.String(), got)
	}
}

func TestMessages_ToolsGoOutAndResultsComeIn(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	tools := []map[string]any{{"name": "light", "description": "Switches the light", "input_schema": lightTool}}
	forced := messagesBody("tools", tools, "tool_choice", map[string]string{"type": "any"}, "max_tokens", 200)
	var m message
	r := a.post("/v1/messages", forced)
	if json.Unmarshal(r.body, &m) != nil || len(m.Content) != 1 || m.Content[0]["type"] != "tool_use" || *m.StopReason != "tool_use" {
		t.Fatalf("%s", r.body)
	}
	if in, _ := m.Content[0]["input"].(map[string]any); in["on"] != true && in["on"] != false {
		t.Errorf("%s", r.body)
	}
	forced["stream"] = true
	if r := a.post("/v1/messages", forced); !strings.Contains(string(r.body), `"type":"input_json_delta"`) || !strings.Contains(string(r.body), `"stop_reason":"tool_use"`) {
		t.Errorf("%s", r.body)
	}
	next := messagesBody("tools", tools, "max_tokens", 4, "system", []map[string]string{{"type": "text", "text": "Answer."}}, "messages", []map[string]any{
		{"role": "user", "content": "Switch the light on"},
		{"role": "assistant", "content": []any{m.Content[0]}},
		{"role": "user", "content": []map[string]any{{"type": "tool_result", "tool_use_id": m.Content[0]["id"], "content": "done"}, {"type": "text", "text": "thanks"}}},
	})
	if r := a.post("/v1/messages", next); r.status != 200 || !strings.Contains(string(r.body), `"output_tokens":4`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestMessages_ErrorsAreItsOwn(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	image := []map[string]any{{"role": "user", "content": []map[string]any{{"type": "image", "source": map[string]string{}}}}}
	for _, c := range []struct {
		body   any
		status int
		kind   string
	}{
		{`{"model": `, 400, "invalid_request_error"},
		{map[string]any{"model": "default", "messages": []any{}}, 400, "invalid_request_error"},
		{messagesBody("model", "none"), 404, "not_found_error"},
		{messagesBody("messages", image), 400, "invalid_request_error"},
		{messagesBody("messages", []map[string]any{{"role": "system", "content": "x"}}), 400, "invalid_request_error"},
		{messagesBody("tools", []map[string]string{{"type": "web_search_20250305", "name": "web_search"}}), 400, "invalid_request_error"},
	} {
		r := a.post("/v1/messages", c.body)
		var e struct {
			Type  string
			Error struct{ Type, Message string }
		}
		if r.status != c.status || json.Unmarshal(r.body, &e) != nil || e.Type != "error" || e.Error.Type != c.kind || e.Error.Message == "" {
			t.Errorf("%v: %d %s", c.body, r.status, r.body)
		}
	}
	if r := a.get(a.api.URL + "/v1/messages"); r.status != http.StatusMethodNotAllowed || !strings.Contains(string(r.body), `"type":"error"`) {
		t.Errorf("GET: %d %s", r.status, r.body)
	}
}

func TestAnthropic_CountsTheTokensOfAPrompt(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), func(c *config.Config) {
		r := c.Routes["default"]
		r.Guards, r.Tools, r.Cache = config.Guards{}, nil, config.CacheUse{}
		c.Routes["default"] = r
	})
	q := map[string]any{"model": "default", "system": "You tell stories.", "messages": []map[string]string{{"role": "user", "content": "Once upon a time"}}}
	var count struct {
		N int `json:"input_tokens"`
	}
	r := a.post("/v1/messages/count_tokens", q)
	if err := json.Unmarshal(r.body, &count); err != nil || r.status != 200 || count.N == 0 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	q["max_tokens"] = 1
	var said struct {
		Usage struct {
			N int `json:"input_tokens"`
		}
	}
	r = a.post("/v1/messages", q)
	if err := json.Unmarshal(r.body, &said); err != nil || said.Usage.N != count.N {
		t.Errorf("counted %d, and the answer says %s", count.N, r.body)
	}
	if r := a.post("/v1/messages/count_tokens", map[string]any{"model": "nothing", "messages": q["messages"]}); r.status != 404 || !strings.Contains(string(r.body), `"type":"error"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}
