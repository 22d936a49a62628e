package runtime

import (
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm"
)

func TestCanary_Judges(t *testing.T) {
	trap := &wasm.Error{Code: wasm.CodeTrap}
	good := wasm.Result{Duration: time.Millisecond, Fuel: 1000}
	for name, c := range map[string]struct {
		res  wasm.Result
		err  func(i int) error
		gone bool
		by   uint64 // calls of the new generation until then, at most
	}{
		"as good":           {good, nil, false, 100},
		"traps":             {good, func(int) error { return trap }, true, canaryFewest},
		"traps now and":     {good, func(i int) error { return []error{trap, nil, nil, nil}[i%4] }, true, 20},
		"slower":            {wasm.Result{Duration: 10 * time.Millisecond, Fuel: 1000}, nil, true, 100},
		"slower by little":  {wasm.Result{Duration: 1200 * time.Microsecond, Fuel: 1000}, nil, false, 100},
		"hungrier":          {wasm.Result{Duration: time.Millisecond, Fuel: 9_000_000}, nil, true, 100},
		"callers went away": {good, func(i int) error { return []error{&wasm.Error{Code: wasm.CodeCanceled}, nil}[i%2] }, false, 100},
	} {
		t.Run(name, func(t *testing.T) {
			k := &canary{share: 25, enough: 100}
			for i := range 10_000 {
				isNew, res, err := k.pick(), good, error(nil)
				if isNew {
					res = c.res
					if c.err != nil {
						err = c.err(i / 4)
					}
				}
				if due, fault := k.observe(isNew, res, err); due {
					if (fault != nil) != c.gone || k.new.calls > c.by {
						t.Errorf("after %d calls: %v", k.new.calls, fault)
					}
					if share := float64(k.new.calls+1) / float64(k.new.calls+k.old.calls+1); name == "as good" && (share < 0.24 || share > 0.26) {
						t.Errorf("served %.2f of the calls", share)
					}
					if due, _ := k.observe(isNew, res, err); due {
						t.Error("judged twice")
					}
					return
				}
			}
			t.Error("never judged")
		})
	}
}
