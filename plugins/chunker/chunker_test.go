package chunker

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func noConfig(string) (string, bool) { return "", false }

func chunk(t testing.TB, text, strategy string, size, overlap int) []sdk.Chunk {
	t.Helper()
	c, err := New(noConfig)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Chunk(&sdk.Document{Text: text, Strategy: strategy, Size: size, Overlap: overlap})
	if err != nil {
		t.Fatal(err)
	}
	return l.Chunks
}

func texts(text string, chunks []sdk.Chunk) []string {
	var out []string
	for _, c := range chunks {
		out = append(out, text[c.Start:c.End])
	}
	return out
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// checkChunks holds chunks against what the package promises for every text.
func checkChunks(t testing.TB, text string, chunks []sdk.Chunk, size, overlap int) {
	t.Helper()
	if err := (&sdk.ChunkList{Chunks: chunks}).Check(text); err != nil {
		t.Fatal(err)
	}
	end := 0
	var whole strings.Builder
	for i, c := range chunks {
		if n := utf8.RuneCountInString(text[c.Start:c.End]); n > size {
			t.Fatalf("chunk %d has %d code points, more than %d", i, n, size)
		}
		if c.Start > end || c.End <= end || i > 0 && c.Start <= chunks[i-1].Start {
			t.Fatalf("chunk %d [%d, %d) after one that starts at %d and ends at %d", i, c.Start, c.End, chunks[max(i-1, 0)].Start, end)
		}
		if n := utf8.RuneCountInString(text[c.Start:end]); n > overlap {
			t.Fatalf("chunk %d repeats %d code points, more than %d", i, n, overlap)
		}
		whole.WriteString(text[end:c.End])
		end = c.End
	}
	if whole.String() != text {
		t.Fatalf("chunks hold %d of %d bytes", whole.Len(), len(text))
	}
}

func TestFixed_CutsByCodePoints(t *testing.T) {
	const text = "aéi日oü"
	equal(t, texts(text, chunk(t, text, Fixed, 2, 0)), []string{"aé", "i日", "oü"})
	equal(t, texts(text, chunk(t, text, Fixed, 4, 2)), []string{"aéi日", "i日oü"})
	equal(t, texts(text, chunk(t, text, Fixed, 3, 2)), []string{"aéi", "éi日", "i日o", "日oü"})
	equal(t, texts("\xff\xc3(", chunk(t, "\xff\xc3(", Fixed, 1, 0)), []string{"\xff", "\xc3", "("})
}

func TestRecursive_PrefersTheCoarsestBreak(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		size int
		want []string
	}{
		"whole":      {"short", 10, []string{"short"}},
		"paragraphs": {"one two.\n\nthree four.\nfive", 16, []string{"one two.\n\n", "three four.\nfive"}},
		"crlf":       {"one two.\r\n\r\nthree four.", 16, []string{"one two.\r\n\r\n", "three four."}},
		"lines":      {"alpha beta.\ngamma. delta", 16, []string{"alpha beta.\n", "gamma. delta"}},
		"sentences":  {"He said. She went home now", 16, []string{"He said. ", "She went home ", "now"}},
		"initials":   {"the J. Smith went off", 14, []string{"the J. Smith ", "went off"}},
		"quotes":     {"\"Is it so?\" he asked me", 16, []string{"\"Is it so?\" ", "he asked me"}},
		"words":      {"alpha beta gamma", 12, []string{"alpha beta ", "gamma"}},
		"characters": {"abcdefghijkl", 5, []string{"abcde", "fghij", "kl"}},
		"cjk":        {"今日は晴れです。明日は雨でしょう。", 10, []string{"今日は晴れです。", "明日は雨でしょう。"}},
		"early word": {"a bcdefghijklmno", 10, []string{"a ", "bcdefghijk", "lmno"}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, texts(c.text, chunk(t, c.text, Recursive, c.size, 0)), c.want) })
	}
}

func TestRecursive_OverlapBeginsWithAWord(t *testing.T) {
	const text = "one two three four five six seven"
	equal(t, texts(text, chunk(t, text, Recursive, 15, 6)), []string{"one two three ", "three four ", "four five six ", "six seven"})
}

