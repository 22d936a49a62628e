package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestSchema_Matches(t *testing.T) {
	for name, tc := range map[string]struct {
		schema  string
		yes, no []string
	}{
		"anything":      {`{}`, []string{`null`, `[1,{"a":"b"}]`, `-1.5e3`}, []string{`nul`, `[1,]`, `01`}},
		"false inside":  {`{"properties":{"a":false,"b":{}}}`, []string{`{"b":1}`, `{}`, `null`}, []string{`{"a":1}`}},
		"properties":    {`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"}},"required":["b"]}`, []string{`{"a":1,"b":true}`, `{"b":false}`, "{\n  \"a\": 1, \"b\": true\n}"}, []string{`{"b":true,"a":1}`, `{"a":1}`, `{}`, `{"b":true,"c":1}`}},
		"additional":    {`{"type":"object","properties":{"ab":{"type":"integer"}},"additionalProperties":{"type":"string"}}`, []string{`{"ab":1,"a":"x","abc":"y"}`, `{"a\"b":""}`, `{}`}, []string{`{"ab":"x"}`, `{"a":1}`, `{"a":"x","ab":"x"}`}},
		"required only": {`{"type":"object","required":["x"]}`, []string{`{"x":[]}`}, []string{`{}`}},
		"map":           {`{"type":"object","additionalProperties":{"type":"integer"},"maxProperties":2}`, []string{`{}`, `{"a":1,"b":2}`}, []string{`{"a":1,"b":2,"c":3}`}},
		"min properties": {`{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"minProperties":2,"additionalProperties":false}`,
			[]string{`{"a":null,"c":null}`, `{"a":null,"b":null,"c":null}`}, []string{`{"b":null}`, `{}`}},
		"integers":      {`{"type":"integer","minimum":-7,"maximum":1205}`, []string{`-7`, `0`, `9`, `1205`, `1199`}, []string{`-8`, `1206`, `1300`, `01`, `1.0`, `-`}},
		"exclusive":     {`{"type":"integer","exclusiveMinimum":10,"exclusiveMaximum":13}`, []string{`11`, `12`}, []string{`10`, `13`, `1`}},
		"int64":         {`{"type":"integer"}`, []string{`9223372036854775807`, `-9223372036854775808`}, []string{`9223372036854775808`, `1e2`}},
		"multiple":      {`{"type":"integer","multipleOf":12,"minimum":0,"maximum":100}`, []string{`0`, `12`, `96`}, []string{`10`, `108`, `6`}},
		"cents":         {`{"type":"number","multipleOf":0.05,"minimum":0.1,"maximum":2}`, []string{`0.1`, `0.15`, `1.95`, `2`, `2.00`, `0.10`}, []string{`0.05`, `0.11`, `2.05`, `0.101`}},
		"numbers":       {`{"type":"number","minimum":-0.5,"exclusiveMaximum":12.25}`, []string{`-0.5`, `-0.25`, `0`, `12.24`, `12`, `3.14`}, []string{`-0.51`, `12.25`, `12.3`, `13`, `1e1`}},
		"lengths":       {`{"type":"string","minLength":2,"maxLength":3}`, []string{`"ab"`, `"\u00e9é😀"`, `"\ud83d\ude00\n"`}, []string{`"a"`, `"abcd"`, `"\ud83d"`, "\"a\nb\""}},
		"pattern":       {`{"type":"string","pattern":"^[A-Z\"]{2}-\\d+$"}`, []string{`"AB-1"`, `"A\"-22"`}, []string{`"A-1"`, `"AB-"`, `"xAB-1"`}},
		"searched":      {`{"type":"string","pattern":"b+c","maxLength":4}`, []string{`"bc"`, `"abcd"`, `"xbbc"`}, []string{`"ab"`, `"abcde"`}},
		"one end":       {`{"type":"string","pattern":"^ab|yz$"}`, []string{`"abq"`, `"qyz"`}, []string{`"qab"`, `"yzq"`}},
		"date":          {`{"type":"string","format":"date"}`, []string{`"2024-02-29"`, `"2026-11-30"`, `"2000-02-29"`}, []string{`"2023-02-29"`, `"2026-11-31"`, `"1900-02-29"`}},
		"types":         {`{"type":["integer","null"],"minimum":5}`, []string{`5`, `null`}, []string{`4`, `"5"`}},
		"enum":          {`{"enum":["a\"b",1,null,{"k":[true]}]}`, []string{`"a\"b"`, `1`, `null`, `{"k":[true]}`, `{"k": [true]}`}, []string{`"a"`, `2`}},
		"enum and type": {`{"type":"string","enum":["a",1,"toolong"],"maxLength":3}`, []string{`"a"`}, []string{`1`, `"toolong"`}},
		"const":         {`{"const":-1.50}`, []string{`-1.50`}, []string{`1`}},
		"array":         {`{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3}`, []string{`[1]`, `[1,2,3]`, `[1, 2]`}, []string{`[]`, `[1,2,3,4]`, `["a"]`}},
		"open array":    {`{"type":"array","items":{"type":"boolean"},"minItems":2}`, []string{`[true,true]`, `[true,false,true,true]`}, []string{`[true]`}},
		"tuple":         {`{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false}`, []string{`[]`, `[1]`, `[1,"a"]`}, []string{`["a"]`, `[1,"a",2]`}},
		"old tuple":     {`{"type":"array","items":[{"type":"integer"}],"additionalItems":{"type":"null"}}`, []string{`[1,null]`, `[]`}, []string{`[1,1]`}},
		"any of":        {`{"anyOf":[{"type":"string"},{"type":"integer","maximum":9}],"minimum":3}`, []string{`"x"`, `3`, `9`}, []string{`2`, `10`, `null`}},
		"one of":        {`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"n":{"type":"integer"}},"required":["k","n"]},{"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]}`, []string{`{"k":"a","n":1}`, `{"k":"b"}`}, []string{`{"k":"a"}`, `{"k":"c"}`}},
		"all of":        {`{"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":2}},"required":["a"]},{"properties":{"a":{"maximum":3},"b":{"type":"null"}}}]}`, []string{`{"a":2}`, `{"a":3,"b":null}`}, []string{`{"a":4}`, `{"b":null}`}},
		"recursion":     {`{"$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},"kids":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["v"]}},"$ref":"#/$defs/t"}`, []string{`{"v":1,"kids":[{"v":2,"kids":[]},{"v":3}]}`}, []string{`{"v":1,"kids":[{}]}`}},
		"ref beside":    {`{"definitions":{"s":{"type":"string","minLength":1}},"$ref":"#/definitions/s","maxLength":2}`, []string{`"a"`, `"ab"`}, []string{`""`, `"abc"`}},
		"escaped ref":   {`{"$defs":{"a/b~c":{"type":"null"}},"$ref":"#/$defs/a~1b~0c"}`, []string{`null`}, []string{`1`}},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, func() (*Grammar, error) { return Schema([]byte(tc.schema)) }, tc.yes, tc.no)
		})
	}
}

