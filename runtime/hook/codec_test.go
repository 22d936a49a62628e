package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

type codec interface {
	appender
	ParseJSON(b []byte) error
}

var codecs = []codec{
	&Message{}, &ToolCall{}, &Model{}, &RouteRequest{}, &RouteDecision{}, &GuardRequest{}, &Verdict{}, &Span{},
	&Document{}, &ChunkList{}, &Chunk{}, &Parent{}, &CacheRequest{}, &CachePlan{}, &ToolList{}, &Tool{}, &ToolRequest{},
	&ToolParams{}, &ToolResult{}, &ToolContent{}, &Example{},
}

// fresh returns a new zero value of c's type.
func fresh(c codec) codec { return reflect.New(reflect.TypeOf(c).Elem()).Interface().(codec) }

var someTexts = []string{
	"", "a", "plain text of some length, longer than a word", "quote \" slash \\ / tab \t nl \n nul \x00 del \x7f",
	"grüße 日本 👩‍👩‍👧 \u2028\u2029 \ufffd", "bad \xff\xc3 \xed\xa0\x80 end \xe2\x82", "<script>&amp;</script>", "\b\f\r\x1f",
	"aligned8\"aligned8\\aligned8\x01", strings.Repeat("é", 40) + "\"",
}

// fill gives every field of v a random value; every list has at least one member.
func fill(r *rand.Rand, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[Raw]():
		v.SetBytes([]byte([]string{`{"a":[1,2,{"b":null}]}`, `[]`, `"x"`, `-1.5e+3`, `true`, `null`}[r.IntN(6)]))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		n := 1 + r.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case v.Kind() == reflect.String:
		v.SetString(someTexts[r.IntN(len(someTexts))])
	case v.Kind() == reflect.Int:
		v.SetInt([]int64{0, 1, -1, 42, math.MaxInt64, math.MinInt64}[r.IntN(6)])
	case v.Kind() == reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case v.Kind() == reflect.Float64:
		v.SetFloat([]float64{0, 1, 0.5, -1e-7, 1e21, 123456.789, math.SmallestNonzeroFloat64, r.NormFloat64()}[r.IntN(8)])
	default:
		panic("a field of kind " + v.Kind().String() + " needs a case here")
	}
}

func reference(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func TestCodecs_AgreeWithEncodingJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range codecs {
		name := reflect.TypeOf(c).Elem().Name()
		t.Run(name, func(t *testing.T) {
			for range 300 {
				v := fresh(c)
				fill(r, reflect.ValueOf(v).Elem())
				ours, theirs := v.AppendJSON(nil), reference(t, v)
				if !bytes.Equal(ours, theirs) {
					t.Fatalf("written\n%s\nencoding/json\n%s", ours, theirs)
				}
				compareParse(t, c, theirs)
			}
		})
	}
}

