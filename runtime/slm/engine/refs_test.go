package engine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/model"
	"github.com/ledge-run/ledge/runtime/slm/tokenizer"
)

// refs is the folder with llama.cpp's results; it is not part of the repository.
func refs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LEDGE_REFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "refs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no reference data: %v; set LEDGE_REFS to its folder", err)
	}
	return dir
}

type reference struct {
	Prompt       string
	PromptTokens []int32   `json:"prompt_tokens"`
	Greedy       []int32   `json:"greedy"`
	Margin       []float64 `json:"greedy_margin"`
	KV           string
	Repack       bool
	Text         string
}

func load[T any](t *testing.T, path string, v *T) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func nmse(got []float32, want []byte) float64 {
	diff, norm := 0.0, 0.0
	for i, g := range got {
		w := float64(math.Float32frombits(binary.LittleEndian.Uint32(want[i*4:])))
		diff += (float64(g) - w) * (float64(g) - w)
		norm += w * w
	}
	return diff / norm
}

func TestReference_StoriesEqualLlamaCpp(t *testing.T) {
	dir := filepath.Join(refs(t), "stories260K")
	for name, tc := range map[string]struct {
		results []string
		limit   float64
	}{
		"stories260K-f32":           {[]string{"f32.once", "f32.lily", "f32.once.default"}, 1e-9},
		"stories260K-f16":           {[]string{"f16.once", "f16.lily", "f16.once.default"}, 1e-6},
		"stories260K-ffn256-Q8_0":   {[]string{"ffn256-Q8_0.once"}, 5e-4},
		"stories260K-ffn256-Q4_0":   {[]string{"ffn256-Q4_0.once"}, 5e-4},
		"stories260K-ffn256-Q5_0":   {[]string{"ffn256-Q5_0.once"}, 5e-4},
		"stories260K-ffn256-Q6_K":   {[]string{"ffn256-Q6_K.once"}, 5e-4},
		"stories260K-ffn256-Q4_K_M": {[]string{"ffn256-Q4_K_M.once"}, 5e-4},
	} {
		checkBatches(t, filepath.Join(dir, name+".gguf"), filepath.Join(dir, tc.results[0]), tc.limit)
		for _, threads := range []int{1, 3} {
			e, err := Open(filepath.Join(dir, name+".gguf"), Options{Threads: threads, ExactKV: true})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, result := range tc.results {
				var ref reference
				load(t, filepath.Join(dir, result+".json"), &ref)
				if got := e.Tokenizer().Encode(ref.Prompt, tokenizer.Options{AddSpecial: true}); !equal(got, ref.PromptTokens) {
					t.Errorf("%s: tokens %v, want %v", result, got, ref.PromptTokens)
				}
				logits, err := e.Logits(context.Background(), ref.PromptTokens)
				if err != nil {
					t.Fatal(err)
				}
				if want, err := os.ReadFile(filepath.Join(dir, result+".logits.f32")); err == nil {
					if n := nmse(logits, want[len(want)-4*len(logits):]); !(n < tc.limit) {
						t.Errorf("%s: logits differ, NMSE %.2g, limit %.2g", result, n, tc.limit)
					} else {
						t.Logf("%s, %d threads: NMSE %.2g", result, threads, n)
					}
				}
				checkGreedy(t, result, e, &ref)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// checkBatches passes the prompt in parts of several sizes on several numbers of threads, all to the same bits.
func checkBatches(t *testing.T, path, result string, limit float64) {
	t.Helper()
	var ref reference
	load(t, result+".json", &ref)
	want, err := os.ReadFile(result + ".logits.f32")
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := model.Load(f, 512, 0)
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(2)
	release, err := m.Prepare(pool, f)
	pool.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var first []float32
	counts := []int{1, 2, 4}
	if testing.Short() { // as under an emulator
		counts = []int{2}
	}
	for _, threads := range counts {
		for chunk := range ref.PromptTokens {
			if (threads != 2 || testing.Short()) && chunk%4 != 0 {
				continue
			}
			logits := checkArchitecture(t, m, &ref, want, limit, threads, chunk+1)
			if first == nil {
				first = logits
			}
			if !slices.Equal(first, logits) {
				t.Errorf("%s, %d threads, %d tokens at once: other logits than before", filepath.Base(path), threads, chunk+1)
			}
		}
	}
}

// TestReference_OnEveryPath runs the comparisons again with each of the kernels that this machine has and does not choose.
func TestReference_OnEveryPath(t *testing.T) {
	refs(t)
	for _, name := range kernel.Paths() {
		if name == kernel.Path() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := exec.Command(os.Args[0], "-test.run", "^TestReference_(Stories|Architectures)EqualLlamaCpp$", "-test.v")
			c.Env = append(os.Environ(), "LEDGE_KERNEL="+name)
			out, err := c.CombinedOutput()
			if errors.Is(err, syscall.ENOEXEC) {
				t.Skip("the system does not run this binary by itself, as under an emulator")
			}
			if err != nil || strings.Count(string(out), "\n--- PASS: TestReference_") != 2 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// checkGreedy compares the continuation while the reference was certain of it.
func checkGreedy(t *testing.T, name string, e *Engine, ref *reference) {
	t.Helper()
	var ids []int32
	var text strings.Builder
	_, err := e.Generate(context.Background(), Request{Prompt: ref.PromptTokens, MaxTokens: len(ref.Greedy)}, func(tok Token) error {
		if tok.ID >= 0 {
			ids = append(ids, tok.ID)
		}
		text.WriteString(tok.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range ref.Greedy {
		if i >= len(ids) {
			if !e.tok.IsEOG(want) {
				t.Errorf("%s: the answer ends after %d tokens, before %d", name, i, want)
			}
			return
		}
		if ids[i] != want {
			if ref.Margin[i] > 0.1 {
				t.Errorf("%s: token %d is %d, want %d (margin %g)", name, i, ids[i], want, ref.Margin[i])
			}
			return
		}
	}
	if len(ids) == len(ref.Greedy) && text.String() != ref.Text {
		t.Errorf("%s: text %q, want %q", name, text.String(), ref.Text)
	}
}

func equal(a, b []int32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestReference_ArchitecturesEqualLlamaCpp runs models without text, one row of logits a prompt token, on several numbers
// of threads and with the prompt cut in several ways, all to the same bits.
func TestReference_ArchitecturesEqualLlamaCpp(t *testing.T) {
	dir := filepath.Join(refs(t), "arch")
	for _, name := range []string{"llama-dense", "qwen2-dense", "qwen3-dense", "phi3-dense", "gemma2-dense"} {
		t.Run(name, func(t *testing.T) {
			var ref reference
			load(t, filepath.Join(dir, name+".json"), &ref)
			want, err := os.ReadFile(filepath.Join(dir, name+".logits.f32"))
			if err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Open(filepath.Join(dir, name+".gguf"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			m, err := model.Load(f, 128, 0)
			if err != nil {
				t.Fatal(err)
			}
			var first []float32
			for _, threads := range []int{1, 2} {
				for _, chunk := range []int{len(ref.PromptTokens), 1, 3, 7} {
					logits := checkArchitecture(t, m, &ref, want, 1e-9, threads, chunk)
					if first == nil {
						first = logits
					}
					if !slices.Equal(first, logits) {
						t.Errorf("%d threads, %d tokens at once: other logits than before", threads, chunk)
					}
				}
			}
		})
	}
}

// checkArchitecture passes the prompt some tokens at once, goes on greedily, and returns the prompt's logits.
func checkArchitecture(t *testing.T, m *model.Model, ref *reference, want []byte, limit float64, threads, chunk int) []float32 {
	t.Helper()
	pool := kernel.NewPool(threads)
	defer pool.Close()
	var sc model.Scratch
	kv, err := m.NewKV(kernel.F32)
	if err != nil {
		t.Fatal(err)
	}
	s := kv.NewSequence()
	defer s.Release()
	var logits []float32
	for tokens := range slices.Chunk(ref.PromptTokens, chunk) {
		part, err := m.Forward(context.Background(), pool, &sc, s, tokens, true)
		if err != nil {
			t.Fatal(err)
		}
		logits = append(logits, part...)
	}
	rows := len(want) / 4 / m.Vocab
	n := nmse(logits[len(logits)-rows*m.Vocab:], want)
	t.Logf("%d threads, %d tokens at once: %d rows, NMSE %.2g", threads, chunk, rows, n)
	if !(n < limit) {
		t.Errorf("%d threads, %d tokens at once: logits differ, NMSE %.2g", threads, chunk, n)
	}
	last := logits[len(logits)-m.Vocab:]
	for i, want := range ref.Greedy {
		best := int32(0)
		for id, l := range last {
			if l > last[best] {
				best = int32(id)
			}
		}
		if best != want {
			if ref.Margin[i] > 0.1 {
				t.Errorf("token %d is %d, want %d", i, best, want)
			}
			break
		}
		if last, err = m.Forward(context.Background(), pool, &sc, s, []int32{best}, false); err != nil {
			t.Fatal(err)
		}
	}
	return logits
}
