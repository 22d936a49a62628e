// Command train makes the weights of the injection guard's linear model from the grammars in ./grammar: it expands them to
// tens of thousands of attacks and harmless texts and fits a logistic regression on the window of each text that weighs
// most. The same seed gives the same weights: weights.bin is what it writes, on amd64 (elsewhere the last bits of floating
// point differ). After a change of how text is folded or cut into features they are made again.
//
//	go run ./plugins/injection-guard/train -o plugins/injection-guard/weights.bin
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/bench/guard/sets"
	injectionguard "github.com/ledge-run/ledge/plugins/injection-guard"
)

const (
	buckets   = 1 << 15
	maxWindow = 3
	dropout   = 64 // of 128 features
)

var dir = flag.String("testdata", "plugins/injection-guard/testdata", "where attacks_tune.jsonl and benign_tune.jsonl are")

func main() {
	out := flag.String("o", "weights.bin", "file to write")
	n := flag.Int("n", 160, "texts of each template")
	epochs := flag.Int("epochs", 8, "passes over all texts")
	flag.Parse()
	if _, err := os.Stat(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "train: run it from the root of the repository:", err)
		os.Exit(1)
	}
	var file bytes.Buffer
	for kind, name := range []string{"user", "data"} {
		rng := rand.New(rand.NewPCG(1, uint64(kind)))
		m := fit(samples(kind, *n, rng), *epochs, rng)
		m.append(&file)
		fmt.Println(name, m)
	}
	if err := os.WriteFile(*out, file.Bytes(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

// sample is a labelled text as the model sees it; check ones are not fitted.
type sample struct {
	attack, check bool
	segments      []injectionguard.Segment
}

// samples expands the grammars. Every ninth template is only checked.
func samples(kind, n int, rng *rand.Rand) (out []sample) {
	attacks, benign, data, dataAttacks := grammar("attacks"), grammar("benign"), grammar("data_benign"), grammar("data_attacks")
	add := func(attack bool, list []string, n int, wrap func(string) string) {
		for i, t := range list {
			for range n {
				out = append(out, sample{attack, i%9 == 4, injectionguard.Segments(wrap(expand(t, rng)))})
			}
		}
	}
	plain := func(s string) string { return s }
	doc := func(most int) string {
		var b strings.Builder
		for range rng.IntN(most) {
			b.WriteString(styled(expand(data[rng.IntN(len(data))], rng), rng) + []string{". ", "\n", ". ", " - "}[rng.IntN(4)])
		}
		return b.String()
	}
	// What the tune halves of the sets say, as often as a template.
	for _, c := range tuned(*dir) {
		if attack := c.Class != "benign"; kind == injectionguard.ModelData || c.Stage == "input" {
			for range n / 4 {
				out = append(out, sample{attack: attack, segments: injectionguard.Segments(styled(c.Text, rng))})
			}
		}
	}
	if kind == injectionguard.ModelUser {
		lead := func(s string) string {
			s = styled(s, rng)
			if rng.IntN(4) == 0 {
				s = styled(expand(benign[rng.IntN(len(benign))], rng), rng) + []string{". ", "\n", " ", ", "}[rng.IntN(4)] + s
			}
			return s
		}
		add(true, attacks, n, lead)
		add(false, benign, 2*n, func(s string) string {
			s = styled(s, rng)
			if rng.IntN(4) == 0 {
				s += ". " + styled(expand(benign[rng.IntN(len(benign))], rng), rng)
			}
			return s
		})
		add(false, data, n, func(s string) string { return styled(s, rng) + ". " + doc(4) })
		return out
	}
	inside := func(s string) string { return doc(4) + styled(s, rng) + ". " + doc(3) }
	add(true, dataAttacks, 2*n, inside)
	add(true, attacks, n/2, inside)
	add(false, data, 3*n, func(s string) string { return doc(4) + styled(s, rng) + ". " + doc(4) })
	add(false, data, n, plain)
	add(false, benign, n, func(s string) string { return styled(s, rng) })
	add(false, benign, n/2, inside)
	return out
}

// tuned are the tune halves of the sets, and the fresh set, which was measured before.
func tuned(dir string) []sets.Case {
	out := slices.Concat(sets.Injection(sets.Tune), sets.FreshInjection(sets.Tune), sets.FreshInjection(sets.Heldout))
	for name, class := range map[string]string{"attacks_tune": "direct", "benign_tune": "benign"} {
		doc, err := os.ReadFile(filepath.Join(dir, name+".jsonl"))
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(doc)) {
			c := sets.Case{Class: class, Stage: "input"}
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				panic(err)
			}
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b sets.Case) int { return strings.Compare(a.Text, b.Text) })
	return out
}

