//go:build wasip1

package sdk

import (
	"encoding/json"
	"errors"
)

// A plugin that calls what is below asks for it: capabilities: [slm], [search] in plugin.yaml.

//go:wasmimport extism:host/user ledge_kv_cas
func kvCAS(key, old, value, ttlSeconds uint64) uint64

//go:wasmimport extism:host/user ledge_slm_complete
func slmComplete(request uint64) uint64

//go:wasmimport extism:host/user ledge_slm_embed
func slmEmbed(request uint64) uint64

//go:wasmimport extism:host/user ledge_search_query
func searchQuery(request uint64) uint64

// KVCompareAndSet stores a value if old is what is stored now, and says whether it was. An empty old stands for none.
// It fails like [KVSet].
func KVCompareAndSet(key string, old, value []byte, ttlSeconds int) (bool, error) {
	k, o, v := newBlock([]byte(key)), newBlock(old), newBlock(value)
	defer k.free()
	defer o.free()
	defer v.free()
	switch kvCAS(uint64(k), uint64(o), uint64(v), uint64(max(ttlSeconds, 0))) {
	case 0:
		return true, nil
	case 1:
		return false, ErrQuota
	case 2:
		return false, ErrTooLarge
	case 4:
		return false, nil
	}
	return false, ErrKV
}

// CompleteRequest asks a model on the device. Give either Prompt or Messages.
type CompleteRequest struct {
	Model       string            `json:"model,omitempty"` // empty: the appliance's first
	Prompt      string            `json:"prompt,omitempty"`
	Messages    []CompleteMessage `json:"messages,omitempty"`
	MaxTokens   int               `json:"max_tokens,omitempty"` // 0: 256, or what is left of the call's budget
	Temperature float64           `json:"temperature,omitempty"`
	Seed        *int64            `json:"seed,omitempty"`
	Stop        []string          `json:"stop,omitempty"`
}

// CompleteMessage is of the role system, user or assistant.
type CompleteMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// CompleteResult is the model's answer.
type CompleteResult struct {
	Text             string `json:"text"`
	FinishReason     string `json:"finish_reason"`
	Model            string `json:"model"`
	PromptTokens     int    `json:"prompt_tokens"`
	CompletionTokens int    `json:"completion_tokens"`
}

// Complete asks a model on the device. Prompt and answer count against the tokens that a call may use.
func Complete(r CompleteRequest) (out CompleteResult, err error) {
	err = ask(slmComplete, r, &out)
	return out, err
}

// Embed returns a vector of each text, by the site's model for embeddings.
func Embed(texts ...string) ([][]float32, error) {
	var out struct {
		Embeddings [][]float32 `json:"embeddings"`
	}
	in := struct {
		Input []string `json:"input"`
	}{texts}
	err := ask(slmEmbed, in, &out)
	return out.Embeddings, err
}

// Passage is a piece of a document of the site: the bytes [Start, End) of its text.
type Passage struct {
	Document string   `json:"document"`
	Chunk    string   `json:"chunk"`
	Start    int      `json:"start"`
	End      int      `json:"end"`
	Heading  []string `json:"heading"`
	Score    float64  `json:"score"`
	Text     string   `json:"text"`
}

// Search finds the k best passages among those that the caller may read, in whose request the plugin runs.
func Search(query string, k int) ([]Passage, error) {
	var out struct {
		Hits []Passage `json:"hits"`
	}
	in := struct {
		Query string `json:"query"`
		K     int    `json:"k"`
	}{query, k}
	err := ask(searchQuery, in, &out)
	return out.Hits, err
}

// ask sends a request as JSON and reads the answer, which may be {"error": "..."}.
func ask(f func(uint64) uint64, in, out any) error {
	doc, err := json.Marshal(in)
	if err != nil {
		return err
	}
	b := newBlock(doc)
	defer b.free()
	answer := block(f(uint64(b)))
	defer answer.free()
	text := answer.read()
	var refused struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(text, &refused); err != nil {
		return err
	}
	if refused.Error != "" {
		return errors.New(refused.Error)
	}
	return json.Unmarshal(text, out)
}
