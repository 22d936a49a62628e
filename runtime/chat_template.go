package runtime

import (
	"encoding/json"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/template"
)

// templateInput brings a prompt into the form of the model's chat template. Text from outside is quoted, so that it
// cannot spell the tokens that end a turn; what assistants said is not, because templates look for marks in it.
func templateInput(p *pipeline.Prompt, e *engine.Engine) template.Input {
	in := template.Input{AddGenerationPrompt: true}
	quote := e.Tokenizer().Quote
	messages := p.Messages
	if len(p.Tools) > 0 && !e.Template().SupportsTools() {
		messages = append([]openai.Message{{Role: "system", Content: openai.Content(describeTools(p.Tools))}}, messages...)
	} else {
		for _, t := range p.Tools {
			if doc, err := json.Marshal(t); err == nil {
				in.Tools = append(in.Tools, json.RawMessage(doc))
			}
		}
	}
	for _, m := range messages {
		out := template.Message{Role: m.Role, Content: string(m.Content), Name: m.Name, ToolCallID: m.ToolCallID}
		if m.Role != "assistant" {
			out.Content = quote(out.Content)
		}
		for _, c := range m.ToolCalls {
			out.ToolCalls = append(out.ToolCalls, template.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: quote(c.Function.Arguments)})
		}
		in.Messages = append(in.Messages, out)
	}
	return in
}

// describeTools tells a model whose template knows no tools how to ask for one.
func describeTools(tools []openai.Tool) string {
	text := "You may call these tools. To call one, answer only with <tool_call>{\"name\": NAME, \"arguments\": {...}}</tool_call>."
	for _, t := range tools {
		if doc, err := json.Marshal(t.Function); err == nil {
			text += "\n" + string(doc)
		}
	}
	return text
}
