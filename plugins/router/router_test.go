package router

import (
	"strings"
	"testing"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func router(t testing.TB, settings map[string]string) *Router {
	t.Helper()
	r, err := New(func(k string) (string, bool) { v, ok := settings[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(text string) *sdk.RouteRequest {
	return &sdk.RouteRequest{
		Route:    "default",
		Messages: []sdk.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: text}},
		Models: []sdk.Model{
			{ID: "middle", Tier: "medium", ContextTokens: 4096}, {ID: "tiny", Tier: "small", ContextTokens: 1024},
			{ID: "big", Tier: "large", ContextTokens: 32768}, {ID: "cloud", Tier: "remote", Remote: true},
		},
	}
}

const hardQuestion = "Analyse this design and compare it with the alternatives?\nWhy?\n- cost\n- risk\n```go\nfunc main() {}\n```"

func TestRoute_PicksTheTierByComplexity(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		settings map[string]string
		want     string
	}{
		"simple":         {"Classify the sentiment: I like it", nil, "tiny"},
		"middling":       {"Write a letter to the council about the pump.", nil, "middle"},
		"complex":        {hardQuestion, nil, "big"},
		"remote allowed": {hardQuestion, map[string]string{"allow_remote": "true"}, "cloud"},
		"other tiers":    {hardQuestion, map[string]string{"tiers": "large, small"}, "tiny"},
		"too long":       {"Classify: " + strings.Repeat("word ", 1000), nil, "middle"},
		"way too long":   {"Write " + strings.Repeat("word ", 4000), nil, "big"},
	} {
		d := router(t, c.settings).Route(ask(c.text))
		if d.Model != c.want {
			t.Errorf("%s: %s, want %s (%s)", name, d.Model, c.want, d.Reason)
		}
	}
}

func TestRoute_KeepsToTheModelsOfTheRequest(t *testing.T) {
	r := router(t, map[string]string{"rules": "-> model=elsewhere tier=large"})
	req := ask("hello")
	if d := r.Route(req); d.Model == "elsewhere" || d.Check(req) != nil || strings.Contains(d.Reason, "rule") {
		t.Errorf("%+v", d)
	}
	req.Models = []sdk.Model{{ID: "only"}}
	for _, text := range []string{"classify", hardQuestion, strings.Repeat("x", 100000)} {
		req.Messages[1].Content = text
		if d := r.Route(req); d.Model != "only" {
			t.Errorf("%+v", d)
		}
	}
	req.Models = nil
	if d := r.Route(req); d.Model != "" {
		t.Errorf("%+v", d)
	}
}

func TestRoute_Budget(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		client   int
		settings map[string]string
		want     int
	}{
		"classify":         {"classify this", 0, nil, 20},
		"extract":          {"Extract the names", 0, nil, 200},
		"summarise":        {"Bitte fasse den Text zusammen", 0, nil, 300},
		"analyse":          {"Analysiere die Lage", 0, nil, 800},
		"draft":            {"Rédige une lettre", 0, nil, 1500},
		"unknown":          {"hello", 0, nil, 512},
		"set":              {"classify this", 0, map[string]string{"budgets": "classify=5 default=9"}, 5},
		"rule":             {"classify this", 0, map[string]string{"rules": "-> max_tokens=77"}, 77},
		"client":           {"classify this", 10, nil, 10},
		"client has more":  {"classify this", 1000, nil, 1000},
		"client over rule": {"classify this", 10, map[string]string{"rules": "-> max_tokens=77"}, 10},
	} {
		req := ask(c.text)
		req.MaxTokens = c.client
		if d := router(t, c.settings).Route(req); d.MaxTokens != c.want {
			t.Errorf("%s: %d, want %d (%s)", name, d.MaxTokens, c.want, d.Reason)
		}
	}
}

func TestRoute_Rules(t *testing.T) {
	const rules = `
# the first that holds is taken
contains="purchase order",PO-Nummer -> model=big retrieval_depth=8 max_tokens=50
task=summarise,extract min_chars=40 -> tier=large
code=true -> model=cloud
language=de tenant=acme -> model=gone
language=de tenant=acme -> tier=small
tools=true route=default max_chars=10 -> tier=remote
`
	for name, c := range map[string]struct {
		change func(*sdk.RouteRequest)
		text   string
		model  string
		reason string
	}{
		"contains":            {nil, "Where is my PURCHASE order?", "big", "rule 3"},
		"task, long enough":   {nil, "Summarise: " + strings.Repeat("a ", 20), "big", "rule 4"},
		"task, too short":     {nil, "Summarise: a", "middle", "default suits"},
		"code":                {nil, "```\nx\n```", "cloud", "rule 5"},
		"missing model skips": {func(r *sdk.RouteRequest) { r.Tenant = "acme" }, "Wie ist das Wetter und wie wird es?", "tiny", "rule 7"},
		"tools":               {func(r *sdk.RouteRequest) { r.Tools = []string{"x"} }, "hey", "cloud", "rule 8"},
		"none":                {nil, "hey", "tiny", "simple"},
	} {
		req := ask(c.text)
		if c.change != nil {
			c.change(req)
		}
		d := router(t, map[string]string{"rules": rules}).Route(req)
		if d.Model != c.model || !strings.Contains(d.Reason, c.reason) || d.Check(req) != nil {
			t.Errorf("%s: %+v, want %s by %s", name, d, c.model, c.reason)
		}
	}
	d := router(t, map[string]string{"rules": rules}).Route(ask("my purchase order"))
	if d.MaxTokens != 50 || d.RetrievalDepth != 8 || d.Tier != "large" || d.Confidence != 1 {
		t.Errorf("%+v", d)
	}
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	for want, setting := range map[string][2]string{
		"rules: line 2: a rule needs ->":         {"rules", "# x\ncode=true"},
		"a rule needs -> and what follows":       {"rules", "code=true ->"},
		"unknown condition \"colour\"":           {"rules", "colour=red -> model=x"},
		"unknown consequence \"code\"":           {"rules", "-> code=true"},
		"unknown task \"dance\"":                 {"rules", "task=dance -> model=x"},
		"a quote is not closed":                  {"rules", "contains=\"x -> model=x"},
		"a value is empty":                       {"rules", "contains= -> model=x"},
		"max_tokens must be a whole number":      {"rules", "-> max_tokens=0"},
		"code takes one value":                   {"rules", "code=true,false -> model=x"},
		"\"maybe\" is neither true nor false":    {"rules", "code=maybe -> model=x"},
		"expected name=value or ->":              {"rules", "code -> model=x"},
		"more than 200 rules":                    {"rules", strings.Repeat("-> tier=x\n", 201)},
		"budgets: \"classify\" is not":           {"budgets", "classify"},
		"unknown task \"sing\"":                  {"budgets", "sing=3"},
		"tiers: an empty name":                   {"tiers", "a,,b"},
		"simple_below: \"2\" is not a number":    {"simple_below", "2"},
		"simple_below is above":                  {"simple_below", "0.9"},
		"allow_remote: \"x\" is neither true":    {"allow_remote", "x"},
		"complex_above: \"NaN\" is not a number": {"complex_above", "NaN"},
	} {
		_, err := New(func(k string) (string, bool) { return setting[1], k == setting[0] })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestLook_Task(t *testing.T) {
	for text, want := range map[string]string{
		"please summarize this": summarise, "tl;dr": summarise, "kannst du das zusammenfassen": summarise, "résume ce texte": summarise,
		"resume este texto": summarise, "この文章を要約して": summarise, "次を分析し、要約して": analyse, "classify and then summarize": classify,
		"extrahiere alle namen": extract, "compara estos dos": analyse, "write a poem": draft, "a rewritten summary": summarise,
		"the underwriter called": "", "writer's block": "", "hello": "", "": "", "fass": summarise, "fassung": "",
	} {
		if got := look(ask(text).Messages).task; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLook_Language(t *testing.T) {
	for text, want := range map[string]string{
		"what is the capital of france and how do you get there?":        "en",
		"was ist die hauptstadt von frankreich und wie kommt man dahin?": "de",
		"quelle est la capitale de la france et pour qui?":               "fr",
		"¿cuál es la capital de francia y por qué?":                      "es",
		"qual è la capitale della francia e come si arriva?":             "it",
		"日本の首都はどこですか":                                                    "ja", "中国的首都在哪里": "zh", "수도는 어디입니까": "ko", "какая столица": "ru", "ποια είναι": "el",
		"ما هي العاصمة": "ar", "write a regex in go": "", "ok": "", "": "",
	} {
		if got := look(ask(text).Messages).language; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestHasCode(t *testing.T) {
	for text, want := range map[string]bool{
		"```\nx\n```": true, "func f() {\n\treturn\n}": true, "import os\nprint(os.name)": false, "def f(x):\n    return x * 2": true,
		"SELECT * FROM t;\nDELETE FROM t;": true, "Let us go.\nFrom here on it rains.": false, "import duties rise\nfrom here": false, "": false,
	} {
		if got := hasCode(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestRoute_AsksTheToolThatAnswers(t *testing.T) {
	for text, want := range map[string]string{
		"what is 17*23": "17*23", "What is 17 * 23?": "17 * 23", "17x23": "17*23", "Please calculate: (1 + 2) ^ 3 = ?": "(1 + 2) ^ 3",
		"Was ist 3 mal 4?": "3*4", "what's 10 divided by 4": "10/4", "sqrt(2)": "sqrt(2)", "max(1, 2)": "max(1, 2)", "-5 + 3": "-5 + 3",
		"2 × 3 − 1": "2*3 - 1", "combien font 3 fois 4 ?": "3*4", "10 / 2 / 5": "10 / 2 / 5", "7-2": "7-2",
		"2024-11-24": "", "what is 1/2/2024": "", "030-123-456": "", "what is 42": "", "what is love": "", "17*23 apples": "", "1+": "", "(1+2": "",
		"what is a*b": "", "call 555": "", "pi": "", "": "", "1.2.3.4": "", ")1+2(": "", "minimum of 1+2": "",
	} {
		req := ask(text)
		req.Tools = []string{"calculator", "clock"}
		d := router(t, nil).Route(req)
		got := ""
		if len(d.ToolCalls) == 1 {
			got = d.ToolCalls[0].Arguments
		}
		if want != "" {
			want = `{"expression":"` + want + `"}`
		}
		if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") || d.Check(req) != nil {
			t.Errorf("%q: %s, want %s (%v)", text, got, want, d.Check(req))
		}
	}
}

func TestRoute_AsksNoToolThatIsNotOfferedOrWasAsked(t *testing.T) {
	clock := ask("Wie spät ist es?")
	clock.Tools = []string{"clock"}
	if d := router(t, nil).Route(clock); len(d.ToolCalls) != 1 || d.ToolCalls[0].Name != "clock" {
		t.Errorf("%+v", d)
	}
	sum := ask("17*23")
	if d := router(t, nil).Route(sum); d.ToolCalls != nil {
		t.Errorf("not on offer: %+v", d)
	}
	sum.Tools = []string{"calculator"}
	if d := router(t, map[string]string{"direct_tools": "false"}).Route(sum); d.ToolCalls != nil {
		t.Errorf("switched off: %+v", d)
	}
	sum.Messages = append(sum.Messages, sdk.Message{Role: "tool", Content: "391"})
	if d := router(t, nil).Route(sum); d.ToolCalls != nil {
		t.Errorf("already answered: %+v", d)
	}
}

func FuzzRoute(f *testing.F) {
	f.Add(hardQuestion, "task=draft contains=\"x\" -> tier=large", 0)
	f.Add("what is 17x23 − 1?", "-> model=big", 5)
	f.Add("要約\xff", "language=ja -> max_tokens=1", -1)
	f.Fuzz(func(t *testing.T, text, rules string, maxTokens int) {
		r, err := New(func(k string) (string, bool) { return rules, k == "rules" })
		if err != nil {
			return
		}
		req := ask(text)
		req.Tools = []string{"calculator", "clock"}
		req.MaxTokens = maxTokens
		d := r.Route(req)
		if err := d.Check(req); err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		if maxTokens > 0 && d.MaxTokens > maxTokens || d.MaxTokens < 1 || d.Reason == "" {
			t.Fatalf("%+v of %d", d, maxTokens)
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	r := router(b, nil)
	req := ask(strings.Repeat("The station lifts storm water from the lower basin. ", 40))
	b.SetBytes(int64(len(req.Messages[1].Content)))
	b.ReportAllocs()
	for b.Loop() {
		r.Route(req)
	}
}
