package evaluate

import (
	"math"
	"testing"
	"time"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestRank_CountsDocumentsWhereTheyComeFirst(t *testing.T) {
	q := &Question{Relevant: map[string]float64{"a": 1, "b": 1, "c": 0}}
	f := &Found{Hits: []Excerpt{{"x", 0, 5}, {"x", 5, 9}, {"a", 0, 5}, {"a", 7, 9}, {"c", 0, 1}, {"b", 0, 3}}}
	r := Rank(q, f, 2)
	ideal := 1 + 1/math.Log2(3)
	if !near(r.Recall, 0.5) || !near(r.RR, 0.5) || !near(r.NDCG, (1/math.Log2(3)+1/math.Log2(5))/ideal) || r.IoU != -1 {
		t.Errorf("%+v", r)
	}
	if r := Rank(q, f, 4); !near(r.Recall, 1) {
		t.Errorf("%+v", r)
	}
	if r := Rank(&Question{}, f, 4); r.Recall != 0 || r.NDCG != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRank_ComparesSpansByBytes(t *testing.T) {
	q := &Question{Excerpts: []Excerpt{{"a", 10, 20}, {"a", 15, 30}}} // 20 bytes
	f := &Found{Hits: []Excerpt{{"a", 0, 15}, {"a", 12, 20}, {"b", 10, 20}, {"a", 20, 30}}}
	if r := Rank(q, f, 3); !near(r.Precision, 10.0/30) || !near(r.IoU, 10.0/40) { // 30 bytes found, 10 of them marked
		t.Errorf("%+v", r)
	}
}

func TestSumUp_LeavesOutWhatHasNoExcerpts(t *testing.T) {
	r := SumUp([]Ranking{{Recall: 1, NDCG: 1, RR: 1, Precision: -1, IoU: -1, Took: time.Millisecond}, {Precision: 0.5, IoU: 0.25, Took: 3 * time.Millisecond}}, 5)
	if r.Recall != 0.5 || r.Precision != 0.5 || r.IoU != 0.25 || r.P50 != 1 || r.Questions != 2 {
		t.Errorf("%+v", r)
	}
}

func TestCompare_TellsNoiseFromADifference(t *testing.T) {
	var a, b, c []Ranking
	for i := range 40 {
		a = append(a, Ranking{Recall: 1, RR: float64(i % 2)})
		b = append(b, Ranking{Recall: float64(i % 2), RR: float64((i + 1) % 2)})
		c = append(c, a[i])
	}
	d := Compare(a, b)
	if d[0].Noise || !near(d[0].Mean, 0.5) || d[0].P > 0.001 {
		t.Errorf("%+v", d[0])
	}
	if !d[2].Noise || d[2].Mean != 0 {
		t.Errorf("%+v", d[2])
	}
	for _, same := range Compare(a, c) {
		if !same.Noise || same.P != 1 {
			t.Errorf("%+v", same)
		}
	}
}
