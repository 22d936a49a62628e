package model

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// golden is llama.cpp's result for a model of slmtest.Architectures; bench/slm/reference makes the file.
type golden struct {
	Logits    [][]float32 `json:"logits"`
	Embedding []float32   `json:"embedding"`
}

func nmse(got, want []float32) float64 {
	diff, norm := 0.0, 0.0
	for i, w := range want {
		diff += float64(got[i]-w) * float64(got[i]-w)
		norm += float64(w) * float64(w)
	}
	return diff / norm
}

func loadArchitecture(t testing.TB, a *slmtest.Architecture) *Model {
	t.Helper()
	var b bytes.Buffer
	if err := a.Write(&b); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(f, slmtest.ArchVocab, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// limit is how far logits of F32 models may be from llama.cpp's. GELU is a table of half floats there and here, so that a
// difference in the last bit of its input may become one of 5e-4 in a single value, in each layer anew.
func (m *Model) limit() float64 {
	if m.gelu {
		return 1e-8 * float64(m.Layers)
	}
	return 1e-9
}

func TestArchitectures_EqualLlamaCpp(t *testing.T) {
	b, err := os.ReadFile("testdata/architectures.json")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]golden{}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for _, a := range slmtest.Architectures() {
		t.Run(a.Name, func(t *testing.T) {
			g, ok := want[a.Name]
			if !ok {
				t.Fatal("no result of llama.cpp is recorded")
			}
			m := loadArchitecture(t, &a)
			var first []float32
			defer func(n int) { shareElements = n }(shareElements)
			for _, threads := range []int{1, 2} {
				if threads > 1 {
					shareElements = 1 // the workers share what is too small for it else
				}
				for _, chunk := range []int{24, 1, 7} {
					pool := kernel.NewPool(threads)
					var got []float32
					if m.Encoder() {
						got = encodePrompt(t, m, pool, &a, g)
					} else {
						got = passPrompt(t, m, pool, &a, g, chunk)
					}
					pool.Close()
					if first == nil {
						first = slices.Clone(got)
					}
					if !slices.Equal(first, got) {
						t.Errorf("%d threads, %d tokens at once: other values than before", threads, chunk)
					}
				}
			}
		})
	}
}

// passPrompt checks a decoder: its logits, or the pooled state of its last token.
func passPrompt(t *testing.T, m *Model, pool *kernel.Pool, a *slmtest.Architecture, g golden, chunk int) []float32 {
	t.Helper()
	kv, err := m.NewKV(kernel.F32)
	if err != nil {
		t.Fatal(err)
	}
	var sc Scratch
	s := kv.NewSequence()
	defer s.Release()
	var rows []float32
	for tokens := range slices.Chunk(a.Prompt(), chunk) {
		var part []float32
		if a.Embeds() {
			part, err = m.Hidden(context.Background(), pool, &sc, s, tokens)
		} else {
			part, err = m.Forward(context.Background(), pool, &sc, s, tokens, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, part...)
	}
	if a.Embeds() {
		checkPooled(t, m, pool, rows[len(rows)-m.Dim:], g)
		return rows
	}
	for i, row := range slmtest.ArchRows {
		n := nmse(rows[row*m.Vocab:], g.Logits[i])
		t.Logf("NMSE %.2g", n)
		if !(n < m.limit()) {
			t.Errorf("%d tokens at once, token %d: logits differ, NMSE %.2g", chunk, row, n)
		}
	}
	return rows
}

func encodePrompt(t *testing.T, m *Model, pool *kernel.Pool, a *slmtest.Architecture, g golden) []float32 {
	t.Helper()
	var sc Scratch
	ids := a.Prompt()
	rows, err := m.Encode(context.Background(), pool, &sc, [][]int32{ids[:5], ids, ids[3:]})
	if err != nil {
		t.Fatal(err)
	}
	rows = slices.Clone(rows[5*m.Dim : (5+len(ids))*m.Dim])
	state := rows[:m.Dim]
	if m.Pooling == PoolMean {
		state = make([]float32, m.Dim)
		for i := range ids {
			kernel.Axpy(state, 1/float32(len(ids)), rows[i*m.Dim:(i+1)*m.Dim])
		}
	}
	checkPooled(t, m, pool, state, g)
	return rows
}

func checkPooled(t *testing.T, m *Model, pool *kernel.Pool, state []float32, g golden) {
	t.Helper()
	if m.Pooling == PoolRank {
		var err error
		if state, err = m.Rank(pool, &Scratch{}, state); err != nil {
			t.Fatal(err)
		}
	}
	n := nmse(state, g.Embedding)
	t.Logf("NMSE %.2g", n)
	if !(n < m.limit()) {
		t.Errorf("the pooled vector differs, NMSE %.2g", n)
	}
}
