// Package evaluate scores guards against labelled texts: precision, recall and F1 of each entity and class, what was taken
// for what, and the worst misses. It knows nothing of guards and files but their forms. Start reading at [Tally.Add].
package evaluate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/hook"
)

// Label is a range of a text that is something; offsets in bytes.
type Label struct {
	Start, End int
	Entity     string
}

// Case is a labelled text. Labels are all that is to be found in it; nil where the text is labelled as a whole by Class.
type Case struct {
	Line   int // where it stands in its file, from 1
	Text   string
	Class  string // of the whole text; see [Benign]; empty: not labelled as a whole
	Labels []Label
}

// Finding is a span that a guard returned.
type Finding struct {
	Guard string
	hook.Span
}

// Counts are of one entity or of one class against the rest. Ratios without a denominator are 0 and left out of means.
type Counts struct {
	TruePositives  int     `json:"true_positives"`
	FalsePositives int     `json:"false_positives"`
	FalseNegatives int     `json:"false_negatives"`
	Precision      float64 `json:"precision"`
	Recall         float64 `json:"recall"`
	F1             float64 `json:"f1"`
}

func (c *Counts) ratios() {
	c.Precision = ratio(c.TruePositives, c.TruePositives+c.FalsePositives)
	c.Recall = ratio(c.TruePositives, c.TruePositives+c.FalseNegatives)
	c.F1 = ratio(2*c.TruePositives, 2*c.TruePositives+c.FalsePositives+c.FalseNegatives)
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Class says how many texts of a class were stopped.
type Class struct {
	Texts   int     `json:"texts"`
	Stopped int     `json:"stopped"`
	Rate    float64 `json:"rate"`
}

// Miss is one wrong judgement. Confidence is the guard's, 0 where it found nothing.
type Miss struct {
	Line       int     `json:"line"`
	Kind       string  `json:"kind"` // missed, or alarm
	Entity     string  `json:"entity"`
	Found      string  `json:"found,omitempty"` // the part of the text
	Rule       string  `json:"rule,omitempty"`
	Confidence float64 `json:"confidence"`
	Text       string  `json:"text"` // around it
}

// Report is what a Tally comes to.
type Report struct {
	Texts    int                `json:"texts"`
	Entities map[string]*Counts `json:"entities,omitempty"`
	// Micro counts all entities together.
	Micro   *Counts           `json:"all_entities,omitempty"`
	Classes map[string]*Class `json:"classes,omitempty"`
	// Stopped compares texts of classes other than benign with benign ones.
	Stopped *Counts `json:"stopped,omitempty"`
	// FalseAlarms is the share of benign texts that were stopped.
	FalseAlarms float64 `json:"false_alarm_rate"`
	// Confusion has, for each label, how often it was found as what; "none" for not found and for not labelled.
	Confusion map[string]map[string]int `json:"confusion,omitempty"`
	// Ignored counts labels of entities that no guard knows.
	Ignored map[string]int `json:"ignored,omitempty"`
	Worst   []Miss         `json:"worst,omitempty"`
}

// Tally adds up judgements. The zero value is not ready; see [New].
type Tally struct {
	report  Report
	misses  []Miss
	mapping map[string]string
}

// New makes a Tally. mapping renames entities of labels, in upper case, and goes over [Aliases]; a name mapped to the empty
// string is ignored.
func New(mapping map[string]string) *Tally {
	return &Tally{mapping: mapping, report: Report{
		Entities: map[string]*Counts{}, Classes: map[string]*Class{}, Confusion: map[string]map[string]int{}, Ignored: map[string]int{},
	}}
}

// Entity returns the guards' name of a label's entity, "" for one that none of them knows.
func (t *Tally) Entity(name string) string {
	name = strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(strings.TrimSpace(name)))
	if to, ok := t.mapping[name]; ok {
		return to
	}
	if to, ok := Aliases[name]; ok {
		return to
	}
	if Known[name] {
		return name
	}
	return ""
}

// Benign says whether a class is of texts that must not be stopped.
func Benign(class string) bool {
	switch strings.ToLower(class) {
	case "benign", "safe", "negative", "legit", "harmless", "clean", "0", "false":
		return true
	}
	return false
}

// Add enters what guards said of a text. stopped: one of them blocked it or held it for review.
func (t *Tally) Add(c Case, stopped bool, found []Finding) {
	t.report.Texts++
	if c.Class != "" {
		t.class(c, stopped, found)
	}
	if c.Labels != nil {
		t.entities(c, found)
	}
}

func (t *Tally) class(c Case, stopped bool, found []Finding) {
	k := t.report.Classes[c.Class]
	if k == nil {
		k = &Class{}
		t.report.Classes[c.Class] = k
	}
	k.Texts++
	sure, rule := 0.0, ""
	for _, f := range found {
		if f.Confidence > sure {
			sure, rule = f.Confidence, f.Rule
		}
	}
	if stopped {
		k.Stopped++
	}
	if s := t.stopped(); Benign(c.Class) {
		if stopped {
			s.FalsePositives++
			t.misses = append(t.misses, Miss{Line: c.Line, Kind: "alarm", Entity: c.Class, Rule: rule, Confidence: sure, Text: clip(c.Text, 0, len(c.Text))})
		}
	} else if stopped {
		s.TruePositives++
	} else {
		s.FalseNegatives++
		t.misses = append(t.misses, Miss{Line: c.Line, Kind: "missed", Entity: c.Class, Rule: rule, Confidence: sure, Text: clip(c.Text, 0, len(c.Text))})
	}
}