// styled changes what must not matter: capitals, punctuation.
func styled(s string, rng *rand.Rand) string {
	switch rng.IntN(5) {
	case 0:
		return s + "."
	case 1:
		return s + "!"
	case 2:
		return strings.ReplaceAll(s, ". ", ", ")
	}
	return s
}

// model is what is fitted.
type model struct {
	w       [buckets]float64
	bias    float64
	summary string
}

func (m *model) String() string { return m.summary }

// window returns the logit of the heaviest window of a text and its segments. Repeated features add up here; the guard counts
// them once.
func (m *model) window(s []injectionguard.Segment) (z float64, from, to int) {
	z = math.Inf(-1)
	sums := make([]float64, len(s))
	for i := range s {
		for _, f := range s[i].Features {
			sums[i] += m.w[f]
		}
	}
	for i := range s {
		total := m.bias
		for k := 0; k < maxWindow && k <= i; k++ {
			if total += sums[i-k]; total > z {
				z, from, to = total, i-k, i+1
			}
		}
	}
	return z, from, to
}

// fit minimises the logistic loss with AdaGrad; harmless texts weigh more, since a false alarm punishes a user.
func fit(all []sample, epochs int, rng *rand.Rand) *model {
	const rate, decay, harmless, smooth = 0.08, 2e-6, 3.0, 0.02
	m := &model{bias: -2}
	var square [buckets]float64
	biasSquare := 1.0
	for range epochs {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, s := range all {
			if s.check || len(s.segments) == 0 {
				continue
			}
			z, from, to := m.window(s.segments)
			drop := rng.Uint32()
			for _, seg := range s.segments[from:to] { // no word may decide alone
				for _, f := range seg.Features {
					if dropped(f, drop) {
						z -= m.w[f]
					}
				}
			}
			p := 1 / (1 + math.Exp(-z))
			g := p - smooth
			if s.attack {
				g = p - (1 - smooth)
			} else {
				g *= harmless
			}
			if math.Abs(g) < 1e-3 {
				continue
			}
			biasSquare += g * g
			m.bias -= rate * g / math.Sqrt(biasSquare) * 0.1
			for _, seg := range s.segments[from:to] {
				for _, f := range seg.Features {
					if dropped(f, drop) {
						continue
					}
					square[f] += g * g
					m.w[f] -= rate * (g/math.Sqrt(square[f]+1e-2) + decay*m.w[f])
				}
			}
		}
	}
	hit, attacks, alarm, benign := 0, 0, 0, 0
	for _, s := range all {
		if !s.check || len(s.segments) == 0 {
			continue
		}
		z, _, _ := m.window(s.segments)
		if s.attack {
			attacks++
			if z > 0.6 {
				hit++
			}
		} else if benign++; z > 0.6 {
			alarm++
		}
	}
	m.summary = fmt.Sprintf("%d texts; on unseen templates recall %.3f of %d, false alarms %.4f of %d", len(all), float64(hit)/float64(attacks), attacks, float64(alarm)/float64(benign), benign)
	return m
}

// dropped says whether a feature is left out of a step.
func dropped(f uint16, step uint32) bool {
	return (uint32(f)*2654435761^step)*2246822519>>25 < dropout // of 128
}

// append writes the weights as the guard reads them.
func (m *model) append(b *bytes.Buffer) {
	abs := make([]float64, 0, buckets)
	for _, w := range m.w {
		abs = append(abs, math.Abs(w))
	}
	slices.Sort(abs)
	scale := abs[buckets-buckets/2000] / 127 // a few weights are cut
	binary.Write(b, binary.LittleEndian, [2]float32{float32(m.bias), float32(scale)})
	for _, w := range m.w {
		b.WriteByte(byte(int8(max(-127, min(127, math.Round(w/scale))))))
	}
}
