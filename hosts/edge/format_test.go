package edge

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const personSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":8},"age":{"type":"integer","minimum":0,"maximum":120},"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":2}},"required":["name","age","tags"],"additionalProperties":false}`

func TestFormat_AnswersKeepTheirForm(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	schema := map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "person", "strict": true, "schema": json.RawMessage(personSchema)}}
	for name, tc := range map[string]struct {
		field  string
		value  any
		traced string
		holds  func(text string) bool
	}{
		"json_schema": {"response_format", schema, "json_schema strict", func(text string) bool {
			var p struct {
				Name *string
				Age  *int
				Tags *[]string
			}
			return json.Unmarshal([]byte(text), &p) == nil && p.Name != nil && len([]rune(*p.Name)) <= 8 && p.Age != nil && *p.Age >= 0 && *p.Age <= 120 && p.Tags != nil && len(*p.Tags) <= 2
		}},
		"grammar":      {"grammar", "root ::= \"yes\" | \"no, \" [a-z]{3}", "gbnf", regexp.MustCompile(`^(yes|no, [a-z]{3})$`).MatchString},
		"regex":        {"regex", `^[0-9]{4}-[01][0-9]$`, "regex", regexp.MustCompile(`^[0-9]{4}-[01][0-9]$`).MatchString},
		"guided_regex": {"guided_regex", `(red|green)+!`, "regex", regexp.MustCompile(`^(red|green)+!$`).MatchString},
	} {
		t.Run(name, func(t *testing.T) {
			for _, temperature := range []float64{0, 1} {
				for _, stream := range []bool{false, true} {
					r := a.post("/v1/chat/completions", ask("a person", tc.field, tc.value, "max_tokens", 400, "temperature", temperature, "seed", 5, "stream", stream))
					text := r.text()
					if stream {
						text = ""
						for _, e := range r.events() {
							var c struct {
								Choices []struct{ Delta struct{ Content string } }
							}
							if json.Unmarshal([]byte(e), &c) == nil && len(c.Choices) > 0 {
								text += c.Choices[0].Delta.Content
							}
						}
					}
					if r.status != 200 || !tc.holds(text) {
						t.Errorf("temperature %g, stream %t: %d %q %s", temperature, stream, r.status, text, r.body)
					}
					traced := false
					for _, e := range a.trace(r).Stages {
						traced = traced || e.Stage == "model" && e.Constraint == tc.traced
					}
					if !traced && r.header.Get("X-Ledge-Cache") != "hit" {
						t.Errorf("the trace does not say %q", tc.traced)
					}
				}
			}
		})
	}
	r := a.post("/v1/completions", map[string]any{"model": "default", "prompt": "x", "regex": "[ab]{3}", "max_tokens": 20})
	if !regexp.MustCompile(`^[ab]{3}$`).MatchString(r.text()) {
		t.Errorf("completion: %s", r.body)
	}
}

func TestFormat_IsPartOfTheCacheKey(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	first := a.post("/v1/chat/completions", ask("same words", "regex", "a{3}"))
	second := a.post("/v1/chat/completions", ask("same words", "regex", "b{3}"))
	third := a.post("/v1/chat/completions", ask("same words", "regex", "a{3}"))
	if first.text() != "aaa" || second.text() != "bbb" || third.text() != "aaa" || third.header.Get("X-Ledge-Cache") != "hit" {
		t.Errorf("%q, %q, %q (%s)", first.text(), second.text(), third.text(), third.header.Get("X-Ledge-Cache"))
	}
}

