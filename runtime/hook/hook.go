// Package hook holds the contracts between the host and a plugin: the typed input and output of every export that a
// plugin may offer. Both sides speak JSON (UTF-8) by the Extism calling convention; the codecs in this package are
// hand-written because reflection-based JSON is too slow inside a guest.
//
// The package knows nothing of the host and imports only the standard library, so that a guest can link it. Plugin
// authors see these types through sdk/go. Start reading at [GuardRequest].
//
// Unknown fields are ignored on both sides and absent fields are zero, so that either side may be older.
package hook

// Names of the exports a plugin may offer. A plugin is used for each hook that it exports.
const (
	ExportRoute = "route"
	ExportGuard = "guard"
	ExportChunk = "chunk"
	// ExportChunkText is an optional second entry of the hook chunk, whose text does not come in JSON: see
	// [Document.AppendWithText].
	ExportChunkText = "chunk_text"
	ExportCache     = "cache"
	ExportDescribe  = "describe"
	ExportCall      = "call"
)

// Message is one message of a conversation, in the OpenAI roles: system, user, assistant, tool.
type Message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	Name       string     `json:"name,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
}

// ToolCall is a call the model asked for. Arguments is a JSON document in a string, as in the OpenAI API.
type ToolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// Model describes a model that a route may pick.
type Model struct {
	ID            string `json:"id"`
	ContextTokens int    `json:"context_tokens,omitempty"` // 0: unknown
	Tier          string `json:"tier,omitempty"`           // free text of the site: small, large, remote
	Remote        bool   `json:"remote,omitempty"`         // text leaves the device
}

// RouteRequest asks which model serves a request.
type RouteRequest struct {
	RequestID string    `json:"request_id,omitempty"`
	Tenant    string    `json:"tenant,omitempty"`
	Route     string    `json:"route"`
	Messages  []Message `json:"messages"`
	MaxTokens int       `json:"max_tokens,omitempty"` // as the client asked; 0: not stated
	Tools     []string  `json:"tools,omitempty"`      // names of the tools on offer
	Models    []Model   `json:"models"`               // the choices, the route's default first
	// Examples are the route's example utterances that the last user message is most like, the best first: one a name.
	Examples []Example `json:"examples,omitempty"`
}

// Example says how like an utterance of a name the message is: the cosine of their embeddings, from -1 to 1.
type Example struct {
	Name  string  `json:"name"`
	Score float64 `json:"score"`
}

// RouteDecision names the model and the token budget. An empty Model keeps the route's default; a Model outside the
// request's Models is an error of the plugin. MaxTokens is the budget where the client stated none; 0 leaves the host's
// limit in force. ToolCalls are calls to make before the model runs, of tools among the request's Tools only: small
// models ask for tools badly, and a plain sum needs no model to see that it is one.
type RouteDecision struct {
	Model          string  `json:"model,omitempty"`
	Tier           string  `json:"tier,omitempty"`
	MaxTokens      int     `json:"max_tokens,omitempty"`
	RetrievalDepth int     `json:"retrieval_depth,omitempty"`
	Reason         string  `json:"reason,omitempty"`
	Confidence     float64 `json:"confidence,omitempty"` // 0 to 1
	// Sensitive says that the request speaks of what people keep to themselves: a route that goes on to further models when
	// one is not sure leaves out those that are remote.
	Sensitive bool `json:"sensitive,omitempty"`

	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
}

// Guard stages.
const (
	StageInput     = "input"
	StageRetrieval = "retrieval"
	StageTool      = "tool"
	StageOutput    = "output"
)

// GuardRequest asks for a judgement of one text. On the output stage of a stream the text is a window: bytes before
// Start were judged and released before and are context only; Final says that nothing follows.
type GuardRequest struct {
	RequestID string `json:"request_id,omitempty"`
	Tenant    string `json:"tenant,omitempty"`
	Route     string `json:"route,omitempty"`
	Stage     string `json:"stage"`
	Role      string `json:"role,omitempty"` // role of the message the text comes from
	Text      string `json:"text"`
	Start     int    `json:"start,omitempty"` // byte offset in Text of the first byte not yet released
	Final     bool   `json:"final,omitempty"`
	// Passages are what the answer was made from, in the order of the numbers by which it cites them; an empty one was
	// taken away. They are there for guards of the whole answer on routes that retrieve.
	Passages []string `json:"passages,omitempty"`
}

// Verdicts of a guard, from the mildest to the strictest. The strictest of several guards holds.
const (
	Allow  = "allow"
	Redact = "redact" // replace Spans, go on
	Review = "review" // stop, and put before a person
	Block  = "block"  // stop
)

// Verdict is a guard's judgement. Spans are evidence, and with Redact they are what is replaced.
type Verdict struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	Spans   []Span `json:"spans,omitempty"`
	// Hold asks, on the output stage, that the last Hold bytes of the text stay unreleased because a match could
	// still grow across them. The host bounds it by the route's window.
	Hold int `json:"hold,omitempty"`
}

// Span is a half-open byte range [Start, End) of the request's Text, on UTF-8 character boundaries.
type Span struct {
	Start       int     `json:"start"`
	End         int     `json:"end"`
	Entity      string  `json:"entity,omitempty"`
	Rule        string  `json:"rule,omitempty"`
	Confidence  float64 `json:"confidence,omitempty"`  // 0 to 1
	Replacement string  `json:"replacement,omitempty"` // what Redact puts there; empty: "[" + Entity + "]"
}

// Document is a text to be cut into chunks. Sizes are in Unicode code points, or in tokens where Tokens is set; zero takes
// the plugin's default. Overlap must be smaller than Size.
type Document struct {
	Name       string `json:"name,omitempty"`
	MediaType  string `json:"media_type,omitempty"`
	Text       string `json:"text"`
	Strategy   string `json:"strategy,omitempty"`
	Size       int    `json:"size,omitempty"`
	Overlap    int    `json:"overlap,omitempty"`
	ParentSize int    `json:"parent_size,omitempty"` // of what small chunks are parts of, where a strategy makes such
	Percentile int    `json:"percentile,omitempty"`  // of sentence ends, the least alike, that a strategy cuts at; 1 to 100
	// Tokens are the lengths in bytes of the text's tokens. One of length 0 shares the bytes of the one before.
	Tokens []int `json:"tokens,omitempty"`
	// A long document comes in pieces. A later piece begins under Heading, and its first Repeat bytes are the end of the
	// last chunk, from which the first chunk may take its overlap.
	Heading []string `json:"heading,omitempty"`
	Repeat  int      `json:"repeat,omitempty"`
}

// ChunkList is the answer to a Document: chunks in the order of the text.
type ChunkList struct {
	Chunks []Chunk `json:"chunks"`
}

// Chunk is a half-open byte range of the document and the headings it stands under, outermost first.
type Chunk struct {
	Start   int      `json:"start"`
	End     int      `json:"end"`
	Heading []string `json:"heading,omitempty"`
	Parent  *Parent  `json:"parent,omitempty"`
}

// Parent is the larger part of the document that a small chunk is found for and that is read in its place. IDs count from
// 0 within a document.
type Parent struct {
	ID    int `json:"id"`
	Start int `json:"start"`
	End   int `json:"end"`
}

// CacheRequest asks what of a request may be reused, after guards and routing.
type CacheRequest struct {
	RequestID     string    `json:"request_id,omitempty"`
	Tenant        string    `json:"tenant,omitempty"`
	Route         string    `json:"route"`
	Model         string    `json:"model"`
	ModelDigest   string    `json:"model_digest"`
	PromptVersion string    `json:"prompt_version,omitempty"`
	Messages      []Message `json:"messages"`
	ToolsDigest   string    `json:"tools_digest,omitempty"` // empty: no tools on offer
	Params        string    `json:"params"`                 // canonical text of all that shapes the output
	Temperature   float64   `json:"temperature"`
	Choices       int       `json:"choices,omitempty"`
}

// CachePlan says under which key an answer may be looked up and whether it may be stored. The host prefixes the key
// with the tenant and the model digest in any case. Threshold above 0 asks for a semantic look-up of Text.
type CachePlan struct {
	Lookup     bool     `json:"lookup"`
	Admit      bool     `json:"admit"`
	KeyParts   []string `json:"key_parts,omitempty"`
	Text       string   `json:"text,omitempty"`
	Threshold  float64  `json:"threshold,omitempty"`
	TTLSeconds int      `json:"ttl_seconds,omitempty"` // 0: the host's default
	Reason     string   `json:"reason,omitempty"`
}

// ToolList is the answer of describe: an MCP tools/list result.
type ToolList struct {
	Tools []Tool `json:"tools"`
}

// Tool describes one tool. InputSchema is a JSON Schema document.
type Tool struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	InputSchema Raw    `json:"inputSchema"`
}

// ToolRequest is the input of call: an MCP tools/call request.
type ToolRequest struct {
	Method string     `json:"method,omitempty"` // "tools/call"
	Params ToolParams `json:"params"`
}

// ToolParams names the tool and gives its arguments, a JSON object.
type ToolParams struct {
	Name      string `json:"name"`
	Arguments Raw    `json:"arguments,omitempty"`
}

// ToolResult is the answer of call: an MCP tools/call result.
type ToolResult struct {
	Content []ToolContent `json:"content"`
	IsError bool          `json:"isError,omitempty"`
}

// ToolContent is one part of a tool's answer. Type is "text", "image" or "resource"; the host reads text.
type ToolContent struct {
	Type     string `json:"type"`
	Text     string `json:"text,omitempty"`
	Data     string `json:"data,omitempty"`
	MimeType string `json:"mimeType,omitempty"`
}

// Raw is a JSON document carried as it is. The zero value encodes as null.
type Raw []byte

// MarshalJSON returns the document itself, so that encoding/json carries it unchanged.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON keeps a copy of the document.
func (r *Raw) UnmarshalJSON(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}