func TestSchema_RefusesWhatItCannotEnforce(t *testing.T) {
	for schema, want := range map[string]string{
		`{"properties":{"a":{"not":{"type":"null"}}}}`:                       "at #/properties/a: the keyword not",
		`{"patternProperties":{"^a":{}}}`:                                    "patternProperties",
		`{"type":"array","uniqueItems":true}`:                                "uniqueItems",
		`{"type":"string","format":"color"}`:                                 `the format "color"`,
		`{"$ref":"#"}`:                                                       "circle",
		`{"$ref":"other.json"}`:                                              "outside",
		`{"$ref":"#/$defs/x"}`:                                               "nowhere",
		`{"anyOf":[{"$ref":"#"},{"type":"null"}]}`:                           "circle",
		`{"oneOf":[{"type":"string"},{"type":"string","maxLength":3}]}`:      "oneOf",
		`{"type":"strnig"}`:                                                  "no type",
		`{"type":"string","pattern":"(?=a)"}`:                                "pattern",
		`{"type":"string","pattern":"a\\b"}`:                                 "pattern",
		`{"type":"integer","minimum":"3"}`:                                   "minimum",
		`{"type":"string","maxLength":-1}`:                                   "maxLength",
		`{"type":"string","maxLength":99999999}`:                             "too large",
		`{"type":"integer","minimum":3,"maximum":2}`:                         "no text can match",
		`{"type":"object","properties":{"a":false},"required":["a"]}`:        "no text can match",
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`: "no text can match",
		`{"type":"integer","minimum":1e999999999}`:                           "too large",
		`{"type":"string","pattern":"(a|b)*a(a|b){20}$"}`:                    "too many states",
		`[]`:                         "a schema is an object",
		`{"type":"object"} x`:        "",
		`{"type":"a","type":"b"}`:    "twice",
		strings.Repeat(`{"a":`, 400): "nested deeper",
	} {
		_, err := Schema([]byte(schema))
		var refused *SchemaError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: error %v, want %q in it", schema, err, want)
		}
	}
}

// schemaMaker makes schemas with a function that makes instances of each.
type schemaMaker struct{ *rand.Rand }

func (r schemaMaker) make(depth int) (schema string, instance func() string) {
	n := 14
	if depth <= 0 {
		n = 6
	}
	switch r.IntN(n) {
	case 0:
		lo := r.IntN(2000) - 1000
		hi := lo + r.IntN(3000)
		return fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, lo, hi), func() string { return fmt.Sprint(lo + r.IntN(hi-lo+1)) }
	case 1:
		lo, hi := r.IntN(4), 4+r.IntN(10)
		return fmt.Sprintf(`{"type":"string","minLength":%d,"maxLength":%d}`, lo, hi), func() string {
			var s []rune
			for range lo + r.IntN(hi-lo+1) {
				s = append(s, []rune("ab \"\\\né€😀\u0001/")[r.IntN(11)])
			}
			return quote(string(s))
		}
	case 2:
		return []string{`{"type":"boolean"}`, `{"enum":[true,false]}`}[r.IntN(2)], func() string { return fmt.Sprint(r.IntN(2) == 0) }
	case 3:
		words := []string{"red", "gr\"een", "blüe"}
		return fmt.Sprintf(`{"type":"string","enum":[%s,%s,%s]}`, quote(words[0]), quote(words[1]), quote(words[2])), func() string { return quote(words[r.IntN(3)]) }
	case 4:
		switch r.IntN(7) {
		case 4:
			return `{"type":"string","format":"ipv6"}`, func() string { return []string{`"::1"`, `"1:2::3"`, `"1:2:3:4:5:6:7:8"`, `"::"`}[r.IntN(4)] }
		case 5:
			return `{"type":"string","format":"uri"}`, func() string { return `"https://example.org:8080/a%20b?q=1#top"` }
		case 0:
			return `{"type":"string","format":"date"}`, func() string { return fmt.Sprintf(`"%04d-%02d-%02d"`, r.IntN(9999), 1+r.IntN(12), 1+r.IntN(28)) }
		case 1:
			return `{"type":"string","format":"uuid"}`, func() string { return `"123e4567-e89b-12d3-a456-426614174000"` }
		case 2:
			return `{"type":"string","pattern":"^[A-Z]{2,4}-[0-9]+$","maxLength":9}`, func() string { return fmt.Sprintf(`"ABC-%d"`, r.IntN(1000)) }
		case 3:
			return `{"type":"string","format":"ipv4"}`, func() string { return fmt.Sprintf(`"%d.%d.0.255"`, r.IntN(256), r.IntN(256)) }
		}
		return `{"type":"string","format":"email"}`, func() string { return `"a.b@example.org"` }
	case 5:
		lo := float64(r.IntN(200)-100) / 8
		return fmt.Sprintf(`{"type":["number","null"],"minimum":%g,"exclusiveMaximum":%g}`, lo, lo+7.5), func() string {
			if r.IntN(4) == 0 {
				return "null"
			}
			return fmt.Sprintf("%.3f", lo+r.Float64()*7.4)
		}
	case 6:
		item, one := r.make(depth - 1)
		lo, hi := r.IntN(2), 2+r.IntN(3)
		return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, item, lo, hi), func() string {
			var list []string
			for range lo + r.IntN(hi-lo+1) {
				list = append(list, one())
			}
			return "[" + strings.Join(list, ",") + "]"
		}
	case 7:
		a, x := r.make(depth - 1)
		b, y := r.make(depth - 1)
		return fmt.Sprintf(`{"anyOf":[%s,%s]}`, a, b), func() string {
			if r.IntN(2) == 0 {
				return x()
			}
			return y()
		}
	case 8: // one of two, told apart by a constant
		a, x := r.make(depth - 1)
		b, y := r.make(depth - 1)
		return fmt.Sprintf(`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"v":%s},"required":["kind","v"]},{"type":"object","properties":{"kind":{"const":"b"},"v":%s},"required":["kind","v"]}]}`, a, b), func() string {
			if r.IntN(2) == 0 {
				return `{"kind":"a","v":` + x() + "}"
			}
			return `{"kind":"b", "v":` + y() + "}"
		}
	case 9:
		a, x := r.make(depth - 1)
		b, y := r.make(depth - 1)
		return fmt.Sprintf(`{"type":"array","prefixItems":[%s,%s],"items":false,"minItems":1}`, a, b), func() string {
			if r.IntN(2) == 0 {
				return "[" + x() + "]"
			}
			return "[" + x() + ", " + y() + "]"
		}
	case 10:
		item, one := r.make(depth - 1)
		return fmt.Sprintf(`{"type":"object","additionalProperties":%s,"maxProperties":3}`, item), func() string {
			var list []string
			for i := range r.IntN(3) {
				list = append(list, fmt.Sprintf(`"k%d":%s`, i, one()))
			}
			return "{" + strings.Join(list, ",") + "}"
		}
	case 11: // a list of itself, in a resource of its own
		item, one := r.make(depth - 1)
		return fmt.Sprintf(`{"$id":"list%d","$defs":{"node":{"$anchor":"node","type":"object","properties":{"v":%s,"next":{"anyOf":[{"type":"null"},{"$ref":"%s"}]}},"required":["v","next"]}},"$ref":"#/$defs/node"}`,
				r.Uint32(), item, []string{"#/$defs/node", "#node"}[r.IntN(2)]), func() string {
				text := "null"
				for range 1 + r.IntN(3) {
					text = `{"v":` + one() + `,"next":` + text + "}"
				}
				return text
			}
	case 12:
		a, x := r.make(depth - 1)
		b, y := r.make(depth - 1)
		return fmt.Sprintf(`{"type":"object","allOf":[{"properties":{"a":%s},"required":["a"]},{"properties":{"b":%s}}],"unevaluatedProperties":false}`, a, b), func() string {
			if r.IntN(2) == 0 {
				return `{"a":` + x() + "}"
			}
			return `{"a":` + x() + `,"b":` + y() + "}"
		}
	}
	var props, required []string
	var members []func() string
	for i := range 1 + r.IntN(4) {
		name := fmt.Sprintf("k%d", i)
		schema, one := r.make(depth - 1)
		props = append(props, quote(name)+":"+schema)
		optional := r.IntN(2) == 0
		if !optional {
			required = append(required, quote(name))
		}
		members = append(members, func() string {
			if optional && r.IntN(2) == 0 {
				return ""
			}
			return quote(name) + ":" + one()
		})
	}
	return fmt.Sprintf(`{"type":"object","properties":{%s},"required":[%s],"additionalProperties":false}`, strings.Join(props, ","), strings.Join(required, ",")), func() string {
		var list []string
		for _, m := range members {
			if s := m(); s != "" {
				list = append(list, s)
			}
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
}

// validator is an implementation of JSON Schema that knows nothing of ours.
func validator(t *testing.T, schema string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, schema, text string) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("schema %s\ntext %q\n%v", schema, text, err)
	}
}

// walk follows random tokens of the masks to the end of a text. After some tokens it takes the shortest way it knows:
// tokens that close things.
func walk(t *testing.T, r *rand.Rand, p *Program) string {
	t.Helper()
	m, err := p.NewMatcher()
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	mask := make([]uint32, (testVocabulary.size+31)/32)
	for n := 0; !m.Complete(); n++ {
		if err := m.Mask(mask); err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		var ids, closing []int32
		for id := range int32(testVocabulary.size) {
			if mask[id/32]>>(id%32)&1 == 1 {
				ids = append(ids, id)
				if b := testVocabulary.tokens[id]; len(b) == 1 && strings.ContainsRune(`"]}`, rune(b[0])) || b == nil {
					closing = append(closing, id)
				}
			}
		}
		id := ids[r.IntN(len(ids))]
		if n > 60 && len(closing) > 0 && n%8 != 0 { // a pattern may ask for something before the end
			id = closing[r.IntN(len(closing))]
		}
		if id == int32(testVocabulary.size-1) {
			break
		}
		if err := m.Accept(id); err != nil {
			t.Fatalf("after %q the mask allows %q: %v", text, testVocabulary.tokens[id], err)
		}
		text = append(text, testVocabulary.tokens[id]...)
		if n > 5000 {
			t.Fatalf("no end: %q", text[:200])
		}
	}
	return string(text)
}

