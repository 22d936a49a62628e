package grammar

import (
	"strings"
	"testing"
)

// byteVocabulary has a token for every byte, and some longer ones that cut characters and cross borders of JSON.
func byteVocabulary() *Vocabulary {
	var tokens [][]byte
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
	}
	for _, t := range []string{"\":", "\": \"", "\",", "{\"", "\"}", "],", "[{", "}]", "\n  ", "true", "false", "null", "12", "0.5", "ab", "the", " a", "\xc3", "\xa9x", "é\"", "\xf0\x9f", "\x98\x80", "\\n", "\\u0", "-1", "e1"} {
		tokens = append(tokens, []byte(t))
	}
	tokens = append(tokens, nil, nil) // control, end
	end := int32(len(tokens) - 1)
	return NewVocabulary(len(tokens), func(id int32) []byte { return tokens[id] }, func(id int32) bool { return id == end })
}

var testVocabulary = byteVocabulary()

// matches says whether a whole text matches.
func matches(t *testing.T, g *Grammar, text string) bool {
	t.Helper()
	m, err := NewProgram(g, testVocabulary).NewMatcher()
	if err != nil {
		t.Fatal(err)
	}
	return m.AcceptBytes([]byte(text)) && m.MayEnd()
}

func check(t *testing.T, compile func() (*Grammar, error), yes, no []string) {
	t.Helper()
	g, err := compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range yes {
		if !matches(t, g, s) {
			t.Errorf("does not match %q", s)
		}
	}
	for _, s := range no {
		if matches(t, g, s) {
			t.Errorf("matches %q", s)
		}
	}
}

func TestGBNF_Matches(t *testing.T) {
	for name, tc := range map[string]struct {
		source  string
		yes, no []string
	}{
		"literal":      {`root ::= "a\n\x41\u00e9\""`, []string{"a\nAé\""}, []string{"a", ""}},
		"alternatives": {"root ::= \"a\" | \"b\"\n  | c # comment\nc ::= \"cc\"", []string{"a", "b", "cc"}, []string{"c", "ab"}},
		"classes":      {`root ::= [a-cé-ü\]]+ [^a-z]`, []string{"aé]1", "b€"}, []string{"ax", "d1"}},
		"repetitions":  {`root ::= "a"{2,3} "b"* "c"? ("de"){2} .{1,}`, []string{"aadedex", "aaabbcdedexyz"}, []string{"adedex", "aadede"}},
		"recursion":    {"root ::= \"(\" root \")\" | \"x\"", []string{"x", "((x))"}, []string{"((x)", "(x))"}},
		"ambiguous":    {"root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"\"", []string{"aaabcb", ""}, []string{"aab"}},
		"expression":   {"root ::= e\ne ::= t ((\"+\" | \"-\") t)*\nt ::= [0-9]+ | \"(\" e \")\"", []string{"1+(2-3)", "42"}, []string{"1+", "()"}},
		"nullable":     {`root ::= ("a"? "b"?)* "c"`, []string{"c", "abbac"}, []string{"abd"}},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, func() (*Grammar, error) { return GBNF(tc.source) }, tc.yes, tc.no)
		})
	}
}

func TestGBNF_RefusesWithTheReason(t *testing.T) {
	for source, want := range map[string]string{
		"":                            "no rule root",
		"root = \"a\"":                "::= is expected",
		"root ::= a":                  "not defined",
		"root ::= root \"a\" | \"b\"": "left-recursive",
		"root ::= n root \"a\" | \"b\"\nn ::= \"\"": "left-recursive",
		"root ::= \"a\" root":                       "no text can match",
		"root ::= \"a":                              "not closed",
		"root ::= \"a\"{9999999}":                   "no number of repetitions",
		"root ::= (\"abc\"{1000}){1000}":            "",
		"root ::= [z-a]":                            "is empty",
		"root ::= \"\\q\"":                          "no escape",
		"root ::= \"a\"\nroot ::= \"b\"":            "defined twice",
		"root ::= " + strings.Repeat("(", 300):      "nested deeper",
	} {
		_, err := GBNF(source)
		if want == "" {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q in it", source, err, want)
		}
	}
}

func TestRegex_MatchesTheWholeText(t *testing.T) {
	for name, tc := range map[string]struct {
		pattern string
		yes, no []string
	}{
		"date":      {`\d{4}-\d\d-\d\d`, []string{"2026-11-25"}, []string{"2026-11-2", "x2026-11-25"}},
		"anchors":   {`^(a|b)+$`, []string{"abba"}, []string{"", "abc"}},
		"fold":      {`(?i)k`, []string{"k", "K", "\u212a"}, []string{"x"}},
		"classes":   {`[^\x00-\x7f]\p{Greek}.`, []string{"éλx"}, []string{"aλx", "éλ\n"}},
		"lazy":      {`a+?b{2,}?c??`, []string{"aabb", "abbbc"}, []string{"ab"}},
		"alternate": {`^yes$|^no$`, []string{"yes", "no"}, []string{"yesno"}},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, func() (*Grammar, error) { return Regex(tc.pattern) }, tc.yes, tc.no)
		})
	}
	for _, bad := range []string{`(`, `a\bb`, `a^b`, `(a{1000}){1000}`, `[^\x00-\x{10FFFF}]`, strings.Repeat("a", 1<<15)} {
		if _, err := Regex(bad); err == nil {
			t.Errorf("%.20q was accepted", bad)
		}
	}
}

