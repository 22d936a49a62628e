package edge

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/openai"
)

// ollamaModel is a model, or a route, as Ollama lists models.
type ollamaModel struct {
	Name       string        `json:"name"`
	Model      string        `json:"model"`
	ModifiedAt time.Time     `json:"modified_at,omitzero"`
	ExpiresAt  time.Time     `json:"expires_at,omitzero"`
	Size       int64         `json:"size"`
	SizeVRAM   *int64        `json:"size_vram,omitempty"`
	Digest     string        `json:"digest"`
	Details    ollamaDetails `json:"details"`
}

type ollamaDetails struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

// ollamaName is the name of a model as this appliance knows it: Ollama's clients put a tag behind.
func (s *Server) ollamaName(r *http.Request, name string) string {
	bare, ok := strings.CutSuffix(name, ":latest")
	if !ok {
		return name
	}
	for _, m := range s.Runtime.Models(s.identity(r)) {
		if m.ID == name {
			return name
		}
	}
	return bare
}

// ollamaTags answers GET /api/tags.
func (s *Server) ollamaTags(w http.ResponseWriter, r *http.Request) {
	local := s.localByName()
	out := []ollamaModel{}
	for _, m := range s.Runtime.Models(s.identity(r)) {
		out = append(out, ollamaModelOf(m.ID, time.Unix(m.Created, 0).UTC(), local[m.ID]))
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": out})
}

// ollamaLoaded answers GET /api/ps.
func (s *Server) ollamaLoaded(w http.ResponseWriter, r *http.Request) {
	who := s.identity(r)
	out := []ollamaModel{}
	for _, m := range s.Runtime.LocalModels() {
		if m.State != "loaded" || !who.MayName(m.Name) {
			continue
		}
		o := ollamaModelOf(m.Name, time.Time{}, &m)
		o.SizeVRAM, o.ExpiresAt = new(int64), time.Now().UTC().Add(24*time.Hour) // it goes when another needs its room
		out = append(out, o)
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": out})
}

// ollamaShow answers POST /api/show.
func (s *Server) ollamaShow(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Model string `json:"model"`
		Name  string `json:"name"` // of older clients
	}
	if _, err := s.body(w, r, &q); err != nil {
		writeError(w, err)
		return
	}
	if q.Model == "" {
		q.Model = q.Name
	}
	name := s.ollamaName(r, q.Model)
	for _, m := range s.Runtime.Models(s.identity(r)) {
		if m.ID != name {
			continue
		}
		local := s.localByName()[name]
		info := map[string]any{}
		capabilities := []string{"completion", "tools"}
		if local != nil {
			i := local.Info
			info = map[string]any{"general.architecture": i.Architecture, "general.parameter_count": i.Parameters,
				i.Architecture + ".context_length": i.TrainedTokens, i.Architecture + ".embedding_length": i.Embedding, i.Architecture + ".block_count": i.Layers}
		}
		if m.OwnedBy == "ledge" && local == nil {
			capabilities = []string{"embedding"}
		}
		writeJSON(w, http.StatusOK, map[string]any{"modelfile": "", "parameters": "", "template": "", "modified_at": time.Unix(m.Created, 0).UTC(),
			"details": ollamaModelOf(name, time.Time{}, local).Details, "model_info": info, "capabilities": capabilities})
		return
	}
	writeError(w, &openai.Error{Status: http.StatusNotFound, Code: "model_not_found", Message: fmt.Sprintf("model '%s' not found", q.Model)})
}

func (s *Server) localByName() map[string]*runtime.LocalModel {
	out := map[string]*runtime.LocalModel{}
	for _, m := range s.Runtime.LocalModels() {
		out[m.Name] = &m
	}
	return out
}

// ollamaModelOf describes a model; local is nil for what is no model on this device.
func ollamaModelOf(name string, modified time.Time, local *runtime.LocalModel) ollamaModel {
	out := ollamaModel{Name: name, Model: name, ModifiedAt: modified, Details: ollamaDetails{Families: []string{}}}
	if local == nil {
		return out
	}
	i := &local.Info
	out.Size = i.FileBytes
	out.Details = ollamaDetails{Format: "gguf", Family: i.Architecture, Families: []string{i.Architecture}, ParameterSize: parameterSize(i.Parameters)}
	most := 0
	for t, n := range i.Types {
		if t != "F32" && (n > most || n == most && t < out.Details.QuantizationLevel) || most == 0 {
			most, out.Details.QuantizationLevel = n, t
		}
	}
	return out
}

// parameterSize writes a count as model names do: 494.03M, 1.2B.
func parameterSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2fK", float64(n)/1e3)
}

// ollamaEmbed answers POST /api/embed, and /api/embeddings of older clients, which holds one prompt.
func (s *Server) ollamaEmbed(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	var q struct {
		Model      string                `json:"model"`
		Input      openai.EmbeddingInput `json:"input"`
		Prompt     string                `json:"prompt"`
		Dimensions *int                  `json:"dimensions"`
	}
	_, err := s.body(w, r, &q)
	id := s.beginDirect(w, r)
	if err != nil {
		writeError(w, s.Runtime.Malformed(r.Context(), id, s.identity(r), "embedding", err))
		return
	}
	one := strings.HasSuffix(r.URL.Path, "/embeddings")
	if one {
		q.Input = openai.EmbeddingInput{{Text: q.Prompt}}
	}
	out, err := s.Runtime.Embeddings(r.Context(), id, s.identity(r), &openai.EmbeddingRequest{Model: s.ollamaName(r, q.Model), Input: q.Input, Dimensions: q.Dimensions})
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("X-Ledge-Model", out.Model)
	vectors := make([]any, len(out.Data))
	for i, d := range out.Data {
		vectors[i] = d.Embedding
	}
	if one {
		writeJSON(w, http.StatusOK, map[string]any{"embedding": vectors[0]})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"model": out.Model, "embeddings": vectors, "total_duration": time.Since(begun).Nanoseconds(),
		"load_duration": 0, "prompt_eval_count": out.Usage.PromptTokens})
}
