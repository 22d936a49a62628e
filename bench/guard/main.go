// Command guard measures the built-in guards: how well they judge, on sets whose held-out halves were fixed before any
// rule was tuned, and how long they take for a 4 KB text, in the sandbox and compiled natively, in one run.
//
//	make plugins && go run ./bench/guard
//	go run ./bench/guard -write DIR     # the sets as files for: ledge guard eval DIR/pii_heldout.jsonl
//
// The native guards give the quality figures; tests hold the guests equal to them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ledge-run/ledge/bench/guard/sets"
	injectionguard "github.com/ledge-run/ledge/plugins/injection-guard"
	piiguard "github.com/ledge-run/ledge/plugins/pii-guard"
	secretsguard "github.com/ledge-run/ledge/plugins/secrets-guard"
	"github.com/ledge-run/ledge/runtime/hook"
)

func main() {
	write := flag.String("write", "", "write the sets as JSON lines into this directory, and measure nothing")
	rounds := flag.Int("rounds", 2000, "calls of each guard that are timed; 0: measure quality only")
	flag.Parse()
	if err := run(context.Background(), *write, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench/guard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write string, rounds int) error {
	if write != "" {
		return writeSets(write)
	}
	native, err := natives()
	if err != nil {
		return err
	}
	if err := quality(native); err != nil {
		return err
	}
	if rounds == 0 {
		return nil
	}
	return speed(ctx, native, rounds)
}

// judge is a guard, whatever it runs in.
type judge func(*hook.GuardRequest) hook.Verdict

var inputGuards = []string{"pii-guard", "injection-guard", "secrets-guard"}

func natives() (map[string]judge, error) {
	none := func(string) (string, bool) { return "", false }
	pii, err := piiguard.New(none)
	if err != nil {
		return nil, err
	}
	injection, err := injectionguard.New(none)
	if err != nil {
		return nil, err
	}
	secrets, err := secretsguard.New(none)
	if err != nil {
		return nil, err
	}
	return map[string]judge{"pii-guard": pii.Judge, "injection-guard": injection.Judge, "secrets-guard": secrets.Judge}, nil
}

// set is one of the sets and the guard it is for.
type set struct {
	name, guard string
	cases       func(sets.Split) []sets.Case
}

var all = []set{{"pii", "pii-guard", sets.PII}, {"secrets", "secrets-guard", sets.Secrets}, {"injection", "injection-guard", sets.Injection},
	{"fresh_pii", "pii-guard", sets.FreshPII}, {"fresh_injection", "injection-guard", sets.FreshInjection},
	{"unseen_injection", "injection-guard", sets.UnseenInjection}}

var splits = map[string]sets.Split{"tune": sets.Tune, "heldout": sets.Heldout}

func writeSets(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range all {
		for name, split := range splits {
			f, err := os.Create(filepath.Join(dir, s.name+"_"+name+".jsonl"))
			if err != nil {
				return err
			}
			enc := json.NewEncoder(f)
			for _, c := range s.cases(split) {
				doc := map[string]any{"text": c.Text}
				if c.Class != "" {
					doc["class"], doc["stage"] = c.Class, c.Stage
				} else if doc["labels"] = c.Labels; c.Labels == nil {
					doc["labels"] = []sets.Label{}
				}
				if err := enc.Encode(doc); err != nil {
					return err
				}
			}
			if err := f.Close(); err != nil {
				return err
			}
			fmt.Println(f.Name())
		}
	}
	return nil
}
