package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/semantic"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// world knows who may read what at which time, by rules of its own. A document's states follow one another; while it
// changes from one to the next, either may be seen.
type world struct {
	mu   sync.Mutex
	docs map[string]*history
}

type history struct {
	tenant  string
	states  []docState // all that began
	current int        // the last whose change is through
}

type docState struct {
	text int // number of the text
	rule search.Rule
}

var levels = []string{search.Public, search.Internal, search.Confidential}

// readable is whether the rule lets the caller read, told apart from the library's own way of deciding it.
func readable(a *search.Access, tenant string, r *search.Rule) bool {
	granted := map[string]bool{}
	for _, g := range a.Groups {
		granted[g] = true
	}
	member := len(r.Groups) == 0
	for _, g := range r.Groups {
		member = member || granted[g]
	}
	rank := map[string]int{"": 0, search.Public: 0, search.Internal: 1, search.Confidential: 2}
	return a.Tenant == tenant && r.Approved && member && rank[r.Classification] <= rank[a.Clearance] &&
		(len(r.Purposes) == 0 || r.Purposes[0] == a.Purpose)
}

// change makes a state that begins now, and that is through when do returns.
func (w *world) change(name, tenant string, s docState, do func() error) error {
	w.mu.Lock()
	h := w.docs[name]
	if h == nil {
		h = &history{tenant: tenant, current: -1}
		w.docs[name] = h
	}
	h.states = append(h.states, s)
	w.mu.Unlock()
	err := do()
	w.mu.Lock()
	h.current = len(h.states) - 1
	w.mu.Unlock()
	return err
}

// now notes each document's last state whose change is through.
func (w *world) now() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]int, len(w.docs))
	for name, h := range w.docs {
		out[name] = h.current
	}
	return out
}

// could is whether the caller might read the document since the moment that was noted, with this text; below 0: any.
func (w *world) could(a *search.Access, name string, text int, since map[string]int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.docs[name]
	return h != nil && slices.ContainsFunc(h.states[since[name]:], func(s docState) bool {
		return (text < 0 || s.text == text) && readable(a, h.tenant, &s.rule)
	})
}

var saysText = regexp.MustCompile(`doc=(\S+) text=(\d+)`)

// parrot says which passages it was shown, and cites each. It is safe for concurrent use.
type parrot struct{ asked atomic.Int64 }

