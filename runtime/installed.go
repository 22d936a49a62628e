package runtime

import (
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

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
