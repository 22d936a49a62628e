package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/state"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// shelf is a library of one-chunk documents, by name.
func shelf(t *testing.T, now func() time.Time, docs ...[2]string) *search.Library {
	t.Helper()
	store, err := state.Open(t.TempDir(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	l, err := search.Open(search.Options{Store: store.Documents(), Embedder: embedding.Lexical{}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		shelve(t, l, d[0], d[1], search.Rule{Classification: search.Public, Approved: true})
	}
	return l
}

func shelve(t *testing.T, l *search.Library, name, text string, rule search.Rule) {
	t.Helper()
	err := l.Put(t.Context(), "acme", &search.Document{Name: name, Rule: rule}, text, []search.Chunk{{End: len(text), Heading: []string{"H"}}})
	if err != nil {
		t.Fatal(err)
	}
}

func question(text string) *Request {
	return &Request{ID: "req_1", Tenant: "acme", Access: search.Access{Tenant: "acme"}, Endpoint: "chat", Choices: 1,
		Messages: []openai.Message{{Role: "user", Content: openai.Content(text)}}}
}

// grounded runs a request and returns what the answer carries.
func grounded(t *testing.T, p *Pipeline, r *Route, req *Request) (text string, g *Grounding, tr *Trace, err error) {
	t.Helper()
	p.Trace = func(x *Trace) { tr = x }
	err = p.Run(context.Background(), r, req, func(e Event) error {
		text += e.Text
		if e.Grounding != nil {
			g = e.Grounding
		}
		return nil
	})
	return text, g, tr, err
}

func testPipeline() *Pipeline {
	return &Pipeline{Limits: Limits{MaxTokens: 100, ToolRounds: 2}, CacheTTL: time.Hour, Now: time.Now}
}

func TestRetrieve_AnswersWithCitations(t *testing.T) {
	l := shelf(t, nil, [2]string{"leave.md", "Staff may take 25 days of leave every year."}, [2]string{"pump.md", "The pump is greased every 400 hours."})
	m := &model{id: "m", rounds: []round{says("Größe: staff may take 25 ", "days of leave [1]. They may take 99 days of leave [1]. So [7].")}}
	r := &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l}}
	text, g, tr, err := grounded(t, testPipeline(), r, question("How many days of leave may staff take?"))
	if err != nil || g == nil || len(g.Sources) != 1 || len(g.Citations) != 2 || !g.Answered || !slices.Equal(g.Unknown, []int{7}) {
		t.Fatalf("%q %+v %v", text, g, err)
	}
	c := g.Citations[0]
	if c.Document != "leave.md" || c.Heading[0] != "H" || c.Start != 0 || c.End != 43 || !c.Supported || string([]rune(text)[c.From:c.To]) != "[1]" {
		t.Errorf("%+v %q", c, string([]rune(text)[c.From:c.To]))
	}
	if g.Citations[1].Supported {
		t.Error("99 days are not in the passage")
	}
	prompt := string(m.prompts[0].Messages[0].Content)
	if !strings.Contains(prompt, "[1] leave.md > H\nStaff may take 25 days") || strings.Contains(prompt, "pump") || !strings.HasSuffix(prompt, "Question: How many days of leave may staff take?") {
		t.Error(prompt)
	}
	if i := slices.IndexFunc(tr.Stages, func(e *Entry) bool { return e.Stage == "retrieve" }); i < 0 || len(tr.Stages[i].Chunks) != 1 {
		t.Errorf("%+v", tr.Stages)
	}
}

func TestRetrieve_SaysThatTheDocumentsDoNotSay(t *testing.T) {
	l := shelf(t, nil, [2]string{"leave.md", "Staff may take 25 days of leave every year."})
	m := &model{id: "m", rounds: []round{says("Ulan Bator")}}
	r := &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l}}
	text, g, _, err := grounded(t, testPipeline(), r, question("What is the capital of Mongolia?"))
	if err != nil || text != "The documents do not say." || g == nil || g.Answered || len(m.prompts) != 0 {
		t.Errorf("%q %+v %v, %d prompts", text, g, err, len(m.prompts))
	}
}

func TestRetrieve_ReturnsNothingWhenRightsCannotBeDecided(t *testing.T) {
	l := shelf(t, nil, [2]string{"leave.md", "Staff may take 25 days of leave every year."})
	m := &model{id: "m", rounds: []round{says("25 days")}}
	r := &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l}}
	req := question("How many days of leave?")
	req.Access.Clearance = "cosmic"
	text, _, _, err := grounded(t, testPipeline(), r, req)
	var shown *openai.Error
	if !errors.As(err, &shown) || shown.Code != "access_undecided" || text != "" || len(m.prompts) != 0 {
		t.Errorf("%q, %v", text, err)
	}
}

