package hook

import (
	"encoding/json"
	"strings"
	"testing"
)

// benchRequests are the shapes that pass the codecs on every request: a prompt in English, one beyond ASCII, a chat.
func benchRequests() map[string]codec {
	english := strings.Repeat("The quick brown fox said \"hello\" and jumped over the lazy dog.\n", 32)
	german := strings.Repeat("Zwölf Boxkämpfer jagen Viktor über den großen Sylter Deich. ", 32)
	chat := &RouteRequest{Route: "default", Models: []Model{{ID: "small"}}}
	for range 8 {
		chat.Messages = append(chat.Messages, Message{Role: "user", Content: english[:256]})
	}
	return map[string]codec{
		"ascii-2k": &GuardRequest{Stage: StageInput, Text: english},
		"utf8-2k":  &GuardRequest{Stage: StageInput, Text: german},
		"chat-2k":  chat,
	}
}

func BenchmarkParse(b *testing.B) {
	for name, c := range benchRequests() {
		doc := c.AppendJSON(nil)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.ParseJSON(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := json.Unmarshal(doc, fresh(c)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, c := range benchRequests() {
		var buf []byte
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = c.AppendJSON(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
