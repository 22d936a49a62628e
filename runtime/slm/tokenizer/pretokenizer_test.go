package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
)

const (
	patternGPT2  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	contractions = `'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]`
	wordTail     = `|\s*[\r\n]+|\s+(?!\S)|\s+`
	casedFirst   = `[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+`
	casedSecond  = `[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*`
)

// patterns are the published regular expressions, stage by stage, that the splitters stand for.
var patterns = map[string][]string{
	"gpt-2":          {patternGPT2},
	"smollm":         {`\p{N}`, patternGPT2},
	"default":        {`[\p{P}\$\+<=>\^~\|]+`, patternGPT2, `\p{N}+`, `[0-9][0-9][0-9]`},
	"falcon":         {"[\\p{P}\\$\\+<=>\\^~\\|`]+", patternGPT2, `[0-9][0-9][0-9]`},
	"llama-bpe":      {`(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*` + wordTail},
	"qwen2":          {`(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*` + wordTail},
	"qwen35":         {`(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*` + wordTail},
	"ufakzeka":       {`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*` + wordTail},
	"minicpm5":       {`\p{N}{1,3}`, `(?:` + contractions + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*` + wordTail},
	"tekken":         {casedFirst + `|` + casedSecond + `|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + wordTail},
	"gpt-4o":         {casedFirst + `(?:` + contractions + `)?|` + casedSecond + `(?:` + contractions + `)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + wordTail},
	"deepseek-coder": {`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`},
	"deepseek-v3": {`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`,
		"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*" + wordTail},
	"deepseek-llm": {`[\r\n]`, `\s?[` + deepSeekClass() + `]+`, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+$`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}+`},
	"bloom":        {` ?[^(\s|.,!?…。，、।۔،)]+`},
	"viking":       {` ?[^(\s|.,!?…。，、।۔،)]+`, `\p{N}`},
}

func deepSeekClass() string {
	var b strings.Builder
	for _, r := range deepSeekTable.R16 {
		b.WriteString(string(rune(r.Lo)) + "-" + string(rune(r.Hi)))
	}
	for _, r := range deepSeekTable.R32 {
		b.WriteString(string(rune(r.Lo)) + "-" + string(rune(r.Hi)))
	}
	return b.String()
}

// regexpSplit cuts at matches, keeping what lies between them.
func regexpSplit(t *testing.T, stages []*regexp2.Regexp, text string) []string {
	t.Helper()
	parts := []string{text}
	for _, re := range stages {
		var next []string
		for _, p := range parts {
			runes, at := []rune(p), 0
			m, err := re.FindRunesMatch(runes)
			for ; m != nil && err == nil; m, err = re.FindNextMatch(m) {
				if m.Length == 0 {
					continue
				}
				if m.Index > at {
					next = append(next, string(runes[at:m.Index]))
				}
				next = append(next, m.String())
				at = m.Index + m.Length
			}
			if err != nil {
				t.Fatal(err)
			}
			if at < len(runes) {
				next = append(next, string(runes[at:]))
			}
		}
		parts = next
	}
	return parts
}

var alphabet = []rune("aabczABZéßÑñΩωжЖ中文字かカ한ࠀदिा٣1290½Ⅷ²  \t\n\r\u00a0\u3000\u2028\u0085'''sStTrReEvVmMlLdD.,!?-_/()[]{}<>=+$^~|`…。，、।€©😀\u0301\u0300\u200d\x00\x7fǅʰ＋！～Ａａ‘　")

func randomText(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(24) {
		r := alphabet[rng.IntN(len(alphabet))]
		for range 1 + rng.IntN(2)*rng.IntN(4) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestSplitters_EqualTheirRegularExpressions(t *testing.T) {
	for name, list := range patterns {
		t.Run(name, func(t *testing.T) {
			var stages []*regexp2.Regexp
			for _, p := range list {
				stages = append(stages, regexp2.MustCompile(p, regexp2.None))
			}
			rng := rand.New(rand.NewPCG(7, uint64(len(name))))
			failed := 0
			for range 4000 {
				text := randomText(rng)
				var got []string
				pretokenizers[name].split(text, func(w string) { got = append(got, w) })
				if want := regexpSplit(t, stages, text); !slices.Equal(got, want) {
					t.Errorf("%q\n got %q\nwant %q", text, got, want)
					if failed++; failed > 3 {
						return
					}
				}
			}
		})
	}
}

func TestSplitters_ThatHaveNoPatternHereShareOne(t *testing.T) {
	// Every supported name must be one of the tested splitters: same words for the same text.
	rng := rand.New(rand.NewPCG(1, 1))
	texts := make([]string, 300)
	for i := range texts {
		texts[i] = randomText(rng)
	}
	words := func(name string) (all []string) {
		for _, s := range texts {
			pretokenizers[name].split(s, func(w string) { all = append(all, w) })
		}
		return all
	}
next:
	for _, name := range Pretokenizers() {
		got := words(name)
		for tested := range patterns {
			if slices.Equal(got, words(tested)) {
				continue next
			}
		}
		t.Errorf("%s equals no tested splitter", name)
	}
}