func TestSchema_EveryWalkIsValidAndEveryInstanceIsAccepted(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	for range 300 {
		schema, instance := schemaMaker{r}.make(3)
		g, err := Schema([]byte(schema))
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		p, s := NewProgram(g, testVocabulary), validator(t, schema)
		for range 3 {
			validate(t, s, schema, walk(t, r, p))
			text := instance()
			validate(t, s, schema, text)
			if !matches(t, g, text) {
				t.Errorf("schema %s\ndoes not accept %s", schema, text)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func TestSchema_WalksOfOpenSchemasAreValid(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for _, schema := range []string{
		`{}`, `{"type":"object"}`, `{"type":"array"}`, `{"type":"number"}`, `{"type":"number","minimum":0.001}`, `{"type":"number","maximum":-1e3}`,
		`{"type":"object","additionalProperties":{"type":"integer"},"properties":{"a":{"type":"null"}},"required":["a"]}`,
		`{"type":"string","format":"date-time"}`, `{"type":"string","format":"time"}`, `{"type":"string","format":"duration"}`,
		`{"type":"string","format":"hostname"}`, `{"type":"string","format":"ipv6"}`, `{"type":"string","format":"uri"}`, `{"type":"string","format":"email"}`,
		`{"type":"integer","multipleOf":7,"exclusiveMaximum":0}`, `{"type":"number","multipleOf":0.25}`,
		`{"type":"string","pattern":"^a.c","minLength":5}`,
		`{"type":"object","minProperties":1}`, `{"type":"object","properties":{"a":{},"b":{}},"minProperties":1,"maxProperties":1,"additionalProperties":true}`,
	} {
		g, err := Schema([]byte(schema))
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		p, s := NewProgram(g, testVocabulary), validator(t, schema)
		for range 40 {
			validate(t, s, schema, walk(t, r, p))
		}
	}
}

func TestJSON_WalksAreJSONObjects(t *testing.T) {
	g, err := JSON(false)
	if err != nil {
		t.Fatal(err)
	}
	r, p := rand.New(rand.NewPCG(1, 2)), NewProgram(g, testVocabulary)
	for range 200 {
		var v map[string]any
		if text := walk(t, r, p); json.Unmarshal([]byte(text), &v) != nil {
			t.Errorf("%q is no object", text)
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"required":["a"],"$defs":{"x":{"type":"integer","minimum":1.5}}}`)
	f.Add(`{"anyOf":[{"type":"string","pattern":"^a+$","maxLength":3},{"type":"array","prefixItems":[{}],"items":{"enum":[1,"a"]}}]}`)
	f.Add(`{"oneOf":[{"const":1},{"type":"null"}],"allOf":[{"type":["integer","null"]}]}`)
	f.Fuzz(func(t *testing.T, schema string) {
		walkFuzz(t, func() (*Grammar, error) { return Schema([]byte(schema)) })
	})
}
