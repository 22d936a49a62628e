package grammar

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/sample"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

func referenceModel(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LEDGE_REFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "refs")
	}
	path := filepath.Join(dir, "stories260K", "stories260K-f32.gguf")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference data: %v; set LEDGE_REFS", err)
	}
	return path
}

func tinyModel(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := slmtest.Tiny.Write(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func openModel(t testing.TB, path string) (*engine.Engine, *Vocabulary) {
	t.Helper()
	e, err := engine.Open(path, engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	tok := e.Tokenizer()
	return e, NewVocabulary(tok.Size(), func(id int32) []byte {
		if tok.IsControl(id) {
			return nil
		}
		return tok.TokenBytes(id)
	}, tok.IsEOG)
}

// generate answers at temperature 1 within a program; nil: free text.
func generate(t testing.TB, e *engine.Engine, p *Program, seed uint64, tokens int) (string, engine.Result) {
	t.Helper()
	r := engine.Request{Prompt: e.Tokenizer().Encode("Once upon a time", tokenizer.Options{AddSpecial: true}), MaxTokens: tokens,
		Sampling: sample.Params{Temperature: 1, Seed: seed}}
	if p != nil {
		m, err := p.NewMatcher()
		if err != nil {
			t.Fatal(err)
		}
		r.Constraint = m
	}
	var text strings.Builder
	res, err := e.Generate(context.Background(), r, func(t engine.Token) error {
		text.WriteString(t.Text)
		return nil
	})
	if err != nil {
		t.Fatalf("after %q: %v", text.String(), err)
	}
	return text.String(), res
}

// modelAnswersAreValid has a model answer in as many different schemas as wanted, at temperature 1. An answer that the
// context cut off is asked for again: it is no document.
func modelAnswersAreValid(t *testing.T, path string, schemas int) {
	e, v := openModel(t, path)
	r := rand.New(rand.NewPCG(2026, 11))
	tokens, cut := 0, 0
	seen := map[string]bool{}
	for len(seen) < schemas {
		schema, _ := schemaMaker{r}.make(2)
		if seen[schema] {
			continue
		}
		seen[schema] = true
		g, err := Schema([]byte(schema))
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		p, s := NewProgram(g, v), validator(t, schema)
		for seed := uint64(0); ; seed++ {
			text, res := generate(t, e, p, seed, 0)
			tokens += res.CompletionTokens
			if res.FinishReason == engine.FinishLength {
				cut++
				if strings.Contains(schema, `"$ref"`) && seed >= 2 {
					break // a model may go on into a recursion for ever
				}
				if seed > 20 {
					t.Fatalf("schema %s\nnever fits the context: %q", schema, text)
				}
				continue
			}
			validate(t, s, schema, text)
			break
		}
	}
	t.Logf("%d schemas, %d tokens, %d answers cut off by the context", len(seen), tokens, cut)
}

func TestSchema_FiveHundredAnswersOfATrainedModelAreValid(t *testing.T) {
	modelAnswersAreValid(t, referenceModel(t), 500)
}

func TestSchema_AnswersOfARandomModelAreValid(t *testing.T) {
	modelAnswersAreValid(t, tinyModel(t), 40)
}

// BenchmarkDecode compares constrained with free decoding in one run: rounds alternate, and the slowdown is that of the
// time a token.
func BenchmarkDecode(b *testing.B) {
	path := os.Getenv("LEDGE_BENCH_MODEL")
	if path == "" {
		path = referenceModel(b)
	}
	e, v := openModel(b, path)
	for name, doc := range map[string]string{
		"strings": `{"type":"object","properties":{"title":{"type":"string","minLength":150},"text":{"type":"string","minLength":150}},"required":["title","text"],"additionalProperties":false}`,
		"numbers": `{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},"price":{"type":"number","minimum":0,"maximum":1000}},"required":["id","price"]},"minItems":60}`,
		"any":     `{"type":"array","minItems":200}`,
	} {
		b.Run(name, func(b *testing.B) {
			g, err := Schema([]byte(doc))
			if err != nil {
				b.Fatal(err)
			}
			p := NewProgram(g, v)
			b.ReportAllocs()
			var free, held time.Duration
			var freeTokens, heldTokens int
			for i := 0; b.Loop(); i++ {
				_, res := generate(b, e, p, uint64(i), 200)
				held, heldTokens = held+res.Decode, heldTokens+res.CompletionTokens
				_, res = generate(b, e, nil, uint64(i), 200)
				free, freeTokens = free+res.Decode, freeTokens+res.CompletionTokens
			}
			x, y := float64(held.Microseconds())/float64(heldTokens), float64(free.Microseconds())/float64(freeTokens)
			b.ReportMetric(x, "us/token-held")
			b.ReportMetric(y, "us/token-free")
			b.ReportMetric((x/y-1)*100, "%slower")
		})
	}
}

// BenchmarkMask is the first mask of a state that allows most tokens, for the vocabulary of the model.
func BenchmarkMask(b *testing.B) {
	_, v := openModel(b, referenceModel(b))
	g, err := Schema([]byte(`{"type":"string"}`))
	if err != nil {
		b.Fatal(err)
	}
	mask := make([]uint32, (v.size+31)/32)
	b.ReportAllocs()
	for b.Loop() {
		m, _ := NewProgram(g, v).NewMatcher()
		m.AcceptBytes([]byte(`"`))
		if err := m.Mask(mask); err != nil {
			b.Fatal(err)
		}
	}
}