func TestMarkdown_GivesHeadingPaths(t *testing.T) {
	const text = "intro\n\n# A #\n\n## B\ntext b\n\n### C\ntext c\n\nTwo\nlines\n===\ntext d\n## E\n"
	chunks := chunk(t, text, Markdown, 1000, 0)
	equal(t, texts(text, chunks), []string{
		"intro\n\n", "# A #\n\n## B\ntext b\n\n", "### C\ntext c\n\n", "Two\nlines\n===\ntext d\n", "## E\n"})
	var paths []string
	for _, c := range chunks {
		paths = append(paths, strings.Join(c.Heading, ">"))
	}
	equal(t, paths, []string{"", "A>B", "A>B>C", "Two lines", "Two lines>E"})
}

func TestMarkdown_KeepsBlocksWhole(t *testing.T) {
	for name, block := range map[string]string{
		"fence":         "```go\nif x {\n\n# no heading\n}\n```\n",
		"tilde fence":   "~~~\n```\n\nx\n```\n~~~\n",
		"table":         "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n",
		"list":          "- one\n  more\n\n  and more\n- two\n\n- three\n",
		"ordered list":  "1. one\n2. two\n   ```\n   x\n\n   y\n   ```\n3) three\n",
		"open fence":    "```\nnever closed\n\nmore\n",
		"nested fences": "````\n```\nx\n```\n````\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := "A sentence that stands before it. Another one.\n\n" + block
			size := utf8.RuneCountInString(block)
			for _, overlap := range []int{0, size / 2} {
				chunks := chunk(t, text, Markdown, size, overlap)
				checkChunks(t, text, chunks, size, overlap)
				if last := chunks[len(chunks)-1]; text[last.Start:last.End] != block {
					t.Errorf("overlap %d: %q", overlap, texts(text, chunks))
				}
			}
		})
	}
}

func TestMarkdown_FrontMatterIsNoHeading(t *testing.T) {
	const text = "---\ntitle: x\n# comment\n---\n# Real\nbody\n"
	chunks := chunk(t, text, Markdown, 1000, 0)
	equal(t, texts(text, chunks), []string{"---\ntitle: x\n# comment\n---\n", "# Real\nbody\n"})
}

func TestMarkdown_OverlapStaysInItsSection(t *testing.T) {
	text := "# A\n" + strings.Repeat("alpha beta gamma. ", 10) + "\n# B\n" + strings.Repeat("delta epsilon. ", 10) + "\n"
	chunks := chunk(t, text, Markdown, 60, 20)
	checkChunks(t, text, chunks, 60, 20)
	for _, c := range chunks {
		part := text[c.Start:c.End]
		if c.Heading[0] == "B" && strings.Contains(part, "alpha") {
			t.Errorf("%q stands under B", part)
		}
	}
}

func TestMarkdown_HeadingGoesWithTheTextItHeads(t *testing.T) {
	text := "# A long heading\n\n" + strings.Repeat("word ", 30)
	chunks := chunk(t, text, Markdown, 40, 0)
	if first := text[chunks[0].Start:chunks[0].End]; !strings.Contains(first, "word") {
		t.Errorf("the first chunk is only %q", first)
	}
}

