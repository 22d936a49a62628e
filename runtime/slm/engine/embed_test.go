package engine

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// openArchitecture opens one of the tiny models, with words.
func openArchitecture(t testing.TB, name string, o Options) *Engine {
	t.Helper()
	for _, a := range slmtest.Architectures() {
		if a.Name == name {
			path := filepath.Join(t.TempDir(), name+".gguf")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(a.WriteWithWords(f), f.Close()); err != nil {
				t.Fatal(err)
			}
			return open(t, path, o)
		}
	}
	t.Fatalf("no model %s", name)
	return nil
}

var sentences = []string{"the quick brown fox jumps", "a cat sleeps", "", "the river is small and the house is large", "fish", strings.Repeat("dog ", 60)}

// TestEmbed_IsTheSameInAnyCompany embeds texts alone on one thread and then in batches from many callers at once: every
// vector must be the same to the last bit, and of unit length.
func TestEmbed_IsTheSameInAnyCompany(t *testing.T) {
	for _, name := range []string{"bert-mean", "bert-cls", "nomic-bert", "qwen3-last"} {
		solo := openArchitecture(t, name, Options{Threads: 1})
		var want [][]float32
		for _, s := range sentences {
			v, err := solo.Embed(context.Background(), []string{s})
			if err != nil {
				t.Fatalf("%s: %q: %v", name, s, err)
			}
			norm := 0.0
			for _, x := range v[0] {
				norm += float64(x) * float64(x)
			}
			if math.Abs(norm-1) > 1e-6 || len(v[0]) != solo.Info().Embedding {
				t.Errorf("%s: %q has %d values of the norm %g", name, s, len(v[0]), norm)
			}
			want = append(want, v[0])
		}
		if slices.Equal(want[0], want[1]) || slices.Equal(want[1], want[4]) {
			t.Errorf("%s: different texts have the same vector", name)
		}
		e := openArchitecture(t, name, Options{Threads: 3})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				got, err := e.Embed(context.Background(), append(slices.Clone(sentences), sentences...))
				if err != nil {
					t.Error(err)
					return
				}
				for i, v := range got {
					if !slices.Equal(v, want[i%len(want)]) {
						t.Errorf("%s: vector %d differs in company", name, i)
					}
				}
			})
		}
		all.Wait()
	}
}

func TestEmbed_RefusesOrCutsLongTexts(t *testing.T) {
	e := openArchitecture(t, "bert-mean", Options{Threads: 1})
	long := strings.Repeat("a cat sleeps ", 40)
	var full *ContextError
	if _, err := e.Embed(context.Background(), []string{"fox", long}); !errors.As(err, &full) || !strings.Contains(err.Error(), "text 1") {
		t.Errorf("a text longer than the context: %v", err)
	}
	ids := e.EmbedTokens(long, true)
	if len(ids) != e.EmbedLimit() || ids[len(ids)-1] != 3 {
		t.Errorf("%d tokens, the last %d", len(ids), ids[len(ids)-1])
	}
	if _, err := e.EmbedIDs(context.Background(), [][]int32{ids}); err != nil {
		t.Error(err)
	}
	if _, err := e.EmbedIDs(context.Background(), [][]int32{{}}); err == nil {
		t.Error("no tokens are a text")
	}
	if _, err := e.EmbedIDs(context.Background(), [][]int32{{1, slmtest.ArchVocab}}); err == nil {
		t.Error("a token outside the vocabulary is taken")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Embed(ctx, []string{"fox"}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestEmbed_LongTextsOfADecoderGoInParts(t *testing.T) {
	shape := slmtest.Tiny
	e := open(t, writeModel(t, shape), Options{Threads: 2, ExactKV: true})
	ids := randomPrompt(1, 700)
	got, err := e.EmbedIDs(context.Background(), [][]int32{ids, ids[:3]})
	if err != nil {
		t.Fatal(err)
	}
	if e.model.Pooling != model.PoolNone || len(got) != 2 || slices.Equal(got[0], got[1]) {
		t.Errorf("pooling %d, %d vectors", e.model.Pooling, len(got))
	}
}

func TestGenerate_RefusesEncoders(t *testing.T) {
	e := openArchitecture(t, "bert-mean", Options{Threads: 1})
	if _, err := e.Generate(context.Background(), Request{Prompt: []int32{2, 5}}, nil); !errors.Is(err, ErrEncoder) {
		t.Error(err)
	}
	if _, err := e.Logits(context.Background(), []int32{2, 5}); !errors.Is(err, ErrEncoder) {
		t.Error(err)
	}
	if _, _, err := e.Rerank(context.Background(), "fox", []string{"dog"}); !errors.Is(err, ErrNoRank) {
		t.Error(err)
	}
}

// TestRerank_ScoresEachPair compares with the classifier applied to one pair after the other.
func TestRerank_ScoresEachPair(t *testing.T) {
	e := openArchitecture(t, "bert-rank", Options{Threads: 2})
	documents := []string{"the fox runs", "a house", strings.Repeat("green tree ", 50), ""}
	scores, tokens, err := e.Rerank(context.Background(), "quick fox", documents)
	if err != nil || len(scores) != len(documents) {
		t.Fatal(scores, err)
	}
	pool := kernel.NewPool(1)
	defer pool.Close()
	count := 0
	for i, d := range documents {
		ids := e.Tokenizer().EncodePair("quick fox", d)
		if i == 0 && ids[0] != 2 {
			t.Errorf("the pair begins with %d", ids[0])
		}
		ids = ids[:min(len(ids), e.EmbedLimit())]
		count += len(ids)
		var sc model.Scratch
		states, err := e.model.Encode(context.Background(), pool, &sc, [][]int32{ids})
		if err != nil {
			t.Fatal(err)
		}
		want, err := e.model.Rank(pool, &sc, slices.Clone(states[:e.model.Dim]))
		if err != nil || want[0] != scores[i] {
			t.Errorf("document %d has the score %g, want %g (%v)", i, scores[i], want[0], err)
		}
	}
	if tokens != count {
		t.Errorf("%d tokens counted, of %d", tokens, count)
	}
}
