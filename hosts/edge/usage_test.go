package edge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/identity"
	"github.com/ledge-run/ledge/runtime/state"
)

func TestUsage_AddsUpByTenantAndIsTheSameCountedAgain(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)), withAuth, func(c *config.Config) {
		c.Prices = map[string]config.Price{config.Local: {Prompt: 1, Answer: 2}}
	})
	admin := a.guardedAdmin()
	all := []string{"chat", "admin"}
	red, blue := a.key(identity.Key{Tenant: "red", Roles: all}), a.key(identity.Key{Tenant: "blue", Roles: all})
	operator := a.key(identity.Key{Tenant: "house", Roles: []string{"operator"}})
	url := a.api.URL + "/v1/chat/completions"
	for range 2 { // the second is a cache hit
		a.as(red, "POST", url, ask("Once upon a time"))
	}
	a.as(red, "POST", url, ask("Hello", "model", "none"))
	a.as(blue, "POST", url, ask("Once upon a time"))

	usage := func(key, query string) (out []state.UsageLine) {
		t.Helper()
		r := a.as(key, "GET", admin.URL+"/admin/v1/usage?"+query, nil)
		var v struct{ Usage []state.UsageLine }
		if r.status != 200 || json.Unmarshal(r.body, &v) != nil {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return v.Usage
	}
	of := usage(red, "by=tenant")
	if len(of) != 1 || of[0].Tenant != "red" || of[0].Requests != 3 || of[0].Failed != 1 || of[0].CacheHits != 1 || of[0].CompletionTokens != 12 ||
		of[0].SavedTokens != of[0].PromptTokens+12 || of[0].Cost != 1000*of[0].PromptTokens+2000*12 {
		t.Errorf("red: %+v", of)
	}
	if got := usage(blue, "by=tenant&tenant=red"); len(got) != 1 || got[0].Tenant != "blue" {
		t.Errorf("blue sees %+v", got)
	}
	const columns = "by=day,tenant,route,model,key"
	if kept, again := usage(operator, columns), usage(operator, columns+"&recount=true"); len(kept) != 3 || len(again) != 3 || kept[0] != again[0] || kept[1] != again[1] || kept[2] != again[2] {
		t.Errorf("kept %+v, counted again %+v", kept, again)
	}
	r := a.as(operator, "GET", admin.URL+"/admin/v1/usage?by=tenant&format=csv", nil)
	if lines := strings.Split(strings.TrimSpace(string(r.body)), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "tenant,requests,failed") || !strings.HasPrefix(lines[1], "blue,1,0,0,") {
		t.Errorf("%s", r.body)
	}
	for _, bad := range []string{"by=colour", "from=yesterday", "to=2026-13-01"} {
		if r := a.as(operator, "GET", admin.URL+"/admin/v1/usage?"+bad, nil); r.status != 400 {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
}