func TestMask_AgreesWithByteByByteMatching(t *testing.T) {
	g, err := Schema([]byte(`{"type":"object","properties":{"é":{"type":"string","maxLength":4},"n":{"type":"integer","minimum":-20,"maximum":312}},"required":["é"]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := NewProgram(g, testVocabulary)
	for _, text := range []string{"", "{", "{\"", "{\"\xc3", "{\"é\": \"a\xf0\x9f", "{\"é\":\"abc", "{\"é\":\"abcd", "{\"é\":\"\\u00", "{\"é\":\"x\",\"n\":3", "{\"é\":\"x\"}"} {
		m, err := p.NewMatcher()
		if err != nil || !m.AcceptBytes([]byte(text)) {
			t.Fatalf("%q: %v", text, err)
		}
		mask := make([]uint32, (testVocabulary.size+31)/32)
		if err := m.Mask(mask); err != nil {
			t.Fatal(err)
		}
		for id, b := range testVocabulary.tokens {
			probe := *m
			want := len(b) > 0 && probe.AcceptBytes(b)
			if id == testVocabulary.size-1 {
				want = m.MayEnd()
			}
			if got := mask[id/32]>>(id%32)&1 == 1; got != want {
				t.Errorf("after %q token %q: mask %t, matching %t", text, b, got, want)
			}
		}
	}
}

func TestMatcher_GoesOnInAFreshAutomatonWhenOneIsFull(t *testing.T) {
	g, err := GBNF("root ::= \"(\" root \")\" | \"x\"")
	if err != nil {
		t.Fatal(err)
	}
	p := NewProgram(g, testVocabulary)
	m, _ := p.NewMatcher()
	m.AcceptBytes([]byte("((("))
	old := m.a
	for i := range maxStates + 2 {
		old.ofState = append(old.ofState, int32(i%2))
	}
	mask := make([]uint32, (testVocabulary.size+31)/32)
	if err := m.Mask(mask); err != nil {
		t.Fatal(err)
	}
	if m.a == old {
		t.Error("it stayed in the full automaton")
	}
	if !m.AcceptBytes([]byte("x)))")) || !m.Complete() || m.AcceptBytes([]byte(")")) {
		t.Error("the stack was lost on the way")
	}
}

func TestMatcher_StopsAtTheDepthLimit(t *testing.T) {
	g, err := JSON(true)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := NewProgram(g, testVocabulary).NewMatcher()
	if m.AcceptBytes([]byte(strings.Repeat("[", 1<<16))) {
		t.Error("65536 brackets were accepted")
	}
	if m.AcceptBytes([]byte(strings.Repeat("[", 500)+strings.Repeat("]", 500))) == false || !m.Complete() {
		t.Error("500 brackets were not")
	}
}

func FuzzGBNF(f *testing.F) {
	f.Add("root ::= [a-z]+ (\"x\" | root2)*\nroot2 ::= \"y\"{1,3}")
	f.Add("root ::= \"(\" root \")\" | \"\"")
	f.Fuzz(func(t *testing.T, source string) { walkFuzz(t, func() (*Grammar, error) { return GBNF(source) }) })
}

func FuzzRegex(f *testing.F) {
	f.Add(`^(a|b)*[^c]{2,5}\d$`)
	f.Fuzz(func(t *testing.T, source string) { walkFuzz(t, func() (*Grammar, error) { return Regex(source) }) })
}

// walkFuzz follows the first allowed token for a while: every compiled grammar must let a text go on.
func walkFuzz(t *testing.T, compile func() (*Grammar, error)) {
	g, err := compile()
	if err != nil {
		return
	}
	m, err := NewProgram(g, testVocabulary).NewMatcher()
	if err != nil {
		return
	}
	mask := make([]uint32, (testVocabulary.size+31)/32)
	for range 20 {
		if m.Complete() {
			return
		}
		if err := m.Mask(mask); err != nil {
			return
		}
		for id := range testVocabulary.size {
			if mask[id/32]>>(id%32)&1 == 1 {
				if id == testVocabulary.size-1 {
					return
				}
				if err := m.Accept(int32(id)); err != nil {
					t.Fatalf("the mask allows token %d and Accept does not: %v", id, err)
				}
				break
			}
		}
	}
}
