package runtime

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
)

// Marks that models were trained to put around a tool call.
const (
	callOpen   = "<tool_call>"    // Qwen, Hermes: <tool_call>{"name":…,"arguments":…}</tool_call>, any number of them
	callClose  = "</tool_call>"   //
	callsOpen  = "[TOOL_CALLS]"   // Mistral: [TOOL_CALLS][{"name":…,"arguments":…}], to the end
	callPython = "<|python_tag|>" // Llama 3: before a bare {"name":…,"parameters":…}, to the end
	callPhi    = "<|tool_call|>"  // Phi 4: <|tool_call|>[{"name":…,"arguments":…}]<|/tool_call|>

	callPhiClose = "<|/tool_call|>"
)

// maxCallBytes bounds the text held back as a possible tool call.
const maxCallBytes = 64 << 10

// callScanner separates the text of an answer from the tool calls in it, piece by piece. Text that might be the
// beginning of a call is held back until it is clear; what turns out to be no call of an offered tool is text.
type callScanner struct {
	offered map[string]bool // nil: pass everything
	held    string
	begun   bool // something other than white space was seen
	whole   bool // the answer as a whole looks like a call
	calls   []openai.ToolCall
}

func newCallScanner(tools []openai.Tool) *callScanner {
	s := &callScanner{}
	for _, t := range tools {
		if s.offered == nil {
			s.offered = map[string]bool{}
		}
		s.offered[t.Function.Name] = true
	}
	return s
}

// push takes a piece of the answer and returns the text that is certainly no call.
func (s *callScanner) push(piece string) string {
	if s.offered == nil {
		return piece
	}
	s.held += piece
	if !s.begun {
		lead := strings.TrimLeft(s.held, " \t\r\n")
		if lead == "" || partial(lead, callsOpen) || partial(lead, callPython) {
			return ""
		}
		s.begun = true
		s.whole = lead[0] == '{' || strings.HasPrefix(lead, callsOpen) || strings.HasPrefix(lead, callPython)
	}
	if s.whole {
		if len(s.held) > maxCallBytes {
			s.whole = false
			return s.take(len(s.held))
		}
		return ""
	}
	return s.marked()
}

// marked releases text up to the first opening mark, takes complete calls, and holds the rest.
func (s *callScanner) marked() string {
	var out strings.Builder
	for {
		i, open, shut := strings.Index(s.held, callOpen), callOpen, callClose
		if j := strings.Index(s.held, callPhi); j >= 0 && (i < 0 || j < i) {
			i, open, shut = j, callPhi, callPhiClose
		}
		if i < 0 {
			out.WriteString(s.take(len(s.held) - max(overlap(s.held, callOpen), overlap(s.held, callPhi))))
			return out.String()
		}
		out.WriteString(s.take(i))
		end := strings.Index(s.held, shut)
		switch {
		case end >= 0:
			block := s.take(end + len(shut))
			if !s.parse(block[len(open):end]) {
				out.WriteString(block)
			}
		case len(s.held) > maxCallBytes:
			out.WriteString(s.take(len(s.held)))
		default:
			return out.String()
		}
	}
}

// end returns the text still held that is no call, and all calls found.
func (s *callScanner) end() (string, []openai.ToolCall) {
	rest := s.held
	body := strings.TrimSpace(rest)
	switch {
	case s.offered == nil || body == "":
	case s.whole:
		body = strings.TrimPrefix(strings.TrimPrefix(body, callPython), callsOpen)
		if s.parse(body) {
			rest = ""
		}
	case strings.HasPrefix(body, callOpen) && s.parse(body[len(callOpen):]): // the model stopped before the closing mark
		rest = ""
	case strings.HasPrefix(body, callPhi) && s.parse(body[len(callPhi):]):
		rest = ""
	}
	if len(s.calls) > 0 && strings.TrimSpace(rest) == "" {
		rest = ""
	}
	return rest, s.calls
}

func (s *callScanner) take(n int) string {
	out := s.held[:n]
	s.held = s.held[n:]
	return out
}

// parse reads one call or a list of them. All must be of offered tools.
func (s *callScanner) parse(doc string) bool {
	type call struct {
		Name       string          `json:"name"`
		Arguments  json.RawMessage `json:"arguments"`
		Parameters json.RawMessage `json:"parameters"`
	}
	var list []call
	doc = strings.TrimSpace(doc)
	if strings.HasPrefix(doc, "{") {
		doc = "[" + doc + "]"
	}
	if json.Unmarshal([]byte(doc), &list) != nil || len(list) == 0 {
		return false
	}
	var found []openai.ToolCall
	for _, c := range list {
		if !s.offered[c.Name] {
			return false
		}
		args := c.Arguments
		if args == nil {
			args = c.Parameters
		}
		var text string
		if json.Unmarshal(args, &text) != nil { // some models write the arguments as a string
			text = string(args)
		}
		if text == "" || text == "null" {
			text = "{}"
		}
		found = append(found, openai.ToolCall{ID: "call_" + randomHex(12), Type: "function", Function: openai.FunctionCall{Name: c.Name, Arguments: text}})
	}
	s.calls = append(s.calls, found...)
	return true
}

// partial says whether text is a proper beginning of mark.
func partial(text, mark string) bool { return len(text) < len(mark) && strings.HasPrefix(mark, text) }

// overlap is the length of the longest end of text that begins mark.
func overlap(text, mark string) int {
	for n := min(len(text), len(mark)-1); n > 0; n-- {
		if strings.HasSuffix(text, mark[:n]) {
			return n
		}
	}
	return 0
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func randomSeed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}
