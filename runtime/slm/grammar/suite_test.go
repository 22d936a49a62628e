package grammar

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema_TestSuite runs JSON Schema's own test suite, which PyPI's jsonschema carries in json/tests of its source:
//
//	LEDGE_SCHEMA_SUITE=.../json/tests/draft2020-12 go test ./runtime/slm/grammar -run TestSuite -v
//
// A schema may be refused with a SchemaError. Of one that is not, no invalid instance may be let through, and every walk
// through the grammar must be valid. Valid instances need not all be let through: the log says which are not.
func TestSchema_TestSuite(t *testing.T) {
	dir := os.Getenv("LEDGE_SCHEMA_SUITE")
	if dir == "" {
		t.Skip("LEDGE_SCHEMA_SUITE names no folder of JSON Schema's test suite")
	}
	draft, known := map[string]*jsonschema.Draft{"draft6": jsonschema.Draft6, "draft7": jsonschema.Draft7, "draft2019-09": jsonschema.Draft2019,
		"draft2020-12": jsonschema.Draft2020}[filepath.Base(dir)]
	if !known {
		t.Fatalf("%s is not the folder of a draft from 6 to 2020-12", dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(dir, "optional", "format", "*.json"))
	r := rand.New(rand.NewPCG(2026, 12))
	taken, refused, narrow, wide := 0, 0, 0, 0
	for _, file := range append(files, more...) {
		var cases []suiteCase
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &cases)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			name := filepath.Base(file) + ": " + c.Description
			begin := time.Now()
			g, err := Schema(c.Schema)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%s: compiled in %v", name, took)
			}
			var known *SchemaError
			if err != nil {
				if refused++; !errors.As(err, &known) {
					t.Errorf("%s: %v", name, err)
				}
				t.Logf("refused: %s: %v", name, err)
				continue
			}
			taken++
			for _, x := range c.Tests {
				switch got := matches(t, g, string(x.Data)); {
				case got && !x.Valid:
					t.Errorf("%s: %s lets %s through\n%s", name, c.Schema, x.Data, x.Description)
				case got:
					wide++
				case x.Valid:
					narrow++
					t.Logf("narrow: %s: %s does not let %s through", name, oneLine(c.Schema), oneLine(x.Data))
				}
			}
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(c.Schema)))
			if err != nil {
				t.Fatal(err)
			}
			compiler := jsonschema.NewCompiler()
			compiler.DefaultDraft(draft)
			compiler.AssertFormat()
			if err := compiler.AddResource("schema.json", doc); err != nil {
				continue
			}
			s, err := compiler.Compile("schema.json")
			if err != nil {
				continue // it refers to what is not here
			}
			p := NewProgram(g, testVocabulary)
			for range 8 {
				validate(t, s, name+" "+string(c.Schema), walk(t, r, p))
			}
		}
	}
	t.Logf("%d schemas taken, %d refused; of the valid instances %d are let through, %d are not", taken, refused, wide, narrow)
}

type suiteCase struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

func oneLine(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }
