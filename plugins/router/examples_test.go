package router

import (
	"strings"
	"testing"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestExamples_GiveTheIntentOutsideTheBand(t *testing.T) {
	r, err := New(func(key string) (string, bool) {
		return map[string]string{"rules": "intent=refund -> tier=large max_tokens=77"}[key], key == "rules"
	})
	if err != nil {
		t.Fatal(err)
	}
	models := []sdk.Model{{ID: "a", Tier: "small"}, {ID: "b", Tier: "large"}}
	for name, c := range map[string]struct {
		list []sdk.Example
		want string
	}{
		"sure":               {[]sdk.Example{{Name: "refund", Score: 0.8}, {Name: "hours", Score: 0.75}}, "b"},
		"in the band, far":   {[]sdk.Example{{Name: "refund", Score: 0.45}, {Name: "hours", Score: 0.2}}, "b"},
		"in the band, close": {[]sdk.Example{{Name: "refund", Score: 0.55}, {Name: "hours", Score: 0.5}}, "a"},
		"below":              {[]sdk.Example{{Name: "refund", Score: 0.3}}, "a"},
		"another":            {[]sdk.Example{{Name: "hours", Score: 0.9}, {Name: "refund", Score: 0.7}}, "a"},
		"none":               {nil, "a"},
	} {
		d := r.Route(&sdk.RouteRequest{Models: models, Examples: c.list, Messages: []sdk.Message{{Role: "user", Content: "hello there"}}})
		if d.Model != c.want || c.want == "b" && (d.MaxTokens != 77 || !strings.Contains(d.Reason, "intent refund")) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := r.Route(&sdk.RouteRequest{Models: models, Examples: []sdk.Example{{Name: "sensitive", Score: 0.9}}, Messages: []sdk.Message{{Role: "user", Content: "hello"}}}); !d.Sensitive {
		t.Errorf("%+v", d)
	}
	if d := r.Route(&sdk.RouteRequest{Models: models, Examples: []sdk.Example{{Name: "domain:legal", Score: 0.9}}, Messages: []sdk.Message{{Role: "user", Content: "hello"}}}); !strings.Contains(d.Reason, "domain legal") {
		t.Errorf("%+v", d)
	}
}
