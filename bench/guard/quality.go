package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/ledge-run/ledge/bench/guard/sets"
	"github.com/ledge-run/ledge/runtime/evaluate"
	"github.com/ledge-run/ledge/runtime/hook"
)

// Least figures that are asked of the held-out halves.
const (
	leastFormatted = 0.95 // recall and precision of entities with a form
	leastNames     = 0.70 // F1 of names, organisations, addresses
	leastDirect    = 0.85
	leastIndirect  = 0.60
	mostAlarms     = 0.02
)

var byContext = map[string]bool{"PERSON": true, "ORGANIZATION": true, "ADDRESS": true}

// quality prints the figures of every set's halves and says which hold what is asked.
func quality(native map[string]judge) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "set\thalf\tentity or class\tn\tprecision\trecall\tF1\tasked\t\n")
	for _, s := range all {
		for _, name := range slices.Sorted(maps.Keys(splits)) {
			r := score(native[s.guard], s, splits[name])
			for _, e := range slices.Sorted(maps.Keys(r.Entities)) {
				c := r.Entities[e]
				held := holds(c.F1 >= leastNames)
				if !byContext[e] {
					held = holds(c.Recall >= leastFormatted && c.Precision >= leastFormatted)
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.3f\t%.3f\t%.3f\t%s\t\n", s.name, name, e, c.TruePositives+c.FalseNegatives, c.Precision, c.Recall, c.F1, held)
			}
			for _, k := range slices.Sorted(maps.Keys(r.Classes)) {
				c := r.Classes[k]
				switch k {
				case "direct":
					fmt.Fprintf(t, "%s\t%s\t%s\t%d\t\t%.3f\t\t%s\t\n", s.name, name, k, c.Texts, c.Rate, holds(c.Rate >= leastDirect))
				case "indirect":
					fmt.Fprintf(t, "%s\t%s\t%s\t%d\t\t%.3f\t\t%s\t\n", s.name, name, k, c.Texts, c.Rate, holds(c.Rate >= leastIndirect))
				default:
					fmt.Fprintf(t, "%s\t%s\tfalse alarms on %s\t%d\t\t%.3f\t\t%s\t\n", s.name, name, k, c.Texts, c.Rate, holds(c.Rate <= mostAlarms))
				}
			}
		}
	}
	return t.Flush()
}

func holds(ok bool) string {
	if ok {
		return "holds"
	}
	return "SHORT"
}

func score(g judge, s set, split sets.Split) *evaluate.Report {
	t := evaluate.New(nil)
	for i, c := range s.cases(split) {
		stage := c.Stage
		if stage == "" {
			stage = hook.StageInput
		}
		v := g(&hook.GuardRequest{Stage: stage, Text: c.Text, Final: true})
		e := evaluate.Case{Line: i + 1, Text: c.Text, Class: c.Class}
		if c.Class == "" {
			e.Labels = []evaluate.Label{}
			for _, l := range c.Labels {
				e.Labels = append(e.Labels, evaluate.Label(l))
			}
		}
		var found []evaluate.Finding
		for _, p := range v.Spans {
			found = append(found, evaluate.Finding{Guard: s.guard, Span: p})
		}
		t.Add(e, v.Verdict == hook.Block || v.Verdict == hook.Review, found)
	}
	return t.Report(0)
}
