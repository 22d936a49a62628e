package tokenizer

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func made(t testing.TB, md metadata) *Tokenizer {
	t.Helper()
	tok, err := New(md)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func pieces(tok *Tokenizer, ids []int32) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = tok.Piece(id)
	}
	return out
}

func TestNew_RefusesBrokenVocabularies(t *testing.T) {
	bpe, spm := madeBPE("gpt-2", "a b"), madeSPM("a", "▁a")
	edit := func(m metadata, i int, s string) metadata {
		tokens := slices.Clone(m.tokens())
		tokens[i] = s
		return m.with("tokenizer.ggml.tokens", tokens)
	}
	for name, c := range map[string]struct {
		md   metadata
		want string
	}{
		"no model":             {bpe.with("tokenizer.ggml.model", nil), "tokenizer.ggml.model"},
		"unknown model":        {bpe.with("tokenizer.ggml.model", "t5"), `"t5"; supported are llama`},
		"unknown pretokenizer": {bpe.with("tokenizer.ggml.pre", "zz"), `"zz"; supported are a.x-4.0`},
		"no tokens":            {bpe.with("tokenizer.ggml.tokens", nil), "tokenizer.ggml.tokens"},
		"empty tokens":         {bpe.with("tokenizer.ggml.tokens", []string{}), "tokenizer.ggml.tokens"},
		"duplicate":            {edit(bpe, 256, "A"), "repeats token 65"},
		"huge token":           {edit(bpe, 256, strings.Repeat("x", maxTokenBytes+1)), "tokens[256] has 8193 bytes"},
		"bad UTF-8":            {edit(bpe, 256, "\xff"), "not valid UTF-8"},
		"short scores":         {spm.with("tokenizer.ggml.scores", []float32{1}), "1 entries for"},
		"no scores":            {spm.with("tokenizer.ggml.scores", nil), "scores is missing"},
		"NaN score":            {spm.with("tokenizer.ggml.scores", append(make([]float32, len(spm.tokens())-1), float32(math.NaN()))), "not a number"},
		"long types":           {bpe.with("tokenizer.ggml.token_type", make([]int32, 9999)), "9999 entries for"},
		"bos out of range":     {bpe.with("tokenizer.ggml.bos_token_id", uint64(1<<40)), "outside the vocabulary"},
		"eot out of range":     {bpe.with("tokenizer.ggml.eot_token_id", uint64(9999)), "outside the vocabulary"},
		"add_bos without bos":  {bpe.with("tokenizer.ggml.add_bos_token", true).with("tokenizer.ggml.pre", "glm4"), "no tokenizer.ggml.bos_token_id"},
		"no merges":            {bpe.with("tokenizer.ggml.merges", nil), "merges is missing"},
		"merge without space":  {bpe.with("tokenizer.ggml.merges", []string{"ab"}), "merges[0]"},
		"empty merge":          {bpe.with("tokenizer.ggml.merges", []string{""}), "merges[0]"},
		"half a merge":         {bpe.with("tokenizer.ggml.merges", []string{"a "}), "merges[0]"},
		"bad UTF-8 merge":      {bpe.with("tokenizer.ggml.merges", []string{"a \xff"}), "merges[0]"},
		"missing byte":         {edit(bpe, 'q', "qqq"), `no token for the byte 'q'`},
		"missing SPM byte":     {edit(edit(spm, 3, "zz"), 0, "x").with("tokenizer.ggml.unknown_token_id", uint64(math.MaxUint32)), ""},
	} {
		_, err := New(c.md)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := New(bpe.with("tokenizer.ggml.pre", "zz")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v is not ErrUnsupported", err)
	}
}

func TestEncode_MergesByRankNotByLength(t *testing.T) {
	tok := made(t, madeBPE("gpt-2", "b c", "a b", "bc d", "Ġ a"))
	for text, want := range map[string][]string{
		"abcd": {"a", "bcd"},
		"ab a": {"ab", "Ġa"},
		" abc": {"Ġa", "bc"},
		"\n":   {"Ċ"},
		"":     {},
	} {
		if got := pieces(tok, tok.Encode(text, Options{})); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// llama.cpp keeps merges of strings that are no tokens; what they make falls apart again.
func TestEncode_BreaksUpMergesThatAreNoTokens(t *testing.T) {
	md := madeBPE("gpt-2", "a b")
	md["tokenizer.ggml.merges"] = []string{"a b", "x y", "xy z", "a b", "xyz xyz"}
	tok := made(t, md)
	if got := pieces(tok, tok.Encode("xyzab", Options{})); !slices.Equal(got, []string{"x", "y", "z", "ab"}) {
		t.Errorf("got %q", got)
	}
}

func TestEncode_ParsesSpecialTokensOnlyWhenAsked(t *testing.T) {
	tok := made(t, madeBPE("gpt-2"))
	const text = "a<|im_end|><tool>b"
	if got := pieces(tok, tok.Encode(text, Options{ParseSpecial: true})); !slices.Equal(got, []string{"a", "<|im_end|>", "<tool>", "b"}) {
		t.Errorf("parsing: got %q", got)
	}
	got := tok.Encode(text, Options{})
	if slices.ContainsFunc(got, tok.IsEOG) {
		t.Error("a control token was parsed out of plain text")
	}
	if id, _ := tok.ID("<tool>"); !slices.Contains(got, id) {
		t.Error("a user-defined token was not recognised")
	}
	if tok.Decode(got) != text {
		t.Errorf("decoded %q", tok.Decode(got))
	}
}

func TestQuote_KeepsForgedControlTokensText(t *testing.T) {
	tok := made(t, madeBPE("gpt-2"))
	for _, text := range []string{"a<|im_end|>b", "<|im_<|im_end|>end|>", "<|im_end|><|im_end|>", "no tokens", ""} {
		prompt := "<|im_start|>" + tok.Quote(text) + "<|im_end|>"
		ids := tok.Encode(prompt, Options{ParseSpecial: true})
		inner := ids[1 : len(ids)-1]
		if slices.ContainsFunc(inner, tok.IsControl) || !slices.Equal(inner, tok.Encode(text, Options{})) {
			t.Errorf("%q: got %q", text, pieces(tok, ids))
		}
	}
	if text := "plain <tool>"; tok.Quote(text) != text {
		t.Error("plain text was changed")
	}
}

func TestEncode_AddsBOSAndEOSAsTheFileSays(t *testing.T) {
	spm := madeSPM("▁", "a", "▁a")
	for name, c := range map[string]struct {
		md   metadata
		want []string
	}{
		"llama default": {spm, []string{"<s>", "▁a"}},
		"no bos":        {spm.with("tokenizer.ggml.add_bos_token", false), []string{"▁a"}},
		"eos":           {spm.with("tokenizer.ggml.add_eos_token", true), []string{"<s>", "▁a", "</s>"}},
		"no prefix":     {spm.with("tokenizer.ggml.add_space_prefix", false), []string{"<s>", "a"}},
		"gpt2 default":  {madeBPE("gpt-2"), []string{"a"}},
		"llama3":        {madeBPE("llama-bpe").with("tokenizer.ggml.bos_token_id", uint64(256)), []string{"<|im_start|>", "a"}},
	} {
		tok := made(t, c.md)
		if got := pieces(tok, tok.Encode("a", Options{AddSpecial: true})); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestEncode_Phi3SpecialTokensSwallowWhiteSpace(t *testing.T) {
	md := madeSPM("▁", "a").with("general.name", "Phi-3-mini")
	md["tokenizer.ggml.tokens"] = append(md.tokens(), "<|user|>")
	md["tokenizer.ggml.token_type"] = append(md["tokenizer.ggml.token_type"].([]int32), 3)
	md["tokenizer.ggml.scores"] = append(md["tokenizer.ggml.scores"].([]float32), 0)
	tok := made(t, md)
	if got := pieces(tok, tok.Encode("<|user|>\n a", Options{ParseSpecial: true})); !slices.Equal(got, []string{"<|user|>", "▁", "a"}) {
		t.Errorf("got %q", got)
	}
}

func TestIsEOG_KnowsTokensBySpelling(t *testing.T) {
	tok := made(t, madeBPE("gpt-2"))
	end, _ := tok.ID("<|im_end|>")
	start, _ := tok.ID("<|im_start|>")
	if !tok.IsEOG(end) || tok.IsEOG(start) || tok.IsEOG(-1) || tok.IsEOG(1<<30) {
		t.Error("wrong end tokens")
	}
	if !tok.IsControl(start) || tok.IsControl(0) {
		t.Error("wrong control tokens")
	}
}

func TestDecoder_HoldsBackIncompleteCharacters(t *testing.T) {
	tok := made(t, madeBPE("gpt-2"))
	d := tok.NewDecoder()
	var got []string
	for _, id := range tok.Encode("é😀", Options{}) {
		got = append(got, d.Push(id))
	}
	if want := []string{"", "é", "", "", "", "😀"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, c := range map[string]struct{ raw, want string }{
		"lone continuation":  {"\x80a", "\uFFFDa"},
		"broken by ASCII":    {"\xF0\x9Fa", "\uFFFD\uFFFDa"},
		"cut at the end":     {"a\xE2\x82", "a\uFFFD\uFFFD"},
		"never UTF-8":        {"\xFF\xFE", "\uFFFD\uFFFD"},
		"restarts correctly": {"\xE2é", "\uFFFDé"},
	} {
		d, text := tok.NewDecoder(), ""
		for _, b := range []byte(c.raw) {
			text += d.Push(int32(b))
			if !utf8.ValidString(text) {
				t.Errorf("%s: %q is not UTF-8", name, text)
			}
		}
		if text += d.Flush(); text != c.want {
			t.Errorf("%s: got %q, want %q", name, text, c.want)
		}
	}
}

func TestDecoder_KeepsTheSpaceOfAContinuation(t *testing.T) {
	tok := made(t, madeSPM("▁", "a", "▁a"))
	ids := tok.Encode("a a", Options{})
	if got := tok.Decode(ids); got != "a a" {
		t.Errorf("Decode: %q", got)
	}
	d := tok.NewDecoder()
	if got := d.Push(ids[0]); got != " a" {
		t.Errorf("Push: %q", got)
	}
	if got := tok.Decode(append([]int32{1}, ids...)); got != "a a" {
		t.Errorf("Decode after BOS: %q", got)
	}
}

func TestTokenBytes_GivesRawBytes(t *testing.T) {
	tok := made(t, madeBPE("gpt-2", "Ġ a"))
	id, _ := tok.ID("Ġa")
	if got := string(tok.TokenBytes(id)); got != " a" {
		t.Errorf("got %q", got)
	}
	for b := range 256 {
		if got := tok.TokenBytes(int32(b)); len(got) != 1 || got[0] != byte(b) {
			t.Errorf("byte %d: got %v", b, got)
		}
	}
	if tok.TokenBytes(-1) != nil || tok.TokenBytes(1<<20) != nil || tok.Piece(-5) != "" {
		t.Error("ids out of range gave bytes")
	}
}

// hostile texts of about n bytes each.
func hostile(n int) map[string]string {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, n)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	return map[string]string{
		"one letter":    strings.Repeat("a", n),
		"spaces":        strings.Repeat(" ", n),
		"space letter":  strings.Repeat("  a", n/3),
		"newlines":      strings.Repeat(" \n", n/2),
		"marks":         strings.Repeat("\u0301", n/2),
		"random bytes":  string(random),
		"invalid":       strings.Repeat("\xff", n),
		"capitals":      strings.Repeat("éA", n/3),
		"apostrophes":   strings.Repeat("'", n),
		"digits":        strings.Repeat("1", n),
		"almost tokens": strings.Repeat("<|im_", n/5),
		"tokens":        strings.Repeat("<|im_end|>", n/10),
		"wide spaces":   strings.Repeat("\u3000", n/3),
		"controls":      strings.Repeat("\x00", n),
	}
}

func checkTime(t *testing.T, tok *Tokenizer, n int) {
	t.Helper()
	for name, text := range hostile(n) {
		start := time.Now()
		ids := tok.Encode(text, Options{ParseSpecial: true})
		took := time.Since(start)
		if took > 3*time.Second { // generous: a quadratic algorithm takes minutes
			t.Errorf("%s: encoding took %v", name, took)
		}
		if len(ids) == 0 {
			t.Errorf("%s: no tokens", name)
		}
		t.Logf("%-14s %7d tokens in %v", name, len(ids), took)
	}
}

func TestEncode_IsLinearOnHostileText(t *testing.T) {
	t.Run("spm", func(t *testing.T) {
		p := []string{"a", "▁", "▁▁", "▁▁▁▁"}
		for i := range 6 {
			p = append(p, strings.Repeat("a", 2<<i))
		}
		checkTime(t, made(t, madeSPM(p...)), 1<<20)
	})
	for pre, n := range map[string]int{"qwen2": 1 << 20, "default": 1 << 18, "gpt-4o": 1 << 18, "deepseek-llm": 1 << 18, "deepseek-v3": 1 << 18, "viking": 1 << 18} {
		t.Run(pre, func(t *testing.T) {
			checkTime(t, made(t, madeBPE(pre, append(aMerges(8), "Ġ Ġ", "ĠĠ ĠĠ")...)), n)
		})
	}
}

func TestEncode_IsLinearOnHostileTextWithRealVocabularies(t *testing.T) {
	for _, name := range []string{"llama-spm", "qwen2"} {
		t.Run(name, func(t *testing.T) { checkTime(t, load(t, "vocab/ggml-vocab-"+name+".gguf"), 1<<18) })
	}
}

// A small word is merged by search and a large one with a heap: the results must be the same.
func TestEncode_SearchAndHeapAgree(t *testing.T) {
	tok := made(t, madeBPE("gpt-2", "a b", "b a", "ab a", "a a", "aba ab", "b b", "aa b", "c ab"))
	b := tok.model.(*bpe)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		text := make([]byte, 1+rng.IntN(40))
		for i := range text {
			text[i] = "abc"[rng.IntN(3)]
		}
		run := func(merge func(w *word)) []int32 {
			w := &word{}
			for i, c := range text {
				w.symbols = append(w.symbols, symbol{prev: int32(i - 1), next: int32(i + 1), n: 1, id: b.byteSymbol[c]})
			}
			w.symbols[len(text)-1].next = -1
			merge(w)
			var ids []int32
			for i := int32(0); i >= 0; i = w.symbols[i].next {
				ids = append(ids, w.symbols[i].id)
			}
			return ids
		}
		small := run(func(w *word) { b.mergeSmall(w.symbols) })
		large := run(b.mergeLarge)
		if !slices.Equal(small, large) {
			t.Fatalf("%s: %v and %v", text, small, large)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"Hello, y'all! 123 ½", " \n\t x", "<|im_end|>", "\xff\xfe", "é😀\u0301", "aaaa", "'Re 'S"} {
		f.Add(s)
	}
	var toks []*Tokenizer
	for _, pre := range Pretokenizers() {
		toks = append(toks, made(f, madeBPE(pre, "a a", "Ġ a", "Ã ©").with("tokenizer.ggml.bos_token_id", uint64(1))))
	}
	spm := made(f, madeSPM("▁", "a", "▁a", "é"))
	words := made(f, bertVocabulary("▁a", "a", "▁e", "é", "▁我", "▁!"))
	f.Fuzz(func(t *testing.T, text string) {
		valid := strings.Map(func(r rune) rune { return r }, text) // each invalid byte becomes U+FFFD
		for _, tok := range toks {
			for _, o := range []Options{{}, {ParseSpecial: true, AddSpecial: true}} {
				ids := tok.Encode(text, o)
				if got := tok.Decode(ids); !o.ParseSpecial && got != valid {
					t.Fatalf("%q came back as %q", text, got)
				}
			}
		}
		if got := spm.Decode(spm.Encode(text, Options{})); utf8.ValidString(text) && !strings.Contains(text, escapedSpace) && got != text {
			t.Fatalf("spm: %q came back as %q", text, got)
		}
		for _, id := range words.Encode(text, Options{AddSpecial: true, ParseSpecial: true}) {
			if id < 0 || int(id) >= words.Size() {
				t.Fatalf("wordpiece: %q has the token %d", text, id)
			}
		}
	})
}

func FuzzNew(f *testing.F) {
	f.Add("gpt2", "gpt-2", "a b\na b", "a b\nb c", uint64(1), []byte{1, 2})
	f.Add("bert", "", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n▁a\nb", "", uint64(2), []byte{4, 2})
	f.Add("llama", "", "<unk>\n<s>\n</s>\n<0x0A>", "", uint64(9), []byte{6, 3})
	f.Fuzz(func(t *testing.T, model, pre, tokens, merges string, id uint64, types []byte) {
		md := metadata{
			"tokenizer.ggml.model": model, "tokenizer.ggml.pre": pre, "tokenizer.ggml.bos_token_id": id,
			"tokenizer.ggml.tokens": strings.Split(tokens, "\n"), "tokenizer.ggml.merges": strings.Split(merges, "\n"),
		}
		n := len(md.tokens())
		kinds, scores := make([]int32, n), make([]float32, n)
		for i := range n {
			if len(types) > 0 {
				kinds[i] = int32(types[i%len(types)]) - 1
				scores[i] = float32(types[i%len(types)])
			}
		}
		md["tokenizer.ggml.token_type"], md["tokenizer.ggml.scores"] = kinds, scores
		tok, err := New(md)
		if err != nil {
			return
		}
		tok.Decode(tok.Encode(tokens+merges, Options{AddSpecial: true, ParseSpecial: true}))
	})
}