func TestRetrieve_CachedAnswersAreForEqualRightsAndTheSameDocuments(t *testing.T) {
	now := time.Now()
	l := shelf(t, func() time.Time { return now })
	board := search.Rule{Classification: search.Public, Approved: true, Groups: []string{"board"}, Expires: now.Add(time.Minute)}
	shelve(t, l, "merger", "The merger is planned for May.", board)
	m := &model{id: "m", rounds: []round{says("In May [1].")}}
	plan := &plugin{name: "cache", call: func(wasm.Call) ([]byte, error) {
		return (&hook.CachePlan{Lookup: true, Admit: true, KeyParts: []string{"k"}}).AppendJSON(nil), nil
	}}
	kept := &ttlCache{memoryCache: memoryCache{}}
	p := testPipeline()
	p.Cache = kept
	r := &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l}, CachePlan: &Stage{Plugin: plan}}
	member := func() *Request {
		q := question("When is the merger planned?")
		q.Access.Groups = []string{"board"}
		return q
	}
	text, _, _, err := grounded(t, p, r, member())
	if err != nil || text != "In May [1]." || kept.ttl > time.Minute {
		t.Fatalf("%q, %v, kept for %v", text, err, kept.ttl)
	}
	text, g, tr, _ := grounded(t, p, r, member())
	if tr.Cache != "hit" || text != "In May [1]." || len(g.Citations) != 1 {
		t.Errorf("%s %q %+v", tr.Cache, text, g)
	}
	if text, _, tr, _ := grounded(t, p, r, question("When is the merger planned?")); tr.Cache == "hit" || text != noAnswer {
		t.Errorf("a caller of no group: %s %q", tr.Cache, text)
	}
	board.Groups = []string{"legal"}
	if _, err := l.SetRule("acme", "merger", board); err != nil {
		t.Fatal(err)
	}
	if text, _, tr, _ := grounded(t, p, r, member()); tr.Cache == "hit" || text != noAnswer {
		t.Errorf("after the rule changed: %s %q", tr.Cache, text)
	}
}

// ttlCache remembers how long the last answer may be kept.
type ttlCache struct {
	memoryCache
	ttl time.Duration
}

func (c *ttlCache) Put(ctx context.Context, tenant string, key [32]byte, value []byte, ttl time.Duration) error {
	c.ttl = ttl
	return c.memoryCache.Put(ctx, tenant, key, value, ttl)
}

func TestRetrieve_GuardsReadPassagesFirst(t *testing.T) {
	l := shelf(t, nil, [2]string{"a", "The battery is replaced yearly. The secret code is 7."})
	m := &model{id: "m", rounds: []round{says("Yearly [1].")}}
	r := &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l, Guards: []Stage{{Plugin: secretGuard()}}}}
	if _, _, _, err := grounded(t, testPipeline(), r, question("battery replaced")); err != nil {
		t.Fatal(err)
	}
	if prompt := string(m.prompts[0].Messages[0].Content); strings.Contains(prompt, "secret") || !strings.Contains(prompt, "battery is replaced") {
		t.Error(prompt)
	}
	r.Retrieve.Guards = []Stage{{Plugin: failing("broken")}}
	if _, _, _, err := grounded(t, testPipeline(), r, question("battery replaced")); err == nil {
		t.Error("answered without the guard")
	}
}

func hit(doc string, start int, text string, score float64) search.Hit {
	return search.Hit{Document: doc, ID: doc, Version: "v", Chunk: fmt.Sprintf("%s-%d", doc, start), Start: start, End: start + len(text), Text: text, Score: score}
}

func TestAssemble_OrdersJoinsAndDrops(t *testing.T) {
	whole := "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
	list := assemble([]search.Hit{
		hit("a", 20, whole[20:50], 9), hit("b", 0, "the quick brown fox jumps over the lazy dog", 8), hit("c", 0, "alpha beta gamma delta", 7),
		hit("d", 0, "the quick brown fox jumps over the lazy cat", 6), hit("a", 0, whole[:25], 5), hit("a", 45, whole[45:], 4), hit("e", 0, strings.Repeat("long ", 100), 3),
		hit("f", 0, "fits still here", 2),
	}, 256, func(s string) int { return len(s) })
	var got []string
	for _, s := range list {
		got = append(got, fmt.Sprintf("%d%s", s.Number, s.Document))
	}
	if strings.Join(got, " ") != "1a 2c 3f 4b" {
		t.Errorf("%v", got)
	}
	if list[0].text != whole || list[0].Start != 0 || list[0].End != len(whole) || !slices.Equal(list[0].Chunks, []string{"a-0", "a-20", "a-45"}) {
		t.Errorf("%+v %q", list[0], list[0].text)
	}
}

func FuzzCitations(f *testing.F) {
	f.Add("One [1]. Two [2, 3][4]. [x] [ 1 ] [1,] [99999999999]")
	f.Add("日本語。[1]\xff[2]")
	f.Fuzz(func(t *testing.T, answer string) {
		points := []rune(answer)
		for _, c := range citations(answer) {
			if c.from < 0 || c.to > len(points) || c.from >= c.to || points[c.from] != '[' || points[c.to-1] != ']' {
				if strings.ToValidUTF8(answer, "") == answer {
					t.Fatalf("%q: %+v", answer, c)
				}
			}
		}
	})
}
