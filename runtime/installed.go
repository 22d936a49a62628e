package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ledge-run/ledge/runtime/modelstore"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/engine"
)

// manifestAdapter is the name under which an installed model's own adapter is loaded.
const manifestAdapter = "(own)"

// install finds the installed model that a name means, where no file of that name exists: file and options become those of
// its manifest. It returns the store, nil if the model is a file.
func (m *localModel) install(file *string, o *engine.Options, dir string) (*modelstore.Store, error) {
	if _, err := os.Stat(*file); !errors.Is(err, fs.ErrNotExist) || modelstore.CheckName(*file) != nil {
		return nil, nil
	}
	s := modelstore.New(dir)
	manifest, release, err := s.Use(*file)
	if err != nil {
		return nil, fmt.Errorf("model %s: there is no such file, and %w", *file, err)
	}
	m.manner, m.leave = manifest, release
	*file = s.Blob(manifest.Digest)
	o.Template = manifest.Template
	if n := manifest.Parameters.NumCtx; n != nil && o.MaxContext == 0 {
		o.MaxContext = *n
	}
	return s, nil
}

// settle loads the manifest's adapter. The digest becomes one of all that shapes an answer, so that nothing cached is
// used after a change of the manifest.
func (m *localModel) settle(s *modelstore.Store) error {
	if m.manner.Adapter != "" {
		if err := m.engine.LoadAdapter(manifestAdapter, s.Blob(m.manner.Adapter)); err != nil {
			return err
		}
		m.adapter = manifestAdapter
	}
	doc, err := json.Marshal([]any{m.digest, m.manner.System, m.manner.Template, m.manner.Adapter, m.manner.Parameters})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(doc)
	m.digest = "sha256:" + hex.EncodeToString(sum[:])
	return nil
}

func (m *localModel) close() error {
	defer m.leave()
	return m.engine.Close()
}

// withDefaults fills in what the client left out and the model's manifest has.
func (m *localModel) withDefaults(p *pipeline.Prompt) *pipeline.Prompt {
	d := &m.manner.Parameters
	out := *p
	for _, f := range []struct {
		name string
		from *float64
		to   *float64
	}{{"temperature", d.Temperature, &out.Temperature}, {"top_p", d.TopP, &out.TopP}, {"min_p", d.MinP, &out.MinP},
		{"repetition_penalty", d.RepeatPenalty, &out.RepetitionPenalty}} {
		if f.from != nil && p.Absent[f.name] {
			*f.to = *f.from
		}
	}
	if d.TopK != nil && p.Absent["top_k"] {
		out.TopK = *d.TopK
	}
	if d.NumPredict != nil && p.Absent["max_tokens"] {
		out.MaxTokens = min(out.MaxTokens, *d.NumPredict)
	}
	if out.Seed == nil {
		out.Seed = d.Seed
	}
	if len(out.Stop) == 0 {
		out.Stop = d.Stop
	}
	if m.manner.System != "" && len(out.Messages) > 0 && out.Messages[0].Role != "system" {
		out.Messages = append([]openai.Message{{Role: "system", Content: openai.Content(m.manner.System)}}, out.Messages...)
	}
	return &out
}
