// Package sdk is what an author of a Ledge plugin in Go imports: the types of the hooks, and one handler per hook that
// reads the request, calls the author's function and writes the answer by the Extism calling convention.
//
// The types build everywhere, so that a plugin's logic is tested natively. The handlers and what the host lends
// ([Config], [KVGet], [Log] and their like) exist only in a guest, GOOS=wasip1.
//
// The package knows nothing of the host beyond runtime/hook and the Extism PDK. Start reading at the README.
package sdk

import "github.com/ledge-run/ledge/runtime/hook"

// The requests and answers of the hooks; see package hook for their meaning.
type (
	Message  = hook.Message
	ToolCall = hook.ToolCall
	Model    = hook.Model
	Example  = hook.Example

	RouteRequest  = hook.RouteRequest
	RouteDecision = hook.RouteDecision

	GuardRequest = hook.GuardRequest
	Verdict      = hook.Verdict
	Span         = hook.Span

	Document  = hook.Document
	ChunkList = hook.ChunkList
	Chunk     = hook.Chunk
	Parent    = hook.Parent

	CacheRequest = hook.CacheRequest
	CachePlan    = hook.CachePlan

	ToolList    = hook.ToolList
	Tool        = hook.Tool
	ToolRequest = hook.ToolRequest
	ToolParams  = hook.ToolParams
	ToolResult  = hook.ToolResult
	ToolContent = hook.ToolContent

	Raw = hook.Raw
)

// Verdicts of a guard.
const (
	Allow  = hook.Allow
	Redact = hook.Redact
	Review = hook.Review
	Block  = hook.Block
)

// Stages at which a guard is asked.
const (
	StageInput     = hook.StageInput
	StageRetrieval = hook.StageRetrieval
	StageTool      = hook.StageTool
	StageOutput    = hook.StageOutput
)

// AppendString appends s to b as a JSON string, for plugins that write JSON themselves.
func AppendString(b []byte, s string) []byte { return hook.AppendString(b, s) }

// TextResult is a tool's answer of one text.
func TextResult(text string) ToolResult {
	return ToolResult{Content: []ToolContent{{Type: "text", Text: text}}}
}

// ErrorResult is a tool's answer that tells the model what was wrong with its call.
func ErrorResult(text string) ToolResult {
	r := TextResult(text)
	r.IsError = true
	return r
}