func (t *Tally) stopped() *Counts {
	if t.report.Stopped == nil {
		t.report.Stopped = &Counts{}
	}
	return t.report.Stopped
}

// entities compares spans with labels. A label is found where spans of its entity cover at least half of it: where a name
// begins is a matter of taste. A span that touches no label of its entity is a false alarm, unless it lies on a label that
// is ignored.
func (t *Tally) entities(c Case, found []Finding) {
	var labels []Label
	var ignored []Label
	for _, l := range c.Labels {
		if l.Start < 0 || l.End > len(c.Text) || l.Start >= l.End {
			continue
		}
		name := t.Entity(l.Entity)
		if name == "" {
			t.report.Ignored[l.Entity]++
			ignored = append(ignored, l)
			continue
		}
		l.Entity = name
		labels = append(labels, l)
	}
	for _, l := range labels {
		covered, other := 0, "none"
		for _, f := range found {
			n := min(f.End, l.End) - max(f.Start, l.Start)
			if n <= 0 {
				continue
			}
			if is(f, l.Entity) {
				covered += n
			} else if other == "none" {
				other = f.Entity
			}
		}
		if 2*covered >= l.End-l.Start {
			t.counts(l.Entity).TruePositives++
			t.confuse(l.Entity, l.Entity)
			continue
		}
		t.counts(l.Entity).FalseNegatives++
		t.confuse(l.Entity, other)
		t.misses = append(t.misses, Miss{Line: c.Line, Kind: "missed", Entity: l.Entity, Found: c.Text[l.Start:l.End], Text: clip(c.Text, l.Start, l.End)})
	}
	for _, f := range found {
		touches := func(l Label) bool { return f.Start < l.End && f.End > l.Start }
		if slices.ContainsFunc(labels, func(l Label) bool { return touches(l) && is(f, l.Entity) }) || slices.ContainsFunc(ignored, touches) {
			continue
		}
		t.counts(entityOf(f)).FalsePositives++
		if !slices.ContainsFunc(labels, touches) {
			t.confuse("none", entityOf(f))
		}
		t.misses = append(t.misses, Miss{Line: c.Line, Kind: "alarm", Entity: f.Entity, Found: c.Text[f.Start:f.End], Rule: f.Rule, Confidence: f.Confidence, Text: clip(c.Text, f.Start, f.End)})
	}
}

// entityOf names what a finding is counted as: kinds of secrets are one entity, since sets tell them apart differently.
func entityOf(f Finding) string {
	if f.Guard == "secrets-guard" {
		return "SECRET"
	}
	return f.Entity
}

func is(f Finding, entity string) bool { return entityOf(f) == entity || f.Entity == entity }

func (t *Tally) counts(entity string) *Counts {
	c := t.report.Entities[entity]
	if c == nil {
		c = &Counts{}
		t.report.Entities[entity] = c
	}
	return c
}

func (t *Tally) confuse(label, found string) {
	if t.report.Confusion[label] == nil {
		t.report.Confusion[label] = map[string]int{}
	}
	t.report.Confusion[label][found]++
}

// Report adds up, with at most worst misses: the surest alarms first, then what was missed, an equal share of each entity.
func (t *Tally) Report(worst int) *Report {
	r := t.report
	if len(r.Entities) > 0 {
		r.Micro = &Counts{}
		for _, c := range r.Entities {
			c.ratios()
			r.Micro.TruePositives += c.TruePositives
			r.Micro.FalsePositives += c.FalsePositives
			r.Micro.FalseNegatives += c.FalseNegatives
		}
		r.Micro.ratios()
	}
	benign, alarms := 0, 0
	for name, c := range r.Classes {
		c.Rate = ratio(c.Stopped, c.Texts)
		if Benign(name) {
			benign, alarms = benign+c.Texts, alarms+c.Stopped
		}
	}
	r.FalseAlarms = ratio(alarms, benign)
	if r.Stopped != nil {
		r.Stopped.ratios()
	}
	rank := map[string]int{}
	order := make([]int, len(t.misses))
	slices.SortStableFunc(t.misses, func(a, b Miss) int { return cmp.Compare(b.Confidence, a.Confidence) })
	for i, m := range t.misses {
		order[i] = rank[m.Kind+m.Entity]
		rank[m.Kind+m.Entity]++
	}
	index := make([]int, len(t.misses))
	for i := range index {
		index[i] = i
	}
	slices.SortStableFunc(index, func(a, b int) int { return order[a] - order[b] })
	for _, i := range index[:min(worst, len(index))] {
		r.Worst = append(r.Worst, t.misses[i])
	}
	return &r
}

// clip cuts a text to what stands around [start, end).
func clip(text string, start, end int) string {
	const around = 60
	from, to := max(0, start-around), min(len(text), end+around)
	if start == 0 && end == len(text) {
		from, to = 0, min(len(text), 4*around)
	}
	return strings.ToValidUTF8(text[from:to], "")
}
