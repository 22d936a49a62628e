package cachepolicy

import (
	"math"
	"slices"
	"strings"
	"testing"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func policy(t testing.TB, settings map[string]string) *Policy {
	t.Helper()
	p, err := New(func(k string) (string, bool) { v, ok := settings[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request() *sdk.CacheRequest {
	return &sdk.CacheRequest{
		RequestID: "r1", Tenant: "acme", Route: "default", Model: "small", ModelDigest: "sha256:aa", PromptVersion: "3", Params: "max_tokens=20",
		Messages: []sdk.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Hello  there"}},
		Choices:  1,
	}
}

func key(t testing.TB, req *sdk.CacheRequest) string {
	t.Helper()
	plan := policy(t, map[string]string{"tools": "true"}).Plan(req)
	if err := plan.Check(); err != nil || !plan.Lookup || !plan.Admit {
		t.Fatalf("%+v, %v", plan, err)
	}
	return strings.Join(plan.KeyParts, "\x00")
}

func TestPlan_KeyHoldsAllThatShapesTheAnswer(t *testing.T) {
	base := key(t, request())
	seen := map[string]string{base: "base"}
	for name, change := range map[string]func(*sdk.CacheRequest){
		"tenant":         func(r *sdk.CacheRequest) { r.Tenant = "other" },
		"route":          func(r *sdk.CacheRequest) { r.Route = "other" },
		"model":          func(r *sdk.CacheRequest) { r.Model = "other" },
		"model digest":   func(r *sdk.CacheRequest) { r.ModelDigest = "sha256:bb" },
		"prompt version": func(r *sdk.CacheRequest) { r.PromptVersion = "4" },
		"params":         func(r *sdk.CacheRequest) { r.Params = "max_tokens=21" },
		"tools":          func(r *sdk.CacheRequest) { r.ToolsDigest = "x" },
		"case":           func(r *sdk.CacheRequest) { r.Messages[1].Content = "hello  there" },
		"space":          func(r *sdk.CacheRequest) { r.Messages[1].Content = "Hello there" },
		"trailing space": func(r *sdk.CacheRequest) { r.Messages[1].Content += " " },
		"role":           func(r *sdk.CacheRequest) { r.Messages[0].Role = "user" },
		"name":           func(r *sdk.CacheRequest) { r.Messages[1].Name = "bob" },
		"order":          func(r *sdk.CacheRequest) { slices.Reverse(r.Messages) },
		"tool call id":   func(r *sdk.CacheRequest) { r.Messages[1].ToolCallID = "1" },
		"tool call":      func(r *sdk.CacheRequest) { r.Messages[1].ToolCalls = []sdk.ToolCall{{Name: "x"}} },
		"joined": func(r *sdk.CacheRequest) {
			r.Messages = []sdk.Message{{Role: "system", Content: "Be brief.4:user0:0:12:Hello  there0;"}}
		},
	} {
		r := request()
		change(r)
		k := key(t, r)
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[k] = name
	}
	again := request()
	again.RequestID = "r2"
	if key(t, again) != base {
		t.Error("the same request has another key")
	}
}

func TestPlan_BypassesAndSaysWhy(t *testing.T) {
	for want, change := range map[string]func(*sdk.CacheRequest){
		"temperature 0.7":          func(r *sdk.CacheRequest) { r.Temperature = 0.7 },
		"temperature NaN":          func(r *sdk.CacheRequest) { r.Temperature = math.NaN() },
		"3 choices":                func(r *sdk.CacheRequest) { r.Choices = 3 },
		"tools are on offer":       func(r *sdk.CacheRequest) { r.ToolsDigest = "x" },
		"no digest":                func(r *sdk.CacheRequest) { r.ModelDigest = "" },
		"no messages":              func(r *sdk.CacheRequest) { r.Messages = nil },
		"109 bytes, more than 100": func(r *sdk.CacheRequest) { r.Messages[1].Content = strings.Repeat("x", 100) },
	} {
		r := request()
		change(r)
		plan := policy(t, map[string]string{"max_bytes": "100"}).Plan(r)
		want = strings.Replace(want, "bytes,", "bytes of messages,", 1)
		if plan.Lookup || plan.Admit || len(plan.KeyParts) > 0 || !strings.Contains(plan.Reason, want) {
			t.Errorf("%s: %+v", want, plan)
		}
	}
}

func TestPlan_TTLAndChoices(t *testing.T) {
	r := request()
	r.Choices = 0 // not stated
	if plan := policy(t, map[string]string{"ttl": "90m"}).Plan(r); plan.TTLSeconds != 5400 || !plan.Lookup || plan.Reason == "" {
		t.Errorf("%+v", plan)
	}
	if plan := policy(t, nil).Plan(r); plan.TTLSeconds != 86400 {
		t.Errorf("%+v", plan)
	}
}

func TestPlan_ComparesQuestionsOnlyWhereSwitchedOn(t *testing.T) {
	on := map[string]string{"semantic": "true", "threshold": "0.9", "max_question": "20", "max_temperature": "0.5"}
	for _, c := range []struct {
		name     string
		settings map[string]string
		change   func(*sdk.CacheRequest)
		want     string
	}{
		{"off", nil, func(*sdk.CacheRequest) {}, ""},
		{"on", on, func(*sdk.CacheRequest) {}, "Hello  there"},
		{"warm", on, func(r *sdk.CacheRequest) { r.Temperature = 0.5 }, "Hello  there"},
		{"a text", on, func(r *sdk.CacheRequest) { r.Messages[1].Content = strings.Repeat("long ", 10) }, ""},
		{"the last message is no question", on, func(r *sdk.CacheRequest) { r.Messages[1].Role = "tool" }, ""},
		{"blank", on, func(r *sdk.CacheRequest) { r.Messages[1].Content = " " }, ""},
	} {
		r := request()
		c.change(r)
		plan := policy(t, c.settings).Plan(r)
		if err := plan.Check(); err != nil || plan.Text != c.want || (plan.Threshold == 0.9) != (c.want != "") || !plan.Lookup {
			t.Errorf("%s: %+v, %v", c.name, plan, err)
		}
	}
}

func TestNew_RefusesBadSettings(t *testing.T) {
	for k, v := range map[string]string{"ttl": "soon", "max_bytes": "-1", "tools": "perhaps", "max_temperature": "3", "semantic": "maybe", "threshold": "0", "max_question": "none"} {
		_, err := New(func(key string) (string, bool) { return v, key == k })
		if err == nil || !strings.Contains(err.Error(), k) || !strings.Contains(err.Error(), v) {
			t.Errorf("%s: %v", k, err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	p, r := policy(b, nil), request()
	r.Messages[1].Content = strings.Repeat("some words ", 200)
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r)
	}
}
