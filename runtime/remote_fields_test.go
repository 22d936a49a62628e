package runtime

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

func TestRemoteModel_LeavesOutTextThatNoGuardHasRead(t *testing.T) {
	m := &remoteModel{model: "m", fields: []string{"chat_template_kwargs"}}
	p := &pipeline.Prompt{Messages: []openai.Message{{Role: "user", Content: "hi"}}, MaxTokens: 5, Raw: map[string][]byte{
		"prediction":           []byte(`{"type":"content","content":"secret"}`),
		"Response_Format":      []byte(`{"type":"text"}`),
		"web_search_options":   []byte(`{"user_location":{}}`),
		"unheard_of":           []byte(`"text"`),
		"parallel_tool_calls":  []byte(`false`),
		"stop_token_ids":       []byte(`[1, 2.5, null]`),
		"response_format":      []byte(`{"type":"json_object"}`),
		"chat_template_kwargs": []byte(`{"enable_thinking":false}`),
	}}
	body, left, err := m.body(p)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, name := range []string{"parallel_tool_calls", "stop_token_ids", "response_format", "chat_template_kwargs", "messages"} {
		if got[name] == nil {
			t.Errorf("%s is not passed on", name)
		}
	}
	want := []string{"Response_Format", "prediction", "unheard_of", "web_search_options"}
	if !slices.Equal(left, want) {
		t.Errorf("left out %q, want %q", left, want)
	}
	for _, name := range want {
		if got[name] != nil {
			t.Errorf("%s is passed on", name)
		}
	}
	p.Raw = map[string][]byte{"prediction": []byte(`"x"`)}
	if body, _, err = m.body(p); err != nil || !json.Valid(body) {
		t.Errorf("with nothing to pass on: %s, %v", body, err)
	}
}
