package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func withEncoders(t *testing.T) options {
	files := map[string]string{}
	for _, a := range slmtest.Architectures() {
		if a.Name == "bert-mean" || a.Name == "bert-rank" {
			files[a.Name] = writeFile(t, a.Name+".gguf", func(w io.Writer) error { return a.WriteWithWords(w) })
		}
	}
	return func(c *config.Config) {
		c.EmbeddingModel = config.Encoder{File: files["bert-mean"], ID: "words"}
		c.RerankModel = config.Encoder{File: files["bert-rank"]}
	}
}

// post sends a body and decodes the answer, of whatever status.
func post[T any](t *testing.T, url, body string) (status int, header http.Header, out T, e struct {
	Error struct{ Message, Type, Param, Code string }
}) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	to := any(&out)
	if res.StatusCode != http.StatusOK {
		to = &e
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return res.StatusCode, res.Header, out, e
}

type vectors struct {
	Object string
	Model  string
	Data   []struct {
		Object    string
		Index     int
		Embedding json.RawMessage
	}
	Usage openai.EmbeddingUsage
}

func (v *vectors) floats(t *testing.T, i int) (out []float32) {
	t.Helper()
	if err := json.Unmarshal(v.Data[i].Embedding, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

func TestEmbeddings_AllForms(t *testing.T) {
	a := open(t, dataDir(t), withEncoders(t))
	url := a.api.URL + "/v1/embeddings"
	_, header, one, _ := post[vectors](t, url, `{"model":"words","input":"the quick fox"}`)
	want := one.floats(t, 0)
	if one.Object != "list" || one.Model != "words" || one.Data[0].Object != "embedding" || one.Usage.PromptTokens != 5 || one.Usage.TotalTokens != 5 || len(want) != 64 || math.Abs(norm(want)-1) > 1e-5 {
		t.Errorf("%+v, norm %g", one, norm(want))
	}
	if header.Get("X-Ledge-Model") != "words" || header.Get("X-Ledge-Route") != "none" || header.Get("X-Ledge-Request-Id") == "" {
		t.Errorf("headers %v", header)
	}
	e, err := engine.Open(a.cfg.EmbeddingModel.File, engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ids, err := json.Marshal(e.EmbedTokens("the quick fox", false))
	if err != nil {
		t.Fatal(err)
	}
	_, _, many, _ := post[vectors](t, url, `{"model":"words","input":["a cat","the quick fox"]}`)
	if len(many.Data) != 2 || many.Data[1].Index != 1 || !slices.Equal(many.floats(t, 1), want) {
		t.Errorf("%d vectors", len(many.Data))
	}
	for form, input := range map[string]string{"token ids": string(ids), "a list of token ids": "[" + string(ids) + "]"} {
		if _, _, got, e := post[vectors](t, url, `{"model":"words","input":`+input+`}`); len(got.Data) != 1 || !slices.Equal(got.floats(t, 0), want) {
			t.Errorf("%s: other values than the text has: %+v", form, e)
		}
	}
	_, _, coded, _ := post[vectors](t, url, `{"model":"words","input":"the quick fox","encoding_format":"base64"}`)
	var text string
	if err := json.Unmarshal(coded.Data[0].Embedding, &text); err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	got := make([]float32, len(b)/4)
	if err != nil || binary.Read(bytes.NewReader(b), binary.LittleEndian, got) != nil || !slices.Equal(got, want) {
		t.Errorf("base64: %v", err)
	}
	_, _, short, _ := post[vectors](t, url, `{"model":"words","input":"the quick fox","dimensions":16}`)
	v := short.floats(t, 0)
	if len(v) != 16 || math.Abs(norm(v)-1) > 1e-5 || math.Abs(float64(v[3])*norm(want[:16])-float64(want[3])) > 1e-6 {
		t.Errorf("16 dimensions: %v", v)
	}
	if trace := a.trace(reply{header: header}); trace.Endpoint != "embedding" || trace.Status != 200 || trace.Usage.PromptTokens != 5 {
		t.Errorf("trace %+v", trace)
	}
}

func TestEmbeddings_RefusesWhatIsWrong(t *testing.T) {
	a := open(t, dataDir(t), withEncoders(t))
	for name, tc := range map[string]struct {
		body        string
		status      int
		param, code string
	}{
		"no input":           {`{"model":"words"}`, 400, "input", "missing_required_parameter"},
		"an empty list":      {`{"model":"words","input":[]}`, 400, "input", "missing_required_parameter"},
		"an empty text":      {`{"model":"words","input":["fox",""]}`, 400, "input", "invalid_value"},
		"an object":          {`{"model":"words","input":{}}`, 400, "input", "invalid_value"},
		"a number in a list": {`{"model":"words","input":["fox",1]}`, 400, "input", "invalid_value"},
		"a negative token":   {`{"model":"words","input":[-1]}`, 400, "input", "invalid_value"},
		"a token too large":  {`{"model":"words","input":[96]}`, 400, "input", "invalid_value"},
		"too many texts":     {`{"model":"words","input":["a"` + strings.Repeat(`,"a"`, 2048) + `]}`, 400, "input", "array_above_max_length"},
		"too long a text":    {`{"model":"words","input":"` + strings.Repeat("fox ", 63) + `"}`, 400, "input", "context_length_exceeded"},
		"a format":           {`{"model":"words","input":"a","encoding_format":"hex"}`, 400, "encoding_format", "invalid_value"},
		"no dimensions":      {`{"model":"words","input":"a","dimensions":0}`, 400, "dimensions", "invalid_value"},
		"more dimensions":    {`{"model":"words","input":"a","dimensions":65}`, 400, "dimensions", "invalid_value"},
		"another model":      {`{"model":"text-embedding-3-small","input":"a"}`, 404, "model", "model_not_found"},
		"no JSON":            {`{`, 400, "", "invalid_json"},
	} {
		status, _, _, e := post[vectors](t, a.api.URL+"/v1/embeddings", tc.body)
		if status != tc.status || e.Error.Param != tc.param || e.Error.Code != tc.code || e.Error.Type != "invalid_request_error" || e.Error.Message == "" {
			t.Errorf("%s: %d %+v", name, status, e.Error)
		}
	}
	none := open(t, dataDir(t))
	for _, path := range []string{"/v1/embeddings", "/v1/rerank"} {
		if status, _, _, e := post[vectors](t, none.api.URL+path, `{"model":"x","input":"a","query":"a","documents":["b"]}`); status != 404 || !strings.Contains(e.Error.Message, "_model.file") {
			t.Errorf("without a model: %d %+v", status, e.Error)
		}
	}
	if none.rt.Embedder() != nil {
		t.Error("an embedder without a model")
	}
}

func TestRerank_OrdersDocuments(t *testing.T) {
	a := open(t, dataDir(t), withEncoders(t))
	url := a.api.URL + "/v1/rerank"
	_, _, all, e := post[openai.RerankResponse](t, url, `{"model":"bert-rank","query":"quick fox","documents":["a house","the fox runs",{"text":"green tree"}],"return_documents":true}`)
	if len(all.Results) != 3 || all.Usage.TotalTokens == 0 || all.Model != "bert-rank" {
		t.Fatalf("%+v %+v", all, e)
	}
	documents := []string{"a house", "the fox runs", "green tree"}
	for i, r := range all.Results {
		if r.RelevanceScore <= 0 || r.RelevanceScore >= 1 || r.Document == nil || r.Document.Text != documents[r.Index] || i > 0 && r.RelevanceScore > all.Results[i-1].RelevanceScore {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	_, _, top, _ := post[openai.RerankResponse](t, url, `{"query":"quick fox","documents":["a house","the fox runs","green tree"],"top_n":1,"raw_scores":true}`)
	if len(top.Results) != 1 || top.Results[0].Index != all.Results[0].Index || top.Results[0].Document != nil {
		t.Errorf("%+v", top)
	}
	if raw := top.Results[0].RelevanceScore; math.Abs(1/(1+math.Exp(-raw))-all.Results[0].RelevanceScore) > 1e-9 {
		t.Errorf("raw score %g", raw)
	}
	for name, body := range map[string]string{
		"no query":     `{"documents":["a"]}`,
		"no documents": `{"query":"a","documents":[]}`,
		"a number":     `{"query":"a","documents":[1]}`,
		"no text":      `{"query":"a","documents":[{}]}`,
		"top_n":        `{"query":"a","documents":["b"],"top_n":0}`,
		"a long query": `{"query":"` + strings.Repeat("fox ", 40) + `","documents":["b"]}`,
	} {
		if status, _, _, e := post[openai.RerankResponse](t, url, body); status != 400 || e.Error.Code == "" {
			t.Errorf("%s: %d %+v", name, status, e.Error)
		}
	}
}
