package edge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// talk is a conversation of n turns, each of some sixty tokens of the tiny model.
func talk(n int, question string) []map[string]string {
	list := []map[string]string{{"role": "system", "content": "You are the keeper of the lighthouse."}}
	for i := range n {
		list = append(list, map[string]string{"role": "user", "content": fmt.Sprintf("Tell me about ship %d, please.", i)},
			map[string]string{"role": "assistant", "content": fmt.Sprintf("Ship %d came in the night with salt and wool, and left with the tide.", i)})
	}
	return append(list, map[string]string{"role": "user", "content": question})
}

func withContext(k *config.Context) options {
	return func(c *config.Config) {
		r := c.Routes["default"]
		r.Context, r.Guards = k, config.Guards{}
		c.Routes["default"], c.Trace.Prompts = r, true
	}
}

func entryOf(t *pipeline.Trace, stage string) *pipeline.Entry {
	for _, e := range t.Stages {
		if e.Stage == stage {
			return e
		}
	}
	return &pipeline.Entry{}
}

func TestContext_LongConversationsAreFittedAndSaidToBe(t *testing.T) {
	dir := dataDir(t)
	body := func(n int) map[string]any { return ask("", "messages", talk(n, "And the last one?"), "max_tokens", 16) }
	a := open(t, dir, withModel(tinyModel(t)))
	if r := a.post("/v1/chat/completions", body(60)); r.code() != "context_length_exceeded" {
		t.Fatalf("a route without a context: %d %s", r.status, r.body)
	}
	a.stop()
	for name, k := range map[string]*config.Context{
		"window":    {},
		"summary":   {History: "summary"},
		"retrieval": {History: "retrieval"},
		"budget":    {Budgets: map[string]int{"history": 250}},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, dataDir(t), withModel(tinyModel(t)), withContext(k))
			if r := a.post("/v1/chat/completions", body(1)); r.status != 200 || r.header.Get("X-Ledge-Context") != "" || entryOf(a.trace(r), "context").Verdict != "whole" {
				t.Errorf("a short one: %d %v %+v", r.status, r.header, entryOf(a.trace(r), "context"))
			}
			for _, stream := range []bool{false, true} {
				b := body(60)
				b["stream"] = stream
				r := a.post("/v1/chat/completions", b)
				if r.status != 200 || !strings.Contains(r.header.Get("X-Ledge-Context"), "history=") || !strings.Contains(r.header.Get("X-Ledge-Context"), "of 60 turns") {
					t.Fatalf("%d %v %.300s", r.status, r.header, r.body)
				}
				if stream && r.header.Get("X-Ledge-Cache") != "hit" {
					t.Errorf("cache %s", r.header.Get("X-Ledge-Cache"))
				}
				if e := entryOf(a.trace(r), "context"); !stream && (e.Verdict != "cut" || !strings.Contains(e.Reason, "system ")) {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestContext_TheSystemPromptIsNeverCut(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), withContext(&config.Context{Policy: "Say what you know."}))
	long := []map[string]string{{"role": "system", "content": strings.Repeat("keep the light burning ", 400)}, {"role": "user", "content": "Hello"}}
	if r := a.post("/v1/chat/completions", ask("", "messages", long)); r.status != 400 || r.code() != "context_length_exceeded" {
		t.Errorf("%d %s", r.status, r.body)
	}
	r := a.post("/v1/chat/completions", ask("From here "+strings.Repeat("on and on ", 800)+"to there."))
	if r.status != 200 || !strings.Contains(r.header.Get("X-Ledge-Context"), "question=") {
		t.Errorf("a long question: %d %v %.300s", r.status, r.header, r.body)
	}
}
