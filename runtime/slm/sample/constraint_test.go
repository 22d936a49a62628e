package sample

import (
	"math"
	"testing"
)

func TestApply_ForbidsWhatTheMaskDoesNotHold(t *testing.T) {
	logits := make([]float32, 70)
	mask := make([]uint32, MaskWords(len(logits)))
	mask[0], mask[1], mask[2] = ^uint32(0), 1<<5, 1<<3
	Apply(mask, logits)
	for i, l := range logits {
		allowed := i < 32 || i == 37 || i == 67
		if allowed != (l == 0) || !allowed && !math.IsInf(float64(l), -1) {
			t.Errorf("token %d: logit %g", i, l)
		}
	}
}
