package sample

import "math"

// TokenLogprob is a token with the natural logarithm of its probability.
type TokenLogprob struct {
	ID      int32
	Logprob float64
}

// NoLogprob stands for a probability of zero, as in the OpenAI API (JSON has no -Inf).
const NoLogprob = -9999.0

// LogProbs returns the log probability of id and of the top most probable tokens, most probable first, under
// the model's own distribution: softmax of logits at temperature 1, before any truncation. NaN counts as
// probability zero. top is cut to the number of tokens of non-zero probability.
func LogProbs(logits []float32, id int32, top int) (float64, []TokenLogprob) {
	best := argmax(logits)
	if best < 0 {
		return NoLogprob, nil
	}
	norm := logSumExp(logits, float64(logits[best]))
	of := func(i int32) float64 { return logprob(float64(logits[i]), float64(logits[best]), norm) }
	p := NoLogprob
	if id >= 0 && int(id) < len(logits) {
		p = of(id)
	}
	if top <= 0 {
		return p, nil
	}
	top = min(top, len(logits))
	kept := selectTop(make([]candidate, 0, min(top, 1024)), logits, top)
	out := make([]TokenLogprob, len(kept))
	for i, c := range kept {
		out[i] = TokenLogprob{c.id, of(c.id)}
	}
	for len(out) > 0 && out[len(out)-1].Logprob == NoLogprob {
		out = out[:len(out)-1]
	}
	return p, out
}

// logSumExp is log(sum(exp(l - top))). With top at +Inf it counts the tokens there.
func logSumExp(logits []float32, top float64) float64 {
	sum := 0.0
	for _, l := range logits {
		d := float64(l) - top
		if math.IsInf(top, 1) && math.IsInf(float64(l), 1) {
			d = 0
		}
		if d > -700 { // NaN fails
			sum += exp(d)
		}
	}
	return math.Log(sum)
}

func logprob(l, top, norm float64) float64 {
	d := l - top
	if math.IsInf(top, 1) && math.IsInf(l, 1) {
		d = 0
	}
	if p := d - norm; p > NoLogprob {
		return p
	}
	return NoLogprob // NaN too
}
