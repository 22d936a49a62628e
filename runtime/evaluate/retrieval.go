package evaluate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Excerpt is a range of a document's text in bytes.
type Excerpt struct {
	Document   string
	Start, End int
}

// Question is one that a search was asked, with what answers it: documents by their grade (above 0), and the places in
// them where they are marked.
type Question struct {
	Relevant map[string]float64
	Excerpts []Excerpt
}

// Found are the spans that a search returned, best first, and how long it took.
type Found struct {
	Hits []Excerpt
	Took time.Duration
}

// Ranking is how well a question was answered. Precision and IoU are of bytes and -1 without excerpts.
type Ranking struct {
	Recall, NDCG, RR float64
	Precision, IoU   float64
	Took             time.Duration
}

// ndcgDepth is how many documents nDCG looks at.
const ndcgDepth = 10

// Rank judges what was found: documents count where they come first, and recall and spans within the first k.
func Rank(q *Question, f *Found, k int) Ranking {
	r := Ranking{Precision: -1, IoU: -1, Took: f.Took}
	var docs []string
	for _, h := range f.Hits {
		if !slices.Contains(docs, h.Document) {
			docs = append(docs, h.Document)
		}
	}
	found, dcg := 0, 0.0
	for i, d := range docs {
		grade := q.Relevant[d]
		if grade <= 0 {
			continue
		}
		if i < k {
			found++
		}
		if i < ndcgDepth {
			dcg += gain(grade, i)
		}
		if r.RR == 0 {
			r.RR = 1 / float64(i+1)
		}
	}
	var grades []float64
	for _, g := range q.Relevant {
		if g > 0 {
			grades = append(grades, g)
		}
	}
	slices.SortFunc(grades, func(a, b float64) int { return cmp.Compare(b, a) })
	ideal := 0.0
	for i, g := range grades[:min(len(grades), ndcgDepth)] {
		ideal += gain(g, i)
	}
	if len(grades) > 0 {
		r.Recall, r.NDCG = float64(found)/float64(len(grades)), dcg/ideal
	}
	if len(q.Excerpts) > 0 {
		r.Precision, r.IoU = overlap(q.Excerpts, f.Hits[:min(len(f.Hits), k)])
	}
	return r
}

func gain(grade float64, rank int) float64 {
	return (math.Exp2(grade) - 1) / math.Log2(float64(rank+2))
}

// overlap is the share of the bytes found that are marked, and that of the bytes of either that are of both.
func overlap(marked, found []Excerpt) (precision, iou float64) {
	m, f := union(marked), union(found)
	both := 0
	for _, a := range m {
		for _, b := range f {
			if a.Document == b.Document {
				both += max(0, min(a.End, b.End)-max(a.Start, b.Start))
			}
		}
	}
	all := length(m) + length(f) - both
	if n := length(f); n > 0 {
		precision = float64(both) / float64(n)
	}
	if all > 0 {
		iou = float64(both) / float64(all)
	}
	return precision, iou
}

// union joins ranges that overlap or touch.
func union(list []Excerpt) (out []Excerpt) {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b Excerpt) int {
		return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Start, b.Start))
	})
	for _, e := range sorted {
		if n := len(out); n > 0 && out[n-1].Document == e.Document && e.Start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, e.End)
			continue
		}
		out = append(out, e)
	}
	return out
}

func length(list []Excerpt) (n int) {
	for _, e := range list {
		n += e.End - e.Start
	}
	return n
}

// RetrievalReport sums up questions. Precision and IoU are over those with excerpts, and -1 without any.
type RetrievalReport struct {
	Questions int     `json:"questions"`
	K         int     `json:"k"`
	Recall    float64 `json:"recall_at_k"`
	NDCG      float64 `json:"ndcg_at_10"`
	MRR       float64 `json:"mrr"`
	Precision float64 `json:"span_precision"`
	IoU       float64 `json:"span_iou"`
	P50       float64 `json:"p50_ms"`
	P95       float64 `json:"p95_ms"`
}

// SumUp is the mean over questions, and the latency's percentiles.
func SumUp(list []Ranking, k int) RetrievalReport {
	r := RetrievalReport{Questions: len(list), K: k, Precision: -1, IoU: -1}
	if len(list) == 0 {
		return r
	}
	n, spans := float64(len(list)), 0.0
	var precision, iou float64
	var took []time.Duration
	for _, q := range list {
		r.Recall += q.Recall / n
		r.NDCG += q.NDCG / n
		r.MRR += q.RR / n
		took = append(took, q.Took)
		if q.Precision >= 0 {
			spans++
			precision += q.Precision
			iou += q.IoU
		}
	}
	if spans > 0 {
		r.Precision, r.IoU = precision/spans, iou/spans
	}
	slices.Sort(took)
	ms := func(share int) float64 { return float64(took[(len(took)-1)*share/100].Microseconds()) / 1000 }
	r.P50, r.P95 = ms(50), ms(95)
	return r
}

// Difference says how far two configurations lie apart on the same questions. P is the chance of a difference as large
// where neither is better.
type Difference struct {
	Measure string  `json:"measure"`
	Mean    float64 `json:"difference"` // of the first over the second
	P       float64 `json:"p"`
	Noise   bool    `json:"noise"` // p is 0.05 or more
}

// Compare tells two configurations apart by recall, nDCG and reciprocal rank.
func Compare(a, b []Ranking) []Difference {
	return []Difference{
		differ("recall_at_k", a, b, func(r Ranking) float64 { return r.Recall }),
		differ("ndcg_at_10", a, b, func(r Ranking) float64 { return r.NDCG }),
		differ("mrr", a, b, func(r Ranking) float64 { return r.RR }),
	}
}

// randomizations of a test; its p is as fine as their inverse.
const randomizations = 10000

// differ is the paired randomization test (Fisher; Smucker et al., "A Comparison of Statistical Significance Tests for
// Information Retrieval Evaluation", 2007): how often random signs make the mean difference as large.
func differ(measure string, a, b []Ranking, of func(Ranking) float64) Difference {
	d := Difference{Measure: measure, P: 1, Noise: true}
	var each []float64
	sum := 0.0
	for i := range a {
		if v := of(a[i]) - of(b[i]); v != 0 {
			each = append(each, v)
			sum += v
		}
	}
	if len(each) == 0 {
		return d
	}
	d.Mean = sum / float64(len(a))
	rng := rand.New(rand.NewPCG(1, uint64(len(each))))
	as := 0
	for range randomizations {
		random := 0.0
		for _, v := range each {
			if rng.Uint64()&1 == 0 {
				random += v
			} else {
				random -= v
			}
		}
		if math.Abs(random) >= math.Abs(sum)-1e-12 {
			as++
		}
	}
	d.P = float64(as+1) / (randomizations + 1)
	d.Noise = d.P >= 0.05
	return d
}