// compareParse reads doc with both codecs and wants the same value or an error of both.
func compareParse(t *testing.T, c codec, doc []byte) {
	t.Helper()
	got, want := fresh(c), fresh(c)
	err, refErr := got.ParseJSON(doc), json.Unmarshal(doc, want)
	if (err == nil) != (refErr == nil) {
		t.Fatalf("%T of %q: error %v, encoding/json %v", c, doc, err, refErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%T of %q:\n%+v\nencoding/json\n%+v", c, doc, got, want)
	}
	var syntax *SyntaxError
	if err != nil && (!errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(doc)) {
		t.Fatalf("%T of %q: %#v is no SyntaxError with an offset inside the document", c, doc, err)
	}
}

func TestParse_AgreesWithEncodingJSONOnOddDocuments(t *testing.T) {
	for _, doc := range []string{
		``, ` `, `null`, `true`, `{}`, ` { } `, `{"text":"x"}x`, `{"text":"x"`, `{"text"`, `{"text":}`, `{,}`, `{"a":1,}`,
		`{"text":"\u00e9\ud83d\ude00"}`, `{"text":"\ud800"}`, `{"text":"\ud800\u0041"}`, `{"text":"\ud800\ud83d\ude00"}`,
		`{"text":"\udc00\ud800"}`, `{"text":"\u12"}`, `{"text":"\x"}`, `{"text":"` + "\xff\xfe" + `"}`, `{"text":"` + "\n" + `"}`,
		`{"text":"a\"b\\c\/d\b\f\n\r\t"}`, `{"text":1}`, `{"text":null}`, `{"start":1.0}`, `{"start":1e2}`, `{"start":01}`,
		`{"start":-0}`, `{"start":9223372036854775807}`, `{"start":9223372036854775808}`, `{"start":-}`, `{"start":"1"}`,
		`{"final":tru}`, `{"final":truex}`, `{"final":1}`, `{"unknown":{"a":[1,2,{"b":[]}],"c":"\ud83d\ude00"},"text":"x"}`,
		`{"unknown":[1,,2]}`, `{"unknown":+1}`, `{"unknown":1.}`, `{"unknown":.5}`, `{"unknown":1e}`, `{"unknown":1e+05}`,
		`{"confidence":1e400}`, `{"confidence":1e-400}`, `{"spans":[null,{}]}`, `{"spans":{}}`, `{"spans":[}`, `{"spans":[]}`,
		`{"messages":[{"role":"user","tool_calls":[{"id":"1"}]}]}`, `{"params":{"arguments": {"a" : 1} }}`, `{"params":null}`,
		`{"tools":["a",null,"b"]}`, `{"tools":[1]}`, `{"inputSchema":`, `{"inputSchema":nul}`, `{"t\u0065xt":"escaped name"}`, `[]`, `"x"`,
	} {
		for _, c := range codecs {
			compareParse(t, c, []byte(doc))
		}
	}
}

func TestParse_LastOfDuplicateNamesWinsWhole(t *testing.T) {
	var v Verdict
	err := v.ParseJSON([]byte(`{"verdict":"block","spans":[{"start":1,"end":2,"rule":"a"}],"verdict":"allow","spans":[{"end":5}]}`))
	if err != nil || v.Verdict != Allow || len(v.Spans) != 1 || v.Spans[0] != (Span{End: 5}) {
		t.Fatalf("%+v, %v", v, err)
	}
}

func TestParse_ReplacesWhatWasThere(t *testing.T) {
	r := GuardRequest{Text: "old", Final: true, Passages: []string{"old"}}
	if err := r.ParseJSON([]byte(`{"stage":"tool"}`)); err != nil || !reflect.DeepEqual(r, GuardRequest{Stage: "tool"}) {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestParse_RefusesDeepNesting(t *testing.T) {
	for _, doc := range []string{
		`{"x":` + strings.Repeat("[", 1<<20), `{"x":` + strings.Repeat(`{"a":`, 1<<18),
		`{"x":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`,
	} {
		var r GuardRequest
		if err := r.ParseJSON([]byte(doc)); err == nil || !strings.Contains(err.Error(), "nested too deep") {
			t.Errorf("%.20s...: %v", doc, err)
		}
	}
	var r GuardRequest
	if err := r.ParseJSON([]byte(`{"x":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestParse_ErrorsNameTheByte(t *testing.T) {
	for doc, want := range map[string]string{
		`{"text":"x" "y"}`:  "json: expected a comma or } at byte 12",
		`{"text":5}`:        "json: expected a string at byte 8",
		`{"start":1.5}`:     "json: expected an integer in range, found 1.5 at byte 9",
		`{"text":"abc`:      "json: the document ends inside a string at byte 12",
		`{"text":"a\qb"}`:   "json: unknown escape at byte 10",
		`{"text":"x"} tail`: "json: something follows the document at byte 13",
	} {
		var r GuardRequest
		if err := r.ParseJSON([]byte(doc)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", doc, err, want)
		}
	}
}

func TestAppend_WritesEmptyListsAndUnsayableNumbers(t *testing.T) {
	if got := string((&ChunkList{}).AppendJSON(nil)); got != `{"chunks":[]}` {
		t.Error(got)
	}
	if got := string((&RouteDecision{Confidence: math.NaN()}).AppendJSON(nil)); got != `{"confidence":null}` {
		t.Error(got)
	}
	if got := string((&Tool{Name: "x"}).AppendJSON([]byte("keep "))); got != `keep {"name":"x","inputSchema":null}` {
		t.Error(got)
	}
}

func TestRaw_ReadsMembers(t *testing.T) {
	raw := Raw(`{"s":"a\nb","n":-2.5,"o":{"x":[]}}`)
	got := map[string]string{}
	if err := raw.Each(func(name string, v Raw) error { got[name] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"s": `"a\nb"`, "n": "-2.5", "o": `{"x":[]}`}; !reflect.DeepEqual(got, want) {
		t.Fatalf("%v", got)
	}
	if s, err := Raw(got["s"]).Text(); s != "a\nb" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if n, err := Raw(got["n"]).Float(); n != -2.5 || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	stop := errors.New("stop")
	if err := raw.Each(func(string, Raw) error { return stop }); err != stop {
		t.Errorf("%v", err)
	}
	if err := Raw(`{"a":1`).Each(func(string, Raw) error { return nil }); err == nil {
		t.Error("a document that ends early was read")
	}
	for doc, want := range map[string]bool{`{}`: true, ` {"a":1} `: true, `[]`: false, `{`: false, `{}{}`: false, ``: false} {
		if Raw(doc).IsObject() != want {
			t.Errorf("IsObject(%q) is not %v", doc, want)
		}
	}
}

// odd says whether encoding/json is documented to read doc otherwise than this package: names that differ in case from
// a known one, names that come twice in one object (it merges), nesting beyond maxDepth.
func odd(doc []byte) bool {
	known := map[string]string{}
	for _, c := range codecs {
		ty := reflect.TypeOf(c).Elem()
		for i := range ty.NumField() {
			name, _, _ := strings.Cut(ty.Field(i).Tag.Get("json"), ",")
			known[strings.ToLower(name)] = name
		}
	}
	s := &scanner{b: doc}
	odd := false
	var walk func()
	walk = func() {
		switch s.peek() {
		case '{':
			seen := map[string]bool{}
			for more := s.open('{'); more; more = s.more('}') {
				k := s.key()
				if name, ok := known[strings.ToLower(k)]; seen[k] || ok && name != k || strings.ContainsAny(k, "\u017f\u212a") {
					odd = true
				}
				seen[k] = true
				walk()
			}
		case '[':
			for more := s.open('['); more; more = s.more(']') {
				walk()
			}
		default:
			s.skip()
		}
	}
	walk()
	return odd || s.err != nil && s.err.Msg == "nested too deep"
}

func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range codecs {
		v := fresh(c)
		fill(r, reflect.ValueOf(v).Elem())
		f.Add(v.AppendJSON(nil))
	}
	f.Add([]byte(`{"text":"\ud800\u0041","spans":[{"start":1e3}],"x":[[[]]]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if odd(doc) {
			return
		}
		for _, c := range codecs {
			compareParse(t, c, bytes.Clone(doc))
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range someTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, want := AppendString(nil, s), reference(t, s)
		if !bytes.Equal(got, want) {
			t.Fatalf("%q: %s, encoding/json %s", s, got, want)
		}
	})
}

func TestDocument_CarriesItsTextBesideTheJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		var doc, again Document
		fill(r, reflect.ValueOf(&doc).Elem())
		doc.Name, doc.MediaType, doc.Strategy, doc.Heading = "a\nb", "text/plain", "fixed", []string{"one\n", "two"} // JSON replaces what is not UTF-8
		if err := again.ParseWithText(doc.AppendWithText(nil)); err != nil || !reflect.DeepEqual(doc, again) {
			t.Fatalf("%+v became %+v, %v", doc, again, err)
		}
	}
	for _, bad := range []string{"", "{}", "{\nx", "x\n"} {
		if err := new(Document).ParseWithText([]byte(bad)); err == nil {
			t.Errorf("%q is a document", bad)
		}
	}
}

func FuzzDocument_ParseWithText(f *testing.F) {
	f.Add((&Document{Text: "a\nb", Strategy: "fixed", Tokens: []int{1, 2}}).AppendWithText(nil))
	f.Add([]byte("{\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var doc, again Document
		if doc.ParseWithText(b) != nil {
			return
		}
		if err := again.ParseWithText(doc.AppendWithText(nil)); err != nil || doc.Text != again.Text || doc.Size != again.Size {
			t.Fatalf("%+v became %+v, %v", doc, again, err)
		}
	})
}
