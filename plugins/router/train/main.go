// Command train makes the weights of the router's model of complexity from the labelled requests in testdata/requests, all but
// those held out, and from the frames in ./frames.txt, which say the same things about other subjects. The same seed gives the
// same weights from the same features.
//
//	go run ./plugins/router/train
package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/ledge-run/ledge/plugins/router"
	"github.com/ledge-run/ledge/plugins/router/requests"
)

func main() {
	out := flag.String("o", "plugins/router/weights.bin", "file to write")
	dir := flag.String("requests", "plugins/router/testdata/requests", "folder of labelled requests")
	frames := flag.String("frames", "plugins/router/train/frames.txt", "file of frames")
	n := flag.Int("n", 24, "requests of each frame")
	epochs := flag.Int("epochs", 30, "passes over all requests")
	folds := flag.Int("folds", 0, "also count how many requests are rated right by models that were fitted without them")
	check := flag.String("check", "", "also rate the labelled requests of this folder")
	verbose := flag.Bool("v", false, "print what is rated wrong")
	flag.Parse()
	if err := run(*out, *dir, *frames, *n, *epochs, *folds, *verbose, *check); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

func run(out, dir, frames string, n, epochs, folds int, verbose bool, check string) error {
	all, err := requests.Read(dir)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	made, err := expandAll(frames, n, rng)
	if err != nil {
		return err
	}
	var fitted, heldOut []sample
	for _, r := range all {
		if s := sampleOf(r.Text, r.Tier, 2); r.HeldOut {
			heldOut = append(heldOut, s)
		} else {
			fitted = append(fitted, s)
		}
	}
	fmt.Printf("%d requests, %d of frames, %d held out\n", len(fitted), len(made), len(heldOut))
	if folds > 0 {
		right := 0
		for k := range folds {
			var rest, fold []sample
			for i, s := range fitted {
				if i%folds == k {
					fold = append(fold, s)
				} else {
					rest = append(rest, s)
				}
			}
			m := fit(append(rest, made...), epochs)
			right += m.count(fold, verbose)
		}
		fmt.Printf("of %d folds %.1f%% right\n", folds, 100*float64(right)/float64(len(fitted)))
	}
	m := fit(append(slices.Clone(fitted), made...), epochs)
	fmt.Printf("fitted %.1f%%, frames %.1f%%, held out %.1f%% right\n", percent(m.count(fitted, false), fitted),
		percent(m.count(made, false), made), percent(m.count(heldOut, verbose), heldOut))
	if check != "" {
		others, err := requests.Read(check)
		if err != nil {
			return err
		}
		var rated []sample
		for _, r := range others {
			rated = append(rated, sampleOf(r.Text, r.Tier, 1))
		}
		fmt.Printf("%s: %.1f%% of %d right\n", check, percent(m.count(rated, verbose), rated), len(rated))
	}
	return os.WriteFile(out, m.bytes(), 0o644)
}

func percent(n int, of []sample) float64 { return 100 * float64(n) / float64(max(len(of), 1)) }

// sample is a labelled request as the model sees it.
type sample struct {
	text         string
	tier         int
	weight       float64
	words, shape []uint16
}

func sampleOf(text string, tier int, weight float64) sample {
	s := sample{text: text, tier: tier, weight: weight}
	s.words, s.shape = router.Features(text)
	return s
}

// model is two logistic regressions: whether a request is more than simple, and whether it is complex.
type model struct {
	w    [2][router.Buckets]float64
	bias [2]float64
}

func (m *model) logit(k int, s *sample) float64 {
	words, shape := 0.0, 0.0
	for _, f := range s.words {
		words += m.w[k][f]
	}
	for _, f := range s.shape {
		shape += m.w[k][f]
	}
	return m.bias[k] + shape + words*float64(router.WordShare(len(s.words)))
}

// tier is what the router makes of the two.
func (m *model) tier(s *sample) int {
	z0, z1 := m.logit(0, s), m.logit(1, s)
	switch {
	case z1 > 0 && z0+z1 > 0:
		return requests.Complex
	case z0 < 0:
		return requests.Simple
	}
	return requests.Medium
}

func (m *model) count(all []sample, verbose bool) (right int) {
	for i := range all {
		if got := m.tier(&all[i]); got == all[i].tier {
			right++
		} else if verbose {
			fmt.Printf("%-8s rated %-8s %.1f %.1f %.110q\n", requests.Tiers[all[i].tier], requests.Tiers[got], m.logit(0, &all[i]), m.logit(1, &all[i]), all[i].text)
		}
	}
	return right
}

// How it is fitted.
const (
	rate    = 0.05
	decay   = 3e-3 // L2, of words
	smooth  = 0.03 // of labels
	dropout = 40   // of 128 features in each step, so that no word decides alone
)

// fit minimises the logistic losses with AdaGrad.
func fit(all []sample, epochs int) *model {
	rng := rand.New(rand.NewPCG(1, 2)) // of its own: what else a run does must not change the weights
	m := &model{}
	var square [2][router.Buckets]float64
	biasSquare := [2]float64{1, 1}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	for range epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			s := &all[i]
			drop := rng.Uint32()
			share := float64(router.WordShare(len(s.words)))
			for k := range 2 {
				z := m.bias[k]
				for _, f := range s.words {
					if !dropped(f, drop) {
						z += share * m.w[k][f] * 128 / (128 - dropout)
					}
				}
				for _, f := range s.shape {
					if !dropped(f, drop) {
						z += m.w[k][f] * 128 / (128 - dropout)
					}
				}
				want := smooth
				if s.tier > k {
					want = 1 - smooth
				}
				g := (1/(1+math.Exp(-z)) - want) * s.weight
				biasSquare[k] += g * g
				m.bias[k] -= rate * g / math.Sqrt(biasSquare[k])
				step := func(f uint16, g, decay float64) {
					square[k][f] += g * g
					m.w[k][f] -= rate * (g/math.Sqrt(square[k][f]+1e-2) + decay*m.w[k][f])
				}
				for _, f := range s.words {
					if !dropped(f, drop) {
						step(f, g*share, decay)
					}
				}
				for _, f := range s.shape {
					if !dropped(f, drop) {
						step(f, g, decay/4)
					}
				}
			}
		}
	}
	return m
}

// dropped says whether a feature is left out of a step.
func dropped(f uint16, step uint32) bool {
	return (uint32(f)*2654435761^step)*2246822519>>25 < dropout
}

// bytes are the weights as the router reads them.
func (m *model) bytes() []byte {
	var b bytes.Buffer
	var scales [2]float64
	for k := range m.w {
		abs := make([]float64, 0, router.Buckets)
		for _, w := range m.w[k] {
			abs = append(abs, math.Abs(w))
		}
		slices.Sort(abs)
		scales[k] = max(abs[router.Buckets-8]/127, 1e-9) // a few weights are cut
		binary.Write(&b, binary.LittleEndian, [2]float32{float32(m.bias[k]), float32(scales[k])})
	}
	for f := range router.Buckets {
		for k := range 2 {
			b.WriteByte(byte(int8(max(-127, min(127, math.Round(m.w[k][f]/scales[k]))))))
		}
	}
	return b.Bytes()
}