// parts are the chunks with their heading paths.
func parts(t *testing.T, name, strategy, text string, size int) (out []string) {
	t.Helper()
	c, _ := New(noConfig)
	l, err := c.Chunk(&sdk.Document{Name: name, Text: text, Strategy: strategy, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	checkChunks(t, text, l.Chunks, size, 0)
	for _, k := range l.Chunks {
		out = append(out, strings.Join(k.Heading, ">")+"|"+text[k.Start:k.End])
	}
	return out
}

func TestSentence_KeepsSentencesWhole(t *testing.T) {
	equal(t, parts(t, "", Sentence, "One is here. Two is\nwrapped. Three ends.\n\nFour. Five.", 28),
		[]string{"|One is here. ", "|Two is\nwrapped. ", "|Three ends.\n\nFour. Five."})
}

func TestHTML_GivesHeadingPathsAndKeepsBlocksWhole(t *testing.T) {
	equal(t, parts(t, "", HTML, "<p>intro</p>\n<h1 class=\"a>b\">A &amp; <b>B</b></h1>\n<p>one</p><h2>C</h2><table><tr><td>1</td></tr></table><p>after</p><ul><li>x<ul><li>y</li></ul></li></ul>", 60), []string{
		"|<p>intro</p>\n", "A & B|<h1 class=\"a>b\">A &amp; <b>B</b></h1>\n<p>one</p>",
		"A & B>C|<h2>C</h2><table><tr><td>1</td></tr></table><p>after</p>", "A & B>C|<ul><li>x<ul><li>y</li></ul></li></ul>"})
}

func TestCode_CutsByFunction(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a.go": {"package a\n\nvar x = \"{\"\n\n// F does.\nfunc F() {\n\tif x {\n\t}\n}\n\nfunc (t *T) G() {}\n\nvar y = 1\n", []string{
			"|package a\n\nvar x = \"{\"\n\n", "F|// F does.\nfunc F() {\n\tif x {\n\t}\n}\n\n", "T.G|func (t *T) G() {}\n\n", "|var y = 1\n"}},
		"a.py": {"import os\n\n@d\ndef f():\n    return 1\n\nclass A:\n    x = 1\n\n    def g(self):\n        pass\n\n    async def h(self):\n        pass\n\ny = 2\n", []string{
			"|import os\n\n", "f|@d\ndef f():\n    return 1\n\n", "A|class A:\n    x = 1\n\n", "A>g|    def g(self):\n        pass\n\n", "A>h|    async def h(self):\n        pass\n\n", "|y = 2\n"}},
		"a.js": {"const a = 1;\n\n/** F. */\nexport function f() {\n  if (a) {\n  }\n}\nexport const g = (x) => {\n  return x;\n};\nclass A {\n  constructor() {\n  }\n  async m(x) {\n    for (;;) {\n    }\n  }\n}\n", []string{
			"|const a = 1;\n\n", "f|/** F. */\nexport function f() {\n  if (a) {\n  }\n}\n", "g|export const g = (x) => {\n  return x;\n};\n", "A|class A {\n", "A>constructor|  constructor() {\n  }\n", "A>m|  async m(x) {\n    for (;;) {\n    }\n  }\n}\n"}},
		"A.java": {"package a;\n\npublic class A {\n    private int x = f(1);\n\n    /**\n     * Does.\n     */\n    @Override\n    public int f(int y) throws E {\n        return y;\n    }\n\n    A() {\n    }\n}\n", []string{
			"|package a;\n\n", "A|public class A {\n    private int x = f(1);\n\n", "A>f|    /**\n     * Does.\n     */\n    @Override\n    public int f(int y) throws E {\n        return y;\n    }\n\n", "A>A|    A() {\n    }\n}\n"}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, parts(t, name, Code, c.text, 1000), c.want) })
	}
}

func TestSemantic_CutsWhereTheSubjectChanges(t *testing.T) {
	const pumps = "The pump moves water through pipes. Each pump has valves for water. Water leaves the pump under pressure. Valves hold the pressure of water. "
	const stocks = "Stocks fell in early trading. Traders sold their stocks quickly. Trading volume of stocks doubled. Most traders expect stocks to fall. "
	equal(t, parts(t, "", Semantic, pumps+stocks, 1000)[:1], []string{"|" + pumps})
}

func TestChunk_GuessesTheStrategy(t *testing.T) {
	for _, c := range []struct {
		doc  sdk.Document
		want string
	}{
		{sdk.Document{Name: "README.md"}, Markdown},
		{sdk.Document{MediaType: "text/markdown; charset=utf-8"}, Markdown},
		{sdk.Document{Name: "a.txt"}, Recursive},
	} {
		if got := guess(&c.doc); got != c.want {
			t.Errorf("%+v: %s", c.doc, got)
		}
	}
}

