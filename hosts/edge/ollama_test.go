package edge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestOllama_ChatsInItsOwnForm(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	ask := map[string]any{"model": "default", "messages": []map[string]string{{"role": "user", "content": "Once upon a time"}},
		"options": map[string]any{"num_predict": 8, "temperature": 0}}
	streamed := a.post("/api/chat", ask)
	type part struct {
		Message         struct{ Role, Content string }
		Done            bool
		DoneReason      string `json:"done_reason"`
		EvalCount       int    `json:"eval_count"`
		PromptEvalCount int    `json:"prompt_eval_count"`
	}
	var text string
	var last part
	for lines := bufio.NewScanner(bytes.NewReader(streamed.body)); lines.Scan(); {
		last = part{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		text += last.Message.Content
	}
	if !last.Done || last.DoneReason != "length" || last.EvalCount != 8 || last.PromptEvalCount == 0 || text == "" || streamed.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%+v of %s", last, streamed.body)
	}
	ask["stream"] = false
	var whole part
	if r := a.post("/api/chat", ask); json.Unmarshal(r.body, &whole) != nil || whole.Message.Content != text || !whole.Done || whole.Message.Role != "assistant" {
		t.Errorf("%s, streamed %q", r.body, text)
	}
	for path, c := range map[string]struct {
		body   string
		status int
	}{
		"/api/chat":     {`{"model":"nowhere","messages":[{"role":"user","content":"x"}]}`, 404},
		"/api/generate": {`{"model":"default","prompt":"x","format":"yaml"}`, 400},
		"/api/show":     {`{"model":"nowhere"}`, 404},
	} {
		if r := a.post(path, c.body); r.status != c.status || !strings.Contains(string(r.body), `"error":"`) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := a.get(a.api.URL + "/api/tags"); !strings.Contains(string(r.body), `"name":"default"`) {
		t.Errorf("tags: %s", r.body)
	}
}

func TestMessages_AnswerAnthropicsClients(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	ask := map[string]any{"model": "default", "max_tokens": 8, "temperature": 0, "system": []map[string]string{{"type": "text", "text": "Be brief."}},
		"messages": []map[string]any{{"role": "user", "content": []map[string]string{{"type": "text", "text": "Once upon a time"}}}}}
	var whole struct {
		Type, Role string
		Content    []struct{ Type, Text string }
		StopReason string `json:"stop_reason"`
		Usage      struct {
			InputTokens  int `json:"input_tokens"`
			OutputTokens int `json:"output_tokens"`
		}
	}
	r := a.post("/v1/messages", ask)
	if json.Unmarshal(r.body, &whole) != nil || whole.Type != "message" || whole.StopReason != "max_tokens" || len(whole.Content) != 1 || whole.Usage.OutputTokens != 8 || whole.Usage.InputTokens == 0 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	ask["stream"] = true
	stream := string(a.post("/v1/messages", ask).body)
	at := 0
	for _, name := range []string{"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"} {
		i := strings.Index(stream[at:], "event: "+name+"\n")
		if i < 0 {
			t.Fatalf("no %s in its place in %s", name, stream)
		}
		at += i
	}
	for body, status := range map[string]int{
		`{"model":"nowhere","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`:                               404,
		`{"model":"default","messages":[{"role":"user","content":"x"}]}`:                                              400,
		`{"model":"default","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image"}]}]}`:                400,
		`{"model":"default","max_tokens":5,"messages":[{"role":"system","content":"x"}]}`:                             400,
		`{"model":"default","max_tokens":5,"tool_choice":{"type":"some"},"messages":[{"role":"user","content":"x"}]}`: 400,
	} {
		if r := a.post("/v1/messages", body); r.status != status || !strings.Contains(string(r.body), `"type":"error"`) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
