package upstream

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
)

// The Anthropic Messages API: https://docs.anthropic.com/en/api/messages and .../messages-streaming.
const anthropicVersion = "2023-06-01"

// block is a part of a message.
type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   string          `json:"content,omitempty"`
}

type anthropicMessage struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

type anthropicTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
}

type anthropicRequest struct {
	Model         string             `json:"model"`
	MaxTokens     int                `json:"max_tokens"`
	Stream        bool               `json:"stream"`
	System        string             `json:"system,omitempty"`
	Messages      []anthropicMessage `json:"messages"`
	Temperature   *float64           `json:"temperature,omitempty"`
	TopP          *float64           `json:"top_p,omitempty"`
	StopSequences []string           `json:"stop_sequences,omitempty"`
	Tools         []anthropicTool    `json:"tools,omitempty"`
	ToolChoice    map[string]any     `json:"tool_choice,omitempty"`
}

// encodeAnthropic turns a request of the OpenAI API into one of the Messages API. System messages are put together, and
// messages of the same role in a row become one, since roles must take turns. What the API has no field for (seed,
// logprobs, penalties) is left out.
func encodeAnthropic(body []byte) ([]byte, error) {
	var in openai.ChatRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	out := anthropicRequest{Model: in.Model, Stream: true, StopSequences: in.Stop, Temperature: in.Temperature}
	if in.MaxTokens != nil {
		out.MaxTokens = *in.MaxTokens
	}
	if in.Temperature != nil && *in.Temperature > 1 {
		one := 1.0
		out.Temperature = &one // its scale ends there
	}
	if in.TopP != nil && *in.TopP < 1 {
		out.TopP = in.TopP
	}
	var system []string
	add := func(role string, b block) {
		if n := len(out.Messages); n > 0 && out.Messages[n-1].Role == role {
			out.Messages[n-1].Content = append(out.Messages[n-1].Content, b)
			return
		}
		out.Messages = append(out.Messages, anthropicMessage{role, []block{b}})
	}
	for _, m := range in.Messages {
		text := string(m.Content)
		switch m.Role {
		case "system":
			system = append(system, text)
		case "tool":
			add("user", block{Type: "tool_result", ToolUseID: m.ToolCallID, Content: text})
		default:
			if text != "" {
				add(m.Role, block{Type: "text", Text: text})
			}
			for _, c := range m.ToolCalls {
				input := json.RawMessage(c.Function.Arguments)
				if !json.Valid(input) {
					input = json.RawMessage("{}")
				}
				add(m.Role, block{Type: "tool_use", ID: c.ID, Name: c.Function.Name, Input: input})
			}
		}
	}
	out.System = strings.Join(system, "\n\n")
	for _, t := range in.Tools {
		schema := t.Function.Parameters
		if len(schema) == 0 {
			schema = json.RawMessage(`{"type":"object"}`)
		}
		out.Tools = append(out.Tools, anthropicTool{t.Function.Name, t.Function.Description, schema})
	}
	if c := in.ToolChoice; c != nil && len(out.Tools) > 0 {
		switch c.Mode {
		case "required":
			out.ToolChoice = map[string]any{"type": "any"}
		case "function":
			out.ToolChoice = map[string]any{"type": "tool", "name": c.Function}
		default:
			out.ToolChoice = map[string]any{"type": c.Mode}
		}
	}
	return json.Marshal(out)
}

// finishOf names the ends of an answer as OpenAI does.
var finishOf = map[string]string{"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}

// decodeAnthropic reads the events of one stream.
func decodeAnthropic() func([]byte) (*openai.ChatChunk, bool, error) {
	var usage openai.Usage
	tools := map[int]int{} // index of a block: index of its tool call
	piece := func(d openai.Delta, finish *string) *openai.ChatChunk {
		return &openai.ChatChunk{Choices: []openai.ChunkChoice{{Delta: d, FinishReason: finish}}}
	}
	return func(data []byte) (*openai.ChatChunk, bool, error) {
		var e struct {
			Type    string
			Index   int
			Message struct {
				Usage struct {
					InputTokens int `json:"input_tokens"`
				}
			}
			ContentBlock block `json:"content_block"`
			Delta        struct {
				Type        string
				Text        string
				PartialJSON string  `json:"partial_json"`
				StopReason  *string `json:"stop_reason"`
			}
			Usage struct {
				OutputTokens int `json:"output_tokens"`
			}
			Error json.RawMessage
		}
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, false, fmt.Errorf("event is no event of the Messages API: %w", err)
		}
		switch e.Type {
		case "error":
			return nil, false, fmt.Errorf("error event: %.300s", e.Error)
		case "message_start":
			usage.PromptTokens = e.Message.Usage.InputTokens
		case "content_block_start":
			if e.ContentBlock.Type == "tool_use" {
				n := len(tools)
				tools[e.Index] = n
				return piece(openai.Delta{ToolCalls: []openai.ToolCall{{Index: &n, ID: e.ContentBlock.ID, Type: "function",
					Function: openai.FunctionCall{Name: e.ContentBlock.Name}}}}, nil), false, nil
			}
			if e.ContentBlock.Text != "" {
				return piece(openai.Delta{Content: &e.ContentBlock.Text}, nil), false, nil
			}
		case "content_block_delta":
			switch e.Delta.Type {
			case "text_delta":
				return piece(openai.Delta{Content: &e.Delta.Text}, nil), false, nil
			case "input_json_delta":
				n, ok := tools[e.Index]
				if !ok {
					return nil, false, fmt.Errorf("arguments of block %d, which is no tool call", e.Index)
				}
				return piece(openai.Delta{ToolCalls: []openai.ToolCall{{Index: &n, Function: openai.FunctionCall{Arguments: e.Delta.PartialJSON}}}}, nil), false, nil
			}
		case "message_delta":
			usage.CompletionTokens = e.Usage.OutputTokens
			usage.TotalTokens = usage.PromptTokens + usage.CompletionTokens
			if e.Delta.StopReason != nil {
				finish := finishOf[*e.Delta.StopReason]
				if finish == "" {
					finish = "stop"
				}
				c := piece(openai.Delta{}, &finish)
				c.Usage = &usage
				return c, false, nil
			}
		case "message_stop":
			return nil, true, nil
		}
		return nil, false, nil // ping, thinking, and what is new
	}
}
