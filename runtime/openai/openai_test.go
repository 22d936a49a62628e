package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDecode_NamesTheFieldAndWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		`{"temperature": 1e999}`:                                          "temperature: 1e999 is not a number, or too large for one",
		`{"max_tokens": 1.5}`:                                             "max_tokens: 1.5 is not an integer, or too large for one",
		`{"max_tokens": "5"}`:                                             "max_tokens: expected an integer, got string",
		`{"grammar": true}`:                                               "grammar: expected a string, got bool",
		`{"messages": [{"content": [{"type": "text"}]}]}`:                 `the content part of type "text" has no text`,
		`{"messages": [{"content": [{"type": "image_url"}]}]}`:            `content parts of type "image_url" are not supported; send text`,
		"{\"messages\": [{\"role\": \"user\", \"content\": \"On\xff\"}]}": "the request body is not valid JSON: it is not UTF-8",
	} {
		var req ChatRequest
		_, err := Decode(strings.NewReader(body), &req)
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != 400 || refused.Message != want {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}

// FuzzDecode reads any bytes as a chat request: it is refused with a 400, or what was read can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"model":"default","messages":[{"role":"user","content":"hi"}],"stop":"x","n":2,"logit_bias":{"5":-100}}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"b"}]}],"stop":["a","b"]}`,
		`{"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
		`{"tool_choice":"required","response_format":{"type":"json_schema","json_schema":{}}}`,
		`[[[[`, `{"temperature":1e999}`, `null`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var req ChatRequest
		if _, err := Decode(strings.NewReader(string(body)), &req); err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Status != 400 || refused.Message == "" {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		doc, err := json.Marshal(&req)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if _, err := Decode(strings.NewReader(string(doc)), new(ChatRequest)); err != nil {
			t.Fatalf("%q: %s: %v", body, doc, err)
		}
	})
}
