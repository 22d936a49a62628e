package terms

import (
	"slices"
	"strings"
	"testing"
)

func words(text string) (out []string) {
	Scan(text, func(t *Term) bool {
		out = append(out, string(t.Word))
		return true
	})
	return out
}

func TestScan_NormalisesWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"The QUICK brown-fox.":          "the quick brown fox",
		"don't Anna's cats' l'eau":      "dont anna cats eau",
		"Müller, Straße, Ærø, ﬁn":       "muller strasse aero fin",
		"cafe\u0301 naïve":              "cafe naive",
		"ERR_4711 v2.0 １２ＡＢ":            "err_4711 v2 0 12ab",
		"co\u00adoperate":               "cooperate",
		"東京都 is 日本":                     "東京 京都 is 日本",
		"私":                             "私",
		"日 本":                           "日 本",
		"Ёлка и Йод":                    "елка и иод",
		"हिन्दी में":                    "हिन्दी में",
		"a\xffb\xc3":                    "a b",
		"x" + strings.Repeat("y", 1000): "x" + strings.Repeat("y", maxTerm-1),
	} {
		if got := strings.Join(words(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestScan_SaysWhereAndWhetherCommon(t *testing.T) {
	const text = "Où est l’été der Größe?"
	var got []string
	Scan(text, func(x *Term) bool {
		mark := ""
		if x.Common {
			mark = "*"
		}
		got = append(got, text[x.Start:x.End]+mark)
		return true
	})
	want := []string{"Où*", "est*", "l’été*", "der*", "Größe"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestScan_StopsWhenAsked(t *testing.T) {
	n := 0
	Scan("a b 日本語 c d", func(*Term) bool { n++; return n < 4 })
	if n != 4 {
		t.Errorf("%d terms", n)
	}
}

func TestStem_JoinsForms(t *testing.T) {
	for _, forms := range []string{
		"install installs installed installing installation", "configure configured configuring configuration", "policy policies",
		"plan planned planning plans", "make making makes", "delete deletes deleted deleting deletion", "battery batteries",
		"run running", "house houses", "rechnung rechnungen", "stop stopped stopping", "replace replaced replacing replacement",
		"книга книги книгу", "класса классы", "quick quickly", "organization organize organizing",
	} {
		fields := strings.Fields(forms)
		want := string(Stem(nil, []byte(fields[0])))
		for _, f := range fields[1:] {
			if got := string(Stem(nil, []byte(f))); got != want {
				t.Errorf("%s: %s, %s: %s", fields[0], want, f, got)
			}
		}
	}
	for _, word := range []string{"v2", "err_4711", "abc123s", "bus", "is"} {
		if got := string(Stem(nil, []byte(word))); got != word {
			t.Errorf("%s: %s", word, got)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{"The quick's brown\xff", "l'eau'''s", "日本語テ\u0e01\u0e02a", "'", "\u00ad\u00ada\u00ad", "ŉŉŉ ﬃ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at := -1
		Scan(text, func(x *Term) bool {
			if len(x.Word) == 0 || len(x.Stem) == 0 || x.Start < at || x.Start >= x.End || x.End > len(text) {
				t.Fatalf("%q: %+v after %d", text, x, at)
			}
			at = x.Start
			return true
		})
		once, twice := strings.Join(words(text), "|"), strings.Join(words(text+" "+text), "|")
		if once != "" && twice != once+"|"+once {
			t.Fatalf("%q: terms depend on what came before: %q, %q", text, once, twice)
		}
	})
}
