package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// refs returns a file of the reference data, or skips the test where it is not installed.
func refs(t testing.TB, path string) string {
	t.Helper()
	dir := os.Getenv("LEDGE_REFS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "refs")
	}
	full := filepath.Join(dir, path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("reference data not installed (set LEDGE_REFS): %v", err)
	}
	return full
}

// metadata is a GGUF's key-value section, read plainly: these files are trusted.
type metadata map[string]any

func (m metadata) String(k string) (string, bool)    { v, ok := m[k].(string); return v, ok }
func (m metadata) Bool(k string) (bool, bool)        { v, ok := m[k].(bool); return v, ok }
func (m metadata) Uint(k string) (uint64, bool)      { v, ok := m[k].(uint64); return v, ok }
func (m metadata) Strings(k string) ([]string, bool) { v, ok := m[k].([]string); return v, ok }
func (m metadata) Floats(k string) ([]float32, bool) { v, ok := m[k].([]float32); return v, ok }
func (m metadata) Ints(k string) ([]int32, bool)     { v, ok := m[k].([]int32); return v, ok }

func readMetadata(t testing.TB, path string) metadata {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	take := func(n int) []byte { x := b[:n]; b = b[n:]; return x }
	u32 := func() uint32 { return binary.LittleEndian.Uint32(take(4)) }
	u64 := func() uint64 { return binary.LittleEndian.Uint64(take(8)) }
	str := func() string { return string(take(int(u64()))) }
	scalar := func(kind uint32) any {
		switch kind {
		case 0, 1, 7:
			c := take(1)[0]
			if kind == 7 {
				return c != 0
			}
			return uint64(c)
		case 2, 3:
			return uint64(binary.LittleEndian.Uint16(take(2)))
		case 4, 5:
			return uint64(u32())
		case 6:
			u32()
			return nil
		case 8:
			return str()
		case 10, 11:
			return u64()
		case 12:
			u64()
			return nil
		}
		t.Fatalf("%s: value type %d", path, kind)
		return nil
	}
	take(16) // magic, version, tensors
	m := metadata{}
	for range u64() {
		key, kind := str(), u32()
		if kind != 9 {
			m[key] = scalar(kind)
			continue
		}
		elem, n := u32(), u64()
		switch elem {
		case 8:
			s := make([]string, n)
			for i := range s {
				s[i] = str()
			}
			m[key] = s
		case 5:
			s := make([]int32, n)
			for i := range s {
				s[i] = int32(u32())
			}
			m[key] = s
		case 6:
			s := make([]float32, n)
			_, _ = binary.Decode(take(int(4*n)), binary.LittleEndian, s)
			m[key] = s
		default:
			for range n {
				scalar(elem)
			}
		}
	}
	return m
}

func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	tok, err := New(readMetadata(t, refs(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

type vector struct {
	text string
	ids  []int32
}

// vectors reads llama.cpp's conformance files.
func vectors(t testing.TB, gguf string) []vector {
	t.Helper()
	in, err := os.ReadFile(refs(t, gguf+".inp"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(refs(t, gguf+".out"))
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(string(in), "\n__ggml_vocab_test__\n")
	lines := strings.Split(string(out), "\n")
	var v []vector
	for i, text := range texts {
		if i >= len(lines) {
			break
		}
		ids := []int32{}
		for f := range strings.FieldsSeq(lines[i]) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, int32(n))
		}
		v = append(v, vector{text, ids})
	}
	return v
}

func TestEncode_EqualsLlamaCppVectors(t *testing.T) {
	for _, name := range []string{"llama-spm", "phi-3", "gpt-2", "qwen2", "bert-bge"} {
		t.Run(name, func(t *testing.T) {
			gguf := "vocab/ggml-vocab-" + name + ".gguf"
			tok := load(t, gguf)
			vs := vectors(t, gguf)
			if len(vs) < 40 {
				t.Fatalf("only %d vectors", len(vs))
			}
			for _, v := range vs {
				got := tok.Encode(v.text, Options{})
				if !slices.Equal(got, v.ids) {
					t.Errorf("%q\n got %v\nwant %v", v.text, got, v.ids)
				}
				if name == "bert-bge" {
					continue // which keeps neither case nor space
				}
				if back := tok.Decode(got); back != v.text {
					t.Errorf("decoded %q, want %q", back, v.text)
				}
			}
		})
	}
}

func TestEncode_EqualsPromptTokensOfTheReferenceModel(t *testing.T) {
	tok := load(t, "stories260K/stories260K-f32.gguf")
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(refs(t, "stories260K/stories260K-f32.gguf")), "f*.json"))
	if len(files) == 0 {
		t.Fatal("no references")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var ref struct {
			Prompt string  `json:"prompt"`
			Tokens []int32 `json:"prompt_tokens"`
			Greedy []int32 `json:"greedy"`
			Text   string  `json:"text"`
		}
		if err := json.Unmarshal(b, &ref); err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(ref.Prompt, Options{AddSpecial: true}); !slices.Equal(got, ref.Tokens) {
			t.Errorf("%s: got %v, want %v", filepath.Base(f), got, ref.Tokens)
		}
		d, text := tok.NewDecoder(), ""
		for _, id := range ref.Greedy {
			text += d.Push(id)
		}
		if text += d.Flush(); ref.Text != "" && text != ref.Text {
			t.Errorf("%s: continuation\n got %q\nwant %q", filepath.Base(f), text, ref.Text)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	prose := strings.Repeat("The quick brown fox jumps over the lazy dog, doesn't it? 12345 naïve café 我想在apple工作.\n", 1000)
	for _, name := range []string{"llama-spm", "qwen2"} {
		tok := load(b, "vocab/ggml-vocab-"+name+".gguf")
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(prose)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(prose, Options{})
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for _, name := range []string{"llama-spm", "qwen2"} {
		md := readMetadata(b, refs(b, fmt.Sprintf("vocab/ggml-vocab-%s.gguf", name)))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(md); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
