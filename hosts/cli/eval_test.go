package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEvalRetrieval_ComparesTwoWays(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	cfg := filepath.Join(dir, "ledge.yaml")
	for name, text := range map[string]string{
		"ledge.yaml": "admin: 127.0.0.1:1\n",
		"pump.txt":   "The pump is greased every forty hours. Its valve is not.\n",
		"leave.txt":  "Leave is asked for two weeks ahead. The office is closed at Christmas.\n",
		"questions.jsonl": `{"query": "When is the pump greased?", "relevant": ["pump.txt"], "excerpts": [{"document": "pump.txt", "start": 0, "end": 38}], "as": {"clearance": "internal"}}` + "\n\n" +
			`{"query": "How do I ask for leave?", "relevant": {"leave.txt": 2}, "as": {"clearance": "internal"}}` + "\n" +
			`{"query": "When is the pump greased?", "relevant": ["pump.txt"]}` + "\n",
		"broken.jsonl": `{"query": "x"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		status := Main(append(args, "-c", cfg, "--data", data), strings.NewReader(""), &out, &errs)
		return status, out.String(), errs.String()
	}
	for _, name := range []string{"pump.txt", "leave.txt"} {
		if status, _, errs := run("docs", "add", filepath.Join(dir, name), "--as", name); status != 0 {
			t.Fatal(errs)
		}
	}
	status, out, errs := run("eval", "retrieval", filepath.Join(dir, "questions.jsonl"), "--with", "mode=hybrid,mmr=1", "--against", "mode=bm25,floor=1", "--json")
	var got struct {
		Results []struct {
			Questions int
			Recall    float64 `json:"recall_at_k"`
			NDCG      float64 `json:"ndcg_at_10"`
			MRR       float64
			Precision float64 `json:"span_precision"`
		}
		Differences []struct{ Noise bool }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 || len(got.Results) != 2 || len(got.Differences) != 3 {
		t.Fatalf("%d, %v, %s%s", status, err, out, errs)
	}
	// The third question has no clearance, and the documents are internal: it finds nothing.
	if r := got.Results[0]; r.Questions != 3 || r.Recall < 0.66 || r.Recall > 0.67 || r.MRR < 0.66 || r.NDCG < 0.66 || r.Precision < 0.5 {
		t.Errorf("%+v", r)
	}
	if !got.Differences[0].Noise {
		t.Error("three questions make a difference")
	}
	if status, _, errs := run("eval", "retrieval", filepath.Join(dir, "broken.jsonl")); status != 1 || !strings.Contains(errs, "line 1") {
		t.Errorf("%d, %s", status, errs)
	}
	if status, _, _ := run("eval", "retrieval", filepath.Join(dir, "questions.jsonl"), "--with", "magic=1"); status != 2 {
		t.Errorf("%d", status)
	}
}