func TestFormat_CutShortIsLengthAsOpenAIHasIt(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	r := a.post("/v1/chat/completions", ask("x", "response_format", map[string]string{"type": "json_object"}, "max_tokens", 3))
	if r.status != 200 || !strings.Contains(string(r.body), `"finish_reason":"length"`) || !strings.HasPrefix(strings.TrimSpace(r.text()), "{") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestFormat_RefusesWhatCannotBeEnforced(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	schema := func(strict bool, doc string) map[string]any {
		return map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "x", "strict": strict, "schema": json.RawMessage(doc)}}
	}
	for name, tc := range map[string]struct {
		body map[string]any
		code string
		says string
	}{
		"keyword":      {ask("x", "response_format", schema(true, `{"type":"object","properties":{"a":{"not":{}}}}`)), "invalid_json_schema", "#/properties/a"},
		"no schema":    {ask("x", "response_format", map[string]any{"type": "json_schema"}), "invalid_type", "json_schema"},
		"bad grammar":  {ask("x", "grammar", "root ::= ("), "invalid_value", "line 1"},
		"bad regex":    {ask("x", "regex", "("), "invalid_value", "regex"},
		"two at once":  {ask("x", "regex", "a", "grammar", "root ::= \"a\""), "invalid_value", "exclude"},
		"strict tools": {ask("x", "tools", []any{map[string]any{"type": "function", "function": map[string]any{"name": "f", "strict": true, "parameters": json.RawMessage(`{"type":"object","patternProperties":{}}`)}}}), "invalid_function_parameters", "patternProperties"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := a.post("/v1/chat/completions", tc.body); r.status != 400 || r.code() != tc.code || !strings.Contains(string(r.body), tc.says) {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	r := a.post("/v1/chat/completions", ask("x", "response_format", schema(false, `{"type":"object","patternProperties":{}}`)))
	if r.status != 200 {
		t.Fatalf("not strict: %d %s", r.status, r.body)
	}
	for _, e := range a.trace(r).Stages {
		if e.Stage == "model" && !strings.Contains(e.Constraint, "any object") {
			t.Errorf("the trace says %q", e.Constraint)
		}
	}
}

func TestTools_SchemasThatNothingCanMatchAreRelaxedOrRefused(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	values, _ := json.Marshal(strings.Split(strings.Repeat(strings.Repeat("x", 60)+" ", 10000), " "))
	for name, schema := range map[string]string{"endless": `{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"],"additionalProperties":false}`,
		"nothing": `false`, "empty range": `{"type":"integer","minimum":5,"maximum":1}`, "too many values": `{"enum":` + string(values) + `}`} {
		for _, strict := range []bool{false, true} {
			tool := map[string]any{"name": "f", "strict": strict, "parameters": json.RawMessage(schema)}
			r := a.post("/v1/chat/completions", ask("x", "max_tokens", 4, "tool_choice", "required", "tools", []any{map[string]any{"type": "function", "function": tool}}))
			long := name == "too many values" && r.code() == "context_length_exceeded"
			if strict && (r.status != 400 || r.code() != "invalid_function_parameters") || !strict && r.status != 200 && !long {
				t.Errorf("%s, strict %t: %d %s", name, strict, r.status, r.body)
			}
		}
	}
}

func TestTools_ForcedCallsHaveValidArguments(t *testing.T) {
	a := open(t, dataDir(t), withModel(tinyModel(t)))
	tools := []any{
		map[string]any{"type": "function", "function": map[string]any{"name": "book", "parameters": json.RawMessage(`{"type":"object","properties":{"day":{"type":"string","format":"date"},"seats":{"type":"integer","minimum":1,"maximum":8}},"required":["day","seats"],"additionalProperties":false}`)}},
		map[string]any{"type": "function", "function": map[string]any{"name": "cancel", "parameters": json.RawMessage(`{"type":"object","properties":{"sure":{"type":"boolean"}},"required":["sure"],"additionalProperties":false}`)}},
	}
	for name, choice := range map[string]any{"required": "required", "book": map[string]any{"type": "function", "function": map[string]string{"name": "book"}}} {
		for seed := range 8 {
			r := a.post("/v1/chat/completions", ask("a table", "tools", tools, "tool_choice", choice, "temperature", 1, "seed", seed, "max_tokens", 400))
			var c struct {
				Choices []struct {
					FinishReason string `json:"finish_reason"`
					Message      struct {
						ToolCalls []struct {
							Function struct{ Name, Arguments string }
						} `json:"tool_calls"`
					}
				}
			}
			if err := json.Unmarshal(r.body, &c); err != nil || r.status != 200 || len(c.Choices) != 1 || c.Choices[0].FinishReason != "tool_calls" || len(c.Choices[0].Message.ToolCalls) != 1 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			f := c.Choices[0].Message.ToolCalls[0].Function
			var args struct {
				Day   string
				Seats int
				Sure  *bool
			}
			if err := json.Unmarshal([]byte(f.Arguments), &args); err != nil || f.Name == "book" && (len(args.Day) != 10 || args.Seats < 1 || args.Seats > 8) || f.Name == "cancel" && args.Sure == nil || name == "book" && f.Name != "book" {
				t.Errorf("%s(%s)", f.Name, f.Arguments)
			}
		}
	}
}