func TestChunk_RefusesWhatItCannotDo(t *testing.T) {
	c, _ := New(noConfig)
	for want, doc := range map[string]sdk.Document{
		"unknown strategy \"magic\"; there are fixed, recursive, markdown": {Strategy: "magic"},
		"size -1 is not between":      {Size: -1},
		"size 1048577 is not":         {Size: maxSize + 1},
		"overlap 10 is not between":   {Size: 10, Overlap: 10},
		"overlap -1 is not between":   {Size: 10, Overlap: -1},
		"overlap 9223372036854775807": {Size: 10, Overlap: 1<<63 - 1},
	} {
		if _, err := c.Chunk(&doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := New(func(k string) (string, bool) { return "ten", k == "size" }); err == nil {
		t.Error("a size that is no number was taken")
	}
	for want, doc := range map[string]sdk.Document{
		"percentile 101": {Percentile: 101}, "repeat 2 does not": {Text: "a", Repeat: 2}, "parent size 9 is not": {Size: 10, ParentSize: 9, Strategy: Hierarchical},
	} {
		if _, err := c.Chunk(&doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if l, err := c.Chunk(&sdk.Document{}); err != nil || len(l.Chunks) != 0 {
		t.Errorf("the empty document: %v, %v", l, err)
	}
}

// What is nested or never closed must not be read again and again.
func TestChunk_TakesHostileTextInLinearTime(t *testing.T) {
	const long = 1 << 18
	for _, part := range []string{"<ul>", "<a \"", "<!--", "<h1>", "</", "(", "{\n", "def f():\n ", "class A {\n", "/*", "`", "x. ", "|a|\n|-|\n", "- x\n", "```\n", "\n"} {
		text := strings.Repeat(part, long/len(part))
		for _, s := range Strategies() {
			begun := time.Now()
			checkChunks(t, text, chunk(t, text, s, 1000, 100), 1000, 100)
			if d := time.Since(begun); d > 10*time.Second {
				t.Errorf("%s of %q takes %v", s, part, d)
			} else if d > time.Second {
				t.Logf("%s of %q takes %v", s, part, d)
			}
		}
	}
}

func FuzzChunk(f *testing.F) {
	sample, err := os.ReadFile("testdata/sample.md")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample), uint8(2), 80, 20)
	f.Add("a\r\n\r\nb\xff\xc3.\n# x\n```\n", uint8(1), 3, 1)
	f.Add("# a\n## b\n|a|\n|-|\n- x\n\n\ny\n===\n---\n", uint8(2), 1, 0)
	f.Add("日本語。テキスト!", uint8(0), 2, 1)
	f.Add("<h1>A</h1><p>b <b>c</b></p><ul><li>x</ul><table><tr></table><!-- x --><pre>\n</pre>", uint8(4), 20, 5)
	f.Add("One is. Two is! Three?\n\nFour.", uint8(3), 10, 2)
	f.Add("One is red. Two is red. Stocks fell today. Stocks rose.", uint8(6), 30, 2)
	f.Add("package a\n\n// F is.\nfunc F() {\n\tx := `}`\n}\n\ntype T struct{}\n", uint8(5), 30, 0)
	f.Add("@d\nclass A:\n  def f(self):\n    \"\"\"x\n\"\"\"\n  x = 1\n", uint8(12), 30, 0)
	f.Add("class A {\n  /** x */\n  f(a) {\n  }\n}\nconst g = () => { };\n", uint8(19), 30, 0)
	f.Add("Small ones. In a large one.\n\n# H\nAnd more of them.", uint8(7), 10, 2)
	f.Fuzz(func(t *testing.T, text string, strategy uint8, size, overlap int) {
		c := &Chunker{Size: 1000}
		all := Strategies()
		doc := &sdk.Document{Text: text, Name: [5]string{"a.go", "a.py", "a.js", "a.java", ""}[int(strategy/8)%5], Strategy: all[int(strategy)%len(all)], Size: size, Overlap: overlap}
		for _, lengths := range [][]int{nil, tokenLengths(text)} {
			doc.Tokens = lengths
			l, err := c.Chunk(doc)
			if err != nil {
				if size >= 1 && size <= maxSize && overlap >= 0 && overlap < size {
					t.Fatal(err)
				}
				return
			}
			most := size
			if size == 0 {
				most = c.Size
			}
			if lengths == nil {
				checkChunks(t, text, l.Chunks, most, overlap)
			} else {
				checkTokens(t, text, lengths, l.Chunks, most, overlap)
			}
			checkParents(t, l.Chunks, doc.Strategy == Hierarchical)
		}
	})
}

// tokenLengths cuts a text into tokens of some lengths, also within characters and empty ones.
func tokenLengths(text string) []int {
	out := []int{}
	for at := 0; at < len(text); {
		n := min(int(text[at]*31>>3)%7, len(text)-at)
		out = append(out, n)
		if at += n; n == 0 {
			n = min(1, len(text)-at)
			out = append(out, n)
			at += n
		}
	}
	return out
}

// checkTokens holds chunks against what the package promises where sizes are in tokens.
func checkTokens(t testing.TB, text string, lengths []int, chunks []sdk.Chunk, size, overlap int) {
	t.Helper()
	checkChunks(t, text, chunks, len(text), len(text))
	begins := map[int]int{} // tokens before an offset, where one begins
	at := 0
	for i, n := range lengths {
		if n > 0 {
			begins[at] = i
		}
		at += n
	}
	begins[len(text)] = len(lengths)
	end := 0
	for i, c := range chunks {
		from, ok := begins[c.Start]
		to, also := begins[c.End]
		if !ok || !also {
			t.Fatalf("chunk %d [%d, %d) parts a token", i, c.Start, c.End)
		}
		if to-from > size {
			// It must be one step: no token in it begins with a character, but for the first.
			for j := c.Start + 1; j < c.End; j++ {
				if _, ok := begins[j]; ok && newRuler(text).starts(j) {
					t.Fatalf("chunk %d has %d tokens, more than %d", i, to-from, size)
				}
			}
		}
		if n := begins[end] - from; n > overlap {
			t.Fatalf("chunk %d repeats %d tokens, more than %d", i, n, overlap)
		}
		end = c.End
	}
}

func checkParents(t testing.TB, chunks []sdk.Chunk, want bool) {
	t.Helper()
	id, end := -1, 0
	for i, c := range chunks {
		if (c.Parent != nil) != want {
			t.Fatalf("chunk %d has the parent %+v", i, c.Parent)
		}
		if !want {
			continue
		}
		if c.Parent.ID != id {
			if c.Parent.ID != id+1 || c.Parent.Start != end || c.Start != end {
				t.Fatalf("chunk %d %+v begins the parent %+v after %d, which ends at %d", i, c, c.Parent, id, end)
			}
			id, end = c.Parent.ID, c.Parent.End
		}
		if c.Start < c.Parent.Start || c.End > c.Parent.End {
			t.Fatalf("chunk %d %+v is not within its parent %+v", i, c, c.Parent)
		}
	}
}

func TestHierarchical_PutsSmallChunksIntoLargeOnes(t *testing.T) {
	text := "# A\n" + strings.Repeat("One two three four. ", 12) + "\n\n# B\n" + strings.Repeat("Five six seven. ", 20)
	c, _ := New(noConfig)
	l, err := c.Chunk(&sdk.Document{Name: "a.md", Text: text, Strategy: Hierarchical, Size: 50, Overlap: 10, ParentSize: 250})
	if err != nil {
		t.Fatal(err)
	}
	checkChunks(t, text, l.Chunks, 50, 10)
	checkParents(t, l.Chunks, true)
	last := l.Chunks[len(l.Chunks)-1]
	if last.Parent.ID != 2 || strings.Join(last.Heading, ">") != "B" || last.Parent.End-last.Parent.Start > 250 || last.Parent.End-last.Parent.Start < 60 {
		t.Errorf("%+v of %+v", last, last.Parent)
	}
}

func TestChunk_CountsTokens(t *testing.T) {
	const text = "alpha beta gamma delta"
	c, _ := New(noConfig)
	l, err := c.Chunk(&sdk.Document{Text: text, Strategy: Recursive, Size: 3, Overlap: 1, Tokens: []int{2, 3, 5, 6, 3, 3}}) // al pha _beta _gamma _de lta
	if err != nil {
		t.Fatal(err)
	}
	equal(t, texts(text, l.Chunks), []string{"alpha beta", " beta gamma", " gamma delta"})
	for want, lengths := range map[string][]int{"does not lie within": {30}, "token 0 of -1": {-1}, "the tokens have 5 bytes": {5}} {
		if _, err := c.Chunk(&sdk.Document{Text: text, Tokens: lengths}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func BenchmarkChunk(b *testing.B) {
	sample, err := os.ReadFile("testdata/sample.md")
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat(string(sample), 1<<20/len(sample)+1)
	for _, s := range Strategies() {
		b.Run(s, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				chunk(b, text, s, 1000, 100)
			}
		})
	}
}
