package injectionguard

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/bench/guard/sets"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// each replaces every rune of a text.
func each(s string, f func(r rune) string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(f(r))
	}
	return b.String()
}

func swap(from, to string) func(string, *rand.Rand) string {
	f, t := []rune(from), []rune(to)
	return func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string {
			for i := range f {
				if f[i] == r {
					return string(t[i])
				}
			}
			return string(r)
		})
	}
}

func letter(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' }

// between puts one of the marks after a letter, by chance.
func between(chance int, marks ...string) func(string, *rand.Rand) string {
	return func(s string, rng *rand.Rand) string {
		return each(s, func(r rune) string {
			if letter(r) && rng.IntN(100) < chance {
				return string(r) + marks[rng.IntN(len(marks))]
			}
			return string(r)
		})
	}
}

func apart(sep, gap string) func(string, *rand.Rand) string {
	return func(s string, _ *rand.Rand) string {
		words := strings.Fields(s)
		for i, w := range words {
			words[i] = strings.Join(strings.Split(w, ""), sep)
		}
		return strings.Join(words, gap)
	}
}

// disguises hide a text. A plain form that is caught must be caught in each.
var disguises = map[string]func(string, *rand.Rand) string{
	"zero-width":     between(60, "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"),
	"soft hyphen":    between(50, "\u00ad"),
	"bidi":           between(30, "\u202a", "\u202c", "\u2066", "\u2069", "\u200f", "\u061c"),
	"combining":      between(70, "\u0301", "\u0327", "\u0336", "\u0310"),
	"cancelled tags": between(20, "\U000E007F"),
	"variation":      between(40, "\ufe0f", "\U000E0100"),
	"cyrillic":       swap("aeopcxyiAEOPCTXHKMB", "аеорсхуіАЕОРСТХНКМВ"),
	"greek":          swap("aoiAEHIKMNOPTXYZB", "αοιΑΕΗΙΚΜΝΟΡΤΧΥΖΒ"),
	"leet":           swap("aeiost", "43105"+"7"),
	"leet signs":     swap("aAsSi", "@@$$|"),
	"capitals":       func(s string, _ *rand.Rand) string { return strings.ToUpper(s) },
	"mixed case": func(s string, rng *rand.Rand) string {
		return each(s, func(r rune) string {
			if rng.IntN(2) == 0 {
				return strings.ToUpper(string(r))
			}
			return strings.ToLower(string(r))
		})
	},
	"wide": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string {
			if r > ' ' && r < 0x7f {
				return string(r - '!' + 0xff01)
			}
			return string(r)
		})
	},
	"bold": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string {
			switch {
			case r >= 'a' && r <= 'z':
				return string(r - 'a' + 0x1d41a)
			case r >= 'A' && r <= 'Z':
				return string(r - 'A' + 0x1d400)
			}
			return string(r)
		})
	},
	"circled": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string {
			if r >= 'a' && r <= 'z' {
				return string(r - 'a' + 0x24d0)
			}
			return string(r)
		})
	},
	"accents": swap("aeiouAEIOUcn", "áéíöüÄÊÌÓÛçñ"),
	"decimal entities": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string { return fmt.Sprintf("&#%d;", r) })
	},
	"hex entities": func(s string, rng *rand.Rand) string {
		return each(s, func(r rune) string {
			if letter(r) && rng.IntN(3) > 0 {
				return fmt.Sprintf("&#x%x;", r)
			}
			return string(r)
		})
	},
	"percent": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string { return "%" + hex.EncodeToString([]byte(string(r))) })
	},
	"escapes": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string { return fmt.Sprintf(`\u%04x`, r) })
	},
	"base64":     func(s string, _ *rand.Rand) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 url": func(s string, _ *rand.Rand) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"base64 lines": func(s string, _ *rand.Rand) string {
		e := base64.StdEncoding.EncodeToString([]byte(s))
		out := ""
		for len(e) > 76 {
			out, e = out+e[:76]+"\n", e[76:]
		}
		return out + e
	},
	"hex":        func(s string, _ *rand.Rand) string { return hex.EncodeToString([]byte(s)) },
	"hex spaced": func(s string, _ *rand.Rand) string { return fmt.Sprintf("% x", s) },
	"rot13": func(s string, _ *rand.Rand) string {
		return each(s, func(r rune) string {
			if letter(r) {
				return string(r&0x20 | ((r&^0x20)-'A'+13)%26 + 'A')
			}
			return string(r)
		})
	},
	"reversed": func(s string, _ *rand.Rand) string {
		r := []rune(s)
		for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
			r[i], r[j] = r[j], r[i]
		}
		return string(r)
	},
	"spaced":     apart(" ", "   "),
	"hyphenated": apart("-", " "),
	"dotted":     apart(".", "  "),
	"underlined": apart("_", " "),
	"starred":    apart("*", " "),
	"word lines": func(s string, _ *rand.Rand) string { return strings.Join(strings.Fields(s), "\n") },
	"word gaps":  func(s string, _ *rand.Rand) string { return strings.Join(strings.Fields(s), "  \t ") },
	"doubly encoded": func(s string, _ *rand.Rand) string {
		return base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString([]byte(s))))
	},
}

// plain are attacks in ASCII that are caught as they are and have no disguise yet.
func plain(t testing.TB, g *Guard) (out []string) {
	texts := corpus(t, "attacks_tune.jsonl")
	for _, c := range sets.Injection(sets.Tune) {
		if c.Class == "direct" {
			texts = append(texts, c.Text)
		}
	}
	for _, s := range texts {
		ascii := strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 || r < ' ' || r == '<' || r == '&' || r >= '0' && r <= '9' }) < 0
		if v := judge(g, sdk.StageInput, s); ascii && v.Verdict == sdk.Block && !strings.Contains(v.Reason, "encoded-") {
			out = append(out, s)
		}
	}
	return out
}

func TestEvasion_NoDisguiseHidesWhatIsCaughtPlain(t *testing.T) {
	g := newGuard(t, nil)
	attacks := plain(t, g)
	rng := rand.New(rand.NewPCG(1, 2))
	for name, f := range disguises {
		missed := 0
		for _, s := range attacks {
			if hidden := f(s, rng); judge(g, sdk.StageInput, hidden).Verdict != sdk.Block {
				if missed++; missed <= 2 {
					t.Logf("%s: %q", name, s)
				}
			}
		}
		if missed > 0 {
			t.Errorf("%s hides %d of %d attacks", name, missed, len(attacks))
		}
	}
}

// FuzzEvasion picks an attack, a disguise and its dice, and harmless words around it.
func FuzzEvasion(f *testing.F) {
	g := newGuard(f, nil)
	attacks := plain(f, g)
	names := slices.Sorted(maps.Keys(disguises))
	for i := range names {
		f.Add(uint16(i*7), uint8(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, which uint16, how uint8, seed uint64) {
		s, name := attacks[int(which)%len(attacks)], names[int(how)%len(names)]
		hidden := disguises[name](s, rand.New(rand.NewPCG(seed, 1)))
		if judge(g, sdk.StageInput, hidden).Verdict != sdk.Block {
			t.Errorf("%s hides %q as %q", name, s, hidden)
		}
	})
}
