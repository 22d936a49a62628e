package openai

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var requests = []string{
	`{"model":"default","messages":[{"role":"user","content":"hi"}],"max_tokens":16,"temperature":0.5}`,
	`{"model":"m","messages":[{"role":"system","content":"a\n\u00e9\ud83d\ude00\ud800","name":"n"},{"role":"user","content":"é"}],"n":2,"seed":-9,"stream":true,"top_p":1,"user":"u","prediction":{"a":1}}`,
	`{"model":"m","Model":"x","messages":[]}`,
	`{"model":"m","model":"x"}`,
	`{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"stop":"x"}`,
	`{"messages":[{"role":"user","content":null},{"role":"assistant","tool_calls":[]}],"n":null}`,
	`{"max_tokens":1e2,"temperature":1e999}`, `{"max_tokens":-0,"seed":9223372036854775808}`,
	`{"me\u0073sages":[{"role":"user","content":"x"}],"stream":false,"ſtream":true}`,
	"{\"model\":\"a\xff\"}", "{\"model\":\"a\x01\"}", `{"messages":[{"role":"user","content":"x"},]}`, ` {"model":"m"} `, `{"model":"m"}x`,
}

// FuzzPlainRequest compares what is read in one pass with what encoding/json reads.
func FuzzPlainRequest(f *testing.F) {
	for _, doc := range requests {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got, want ChatRequest
		if !got.plain(doc) {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q is not plain and left %+v", doc, got)
			}
			return
		}
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("%q is read as plain and is %v", doc, err)
		}
		want.Keep(doc)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\n got %+v\nwant %+v", doc, got, want)
		}
	})
}

func TestPlain_TakesWhatClientsSend(t *testing.T) {
	for i, want := range []bool{true, true, false, false, false} {
		if got := new(ChatRequest).plain([]byte(requests[i])); got != want {
			t.Errorf("plain(%s) = %v", requests[i], got)
		}
	}
	for i, want := range []bool{true, true, true, false, false} {
		if got := new(ChatChunk).Plain([]byte(chunks[i])); got != want {
			t.Errorf("Plain(%s) = %v", chunks[i], got)
		}
	}
}

// A body of many names must not cost more than in proportion to its length.
func TestPlain_LeavesObjectsOfManyMembers(t *testing.T) {
	var many strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&many, `"a%d":1,`, i)
	}
	if new(ChatRequest).plain([]byte(`{"messages":[{` + many.String() + `"role":"user"}]}`)) {
		t.Error("a message of 200,000 members is plain")
	}
	if new(ChatChunk).Plain([]byte(`{` + many.String() + `"id":"c"}`)) {
		t.Error("a chunk of 200,000 members is plain")
	}
}

var chunks = []string{
	`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a\"b"},"logprobs":null,"finish_reason":null}],"usage":null}`,
	`{"id":"c1","choices":[{"index":1,"delta":{},"finish_reason":"stop"}],"service_tier":"default","system_fingerprint":"f"}`,
	`{"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}}`,
	`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}`,
	`{"error":{"message":"m"}}`,
	`{"choices":[{"delta":{"Content":"x"}}],"Usage":{}}`, `{"choices":[{"delta":null}],"ledge":{"a":1},"created":1.5}`, "{\"id\":\"\xff\",\"choices\":null}",
	`{"choices":[{"delta":{"content":"x"},"delta":{"role":"r"}}]}`,
}

// FuzzPlainChunk does the same with chunks.
func FuzzPlainChunk(f *testing.F) {
	for _, doc := range chunks {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got, want ChatChunk
		if !got.Plain(doc) {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%q is not plain and left %+v", doc, got)
			}
			return
		}
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("%q is read as plain and is %v", doc, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\n got %+v\nwant %+v", doc, got, want)
		}
	})
}

func BenchmarkPlain(b *testing.B) {
	for _, of := range []struct {
		name string
		read func()
	}{
		{"request", func() { new(ChatRequest).plain([]byte(requests[0])) }},
		{"request by encoding/json", func() {
			var r ChatRequest
			json.Unmarshal([]byte(requests[0]), &r)
			json.Unmarshal([]byte(requests[0]), &r.Raw)
		}},
		{"chunk", func() { new(ChatChunk).Plain([]byte(chunks[1])) }},
		{"chunk by encoding/json", func() { json.Unmarshal([]byte(chunks[1]), new(ChatChunk)) }},
	} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				of.read()
			}
		})
	}
}