func (*parrot) Info() hook.Model { return hook.Model{ID: "parrot"} }
func (*parrot) Digest() string   { return "sha256:parrot" }
func (m *parrot) Generate(_ context.Context, p *Prompt, emit func(Delta) error) (Outcome, error) {
	m.asked.Add(1)
	for i, said := range saysText.FindAllString(string(p.Messages[0].Content), -1) {
		if err := emit(Delta{Text: fmt.Sprintf("%s [%d]. ", said, i+1)}); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{FinishReason: "stop"}, nil
}

// lockedCache is a memoryCache for many at once.
type lockedCache struct {
	mu sync.Mutex
	memoryCache
}

func (c *lockedCache) Get(ctx context.Context, tenant string, key [32]byte) ([]byte, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memoryCache.Get(ctx, tenant, key)
}

func (c *lockedCache) Put(ctx context.Context, tenant string, key [32]byte, value []byte, ttl time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memoryCache.Put(ctx, tenant, key, value, ttl)
}

// alikePlan reuses the answers of questions that are equal, or ask the same.
func alikePlan() *Stage {
	return &Stage{Plugin: &plugin{name: "cache", call: func(c wasm.Call) ([]byte, error) {
		var r hook.CacheRequest
		if err := json.Unmarshal(c.Input, &r); err != nil {
			return nil, err
		}
		q := r.Messages[len(r.Messages)-1].Content
		return (&hook.CachePlan{Lookup: true, Admit: true, KeyParts: []string{q}, Text: q, Threshold: 0.9}).AppendJSON(nil), nil
	}}}
}

func cachingPipeline() *Pipeline {
	p := testPipeline()
	p.Log = slog.New(slog.DiscardHandler)
	p.Cache = &lockedCache{memoryCache: memoryCache{}}
	p.Meanings = semantic.New(embedding.Lexical{}, semantic.Most, time.Now)
	p.Trace = func(*Trace) {}
	return p
}

// Ten thousand questions by users of five tenants, four groups and three classifications, who ask the same, with the exact
// and the semantic cache on, while rules change and documents are indexed again: no answer, citation or source is of a
// document that its caller might not read, nor of a text that was replaced before the question came. Callers whose rights
// cannot be decided get nothing and are told so.
func TestRetrieve_NeverLeaksThroughTheAnswerPath(t *testing.T) {
	const tenants, docs, questions, askers = 5, 16, 10000, 4
	subjects := []string{"pump", "valve", "battery", "contract", "invoice", "holiday"}
	l := shelf(t, nil)
	w := &world{docs: map[string]*history{}}
	rule := func(rng *rand.Rand) search.Rule {
		r := search.Rule{Classification: levels[rng.IntN(3)], Approved: rng.IntN(8) > 0}
		for g := range 4 {
			if rng.IntN(4) == 0 {
				r.Groups = append(r.Groups, fmt.Sprint("g", g))
			}
		}
		if rng.IntN(5) == 0 {
			r.Purposes = []string{"audit"}
		}
		return r
	}
	var texts atomic.Int64
	last := map[string]int{} // of the one writer: the number of each document's text
	write := func(rng *rand.Rand, tenant string, i int) error {
		name := fmt.Sprintf("%s/%d", tenant, i)
		last[name] = int(texts.Add(1))
		text := fmt.Sprintf("doc=%s text=%d The %s is replaced with care. Its number is %d.", name, last[name], subjects[i%len(subjects)], rng.IntN(1e6))
		s := docState{last[name], rule(rng)}
		return w.change(name, tenant, s, func() error {
			return l.Put(t.Context(), tenant, &search.Document{Name: name, Rule: s.rule}, text, []search.Chunk{{End: len(text)}})
		})
	}
	permit := func(rng *rand.Rand, tenant string, i int) error {
		name := fmt.Sprintf("%s/%d", tenant, i)
		s := docState{last[name], rule(rng)}
		return w.change(name, tenant, s, func() error { _, err := l.SetRule(tenant, name, s.rule); return err })
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range tenants {
		for i := range docs {
			if err := write(rng, fmt.Sprint("t", n), i); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := &parrot{}
	p, r := cachingPipeline(), &Route{Name: "support", Models: []Model{m}, Retrieve: &Retrieve{From: l}, CachePlan: alikePlan()}

	var asked, cited, otherMade, undecided atomic.Int64
	var outcomes sync.Map // of the cache, by what the trace says
	var madeBy sync.Map   // who an answer was made for, by its key
	step := make(chan struct{}, 1)
	var all sync.WaitGroup
	all.Go(func() {
		rng := rand.New(rand.NewPCG(2, 2))
		for range step {
			tenant, i, how := fmt.Sprint("t", rng.IntN(tenants)), rng.IntN(docs), permit
			if rng.IntN(2) == 0 {
				how = write
			}
			if err := how(rng, tenant, i); err != nil {
				t.Error(err)
			}
		}
	})
	var readers sync.WaitGroup
	for n := range askers {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(n)))
			for i := 0; i < questions/askers && !t.Failed(); i++ {
				if asked.Add(1)%50 == 0 {
					step <- struct{}{} // the others go on asking while the change is made
				}
				user := rng.IntN(24) // two by two of equal rights
				a := search.Access{Tenant: fmt.Sprint("t", rng.IntN(tenants)), Subject: fmt.Sprint("user", user), Clearance: levels[user/2%3], Groups: []string{fmt.Sprint("g", user/2%4)}}
				if user > 20 {
					a.Purpose = "audit"
				}
				subject := subjects[rng.IntN(len(subjects))]
				text := fmt.Sprintf([]string{"How do I replace the %s?", "how can i replace the %s", "How do I replace the %s"}[rng.IntN(3)], subject)
				req := &Request{ID: "q", Tenant: a.Tenant, Subject: a.Subject, Access: a, Endpoint: "chat", Choices: 1, Messages: []openai.Message{{Role: "user", Content: openai.Content(text)}}}
				broken := rng.IntN(20) == 0
				if broken {
					switch rng.IntN(3) {
					case 0:
						req.Access.Clearance = "cosmic"
					case 1:
						req.Access.Groups = []string{a.Groups[0], ""}
					case 2:
						req.Access.Tenant = ""
					}
				}
				var tr *Trace
				req.OnEnd = func(x *Trace) { tr = x }
				since := w.now()
				var said string
				var grounds []*Grounding
				err := p.Run(t.Context(), r, req, func(e Event) error {
					said += e.Text
					if e.Grounding != nil {
						grounds = append(grounds, e.Grounding)
					}
					return nil
				})
				if broken {
					var shown *openai.Error
					if !errors.As(err, &shown) || shown.Code != "access_undecided" || shown.Status != http.StatusForbidden || said != "" || len(grounds) > 0 {
						t.Errorf("%+v: %q, %+v, %v", req.Access, said, grounds, err)
					}
					undecided.Add(1)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				for _, found := range saysText.FindAllStringSubmatch(said, -1) {
					number, _ := strconv.Atoi(found[2])
					if !w.could(&a, found[1], number, since) {
						t.Errorf("%s: %+v is told %q", tr.Cache, a, found[0])
					}
				}
				for _, g := range grounds {
					for _, s := range g.Sources {
						if !w.could(&a, s.Document, -1, since) {
							t.Errorf("%s: %+v gets the source %+v", tr.Cache, a, s)
						}
					}
					for _, c := range g.Citations {
						cited.Add(1)
						if !w.could(&a, c.Document, -1, since) {
							t.Errorf("%s: %+v gets the citation %+v", tr.Cache, a, c)
						}
					}
				}
				count, _ := outcomes.LoadOrStore(tr.Cache, &atomic.Int64{})
				count.(*atomic.Int64).Add(1)
				if tr.CacheKey != "" {
					if maker, there := madeBy.LoadOrStore(tr.CacheKey, a.Subject); there && maker != a.Subject && tr.Cache != cacheMiss {
						otherMade.Add(1)
					}
				}
			}
		})
	}
	readers.Wait()
	close(step)
	all.Wait()
	seen := map[string]int64{}
	outcomes.Range(func(k, v any) bool { seen[k.(string)] = v.(*atomic.Int64).Load(); return true })
	changes := texts.Load() - tenants*docs
	t.Logf("%v, %d by another's answer, %d citations, %d undecided, %d prompts, %d texts replaced", seen, otherMade.Load(), cited.Load(), undecided.Load(), m.asked.Load(), changes)
	if !t.Failed() && (seen[cacheHit] < 300 || seen[cacheSemantic] < 300 || seen[cacheMiss] < 500 || otherMade.Load() < 200 || cited.Load() < questions/2 || undecided.Load() < 300 || changes < 50) {
		t.Error("the test saw too little")
	}
}

// What may be answered again, and when: not beyond the expiry of what it was made from, though stale answers are given;
// not where the state of the documents cannot be told; and not to another caller, where a tool read documents as this one.
func TestRetrieve_KeepsNoAnswerThatAnotherMayNotRead(t *testing.T) {
	t.Run("a stale answer of an expired document", func(t *testing.T) {
		now := time.Now()
		clock := func() time.Time { return now }
		l := shelf(t, clock)
		shelve(t, l, "merger", "The merger is planned for May.", search.Rule{Classification: search.Public, Approved: true, Expires: now.Add(time.Minute)})
		p, kept := cachingPipeline(), &ttlCache{memoryCache: memoryCache{}}
		p.Cache, p.Now = kept, clock
		r := &Route{Name: "support", Models: []Model{&parrot{}}, Retrieve: &Retrieve{From: l}, CachePlan: alikePlan(), CacheTTL: time.Second, CacheStale: time.Hour}
		if _, _, _, err := grounded(t, p, r, question("When is the merger planned?")); err != nil || kept.ttl != time.Minute {
			t.Errorf("kept for %v, beyond the minute that the document may be read; %v", kept.ttl, err)
		}
	})
	t.Run("the documents cannot be reached", func(t *testing.T) {
		from := &unreachable{Library: shelf(t, nil, [2]string{"merger", "The merger is planned for May."})}
		r := &Route{Name: "support", Models: []Model{&model{id: "m", rounds: []round{says("In May [1].")}}}, Retrieve: &Retrieve{From: from}, CachePlan: alikePlan()}
		p := cachingPipeline()
		for range 2 {
			if text, _, _, err := grounded(t, p, r, question("When is the merger planned?")); err != nil || text != "In May [1]." {
				t.Fatal(text, err)
			}
		}
		from.gone = true
		text, g, tr, err := grounded(t, p, r, question("When is the merger planned?"))
		var shown *openai.Error
		if !errors.As(err, &shown) || shown.Code != "retrieval_failed" || text != "" || g != nil || tr.Cache == cacheHit {
			t.Errorf("%q %+v %v", text, g, err)
		}
	})
	t.Run("a tool that reads documents", func(t *testing.T) {
		call := openai.ToolCall{ID: "1", Type: "function", Function: openai.FunctionCall{Name: "look_up", Arguments: "{}"}}
		m := &model{id: "m", rounds: []round{{calls: []openai.ToolCall{call}}, says("In May."), says("Nobody says.")}}
		look := readingTool{&plugin{name: "look"}}
		r := &Route{Name: "support", Models: []Model{m}, AlwaysOffer: true, CachePlan: alikePlan(),
			Tools: []HostTool{{Definition: openai.Tool{Type: "function", Function: openai.Function{Name: "look_up"}}, Plugin: look}}}
		p := cachingPipeline()
		member := question("When is the merger planned?")
		member.Access.Groups = []string{"board"}
		if text, _, _, err := grounded(t, p, r, member); err != nil || text != "In May." {
			t.Fatal(text, err)
		}
		if text, _, tr, err := grounded(t, p, r, question("When is the merger planned?")); err != nil || text == "In May." || tr.Cache != cacheMiss {
			t.Errorf("%s: %q, %v", tr.Cache, text, err)
		}
	})
}

// unreachable is a library whose state cannot be told any more.
type unreachable struct {
	*search.Library
	gone bool
}

func (u *unreachable) Version(tenant string) (string, error) {
	if u.gone {
		return "", errors.New("the disk is gone")
	}
	return u.Library.Version(tenant)
}

// readingTool is a tool that reads documents with the rights of whoever asks.
type readingTool struct{ *plugin }

func (t readingTool) Call(ctx context.Context, _ wasm.Call) (wasm.Result, error) {
	a, _ := AccessOf(ctx)
	return wasm.Result{Output: fmt.Appendf(nil, `{"content":[{"type":"text","text":"The merger is planned for May, say %s"}]}`, a.Groups)}, nil
}
