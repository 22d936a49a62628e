package cli

import (
	"strings"
	"testing"
)

func TestModel_TakesTheFileAsAnArgument(t *testing.T) {
	in := tinyModel(t)
	for _, verb := range [][]string{{"inspect"}, {"tokenize", "--input", "the"}, {"run", "-p", "the", "-n", "2"}} {
		args := append([]string{"model"}, verb...)
		if status, out, errs := runLedge(append(args, in)...); status != 0 || out == "" {
			t.Errorf("%v FILE: status %d, %s", verb, status, errs)
		}
		for _, surplus := range [][]string{{in, "more"}, {"--model", in, "more"}} {
			if status, _, errs := runLedge(append(args, surplus...)...); status != 2 || !strings.Contains(errs, `unexpected argument "more"`) {
				t.Errorf("%v %v: status %d, %s", verb, surplus, status, errs)
			}
		}
	}
}
