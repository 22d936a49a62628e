package runtime

import (
	"strings"

	"github.com/ledge-run/ledge/runtime/slm/engine"
	"github.com/ledge-run/ledge/runtime/slm/grammar"
)

// callStyle is how a model was trained to write tool calls.
type callStyle struct {
	open, close string
	list        bool   // a list of calls behind open
	arguments   string // the key of a call's arguments
	bare        bool   // an answer that begins with { is a call
}

// styleOf tells the style by the chat template. A model whose template knows no tools is told to write Hermes' marks.
func styleOf(template string) callStyle {
	switch {
	case strings.Contains(template, callOpen):
		return callStyle{open: callOpen, close: callClose, arguments: "arguments"}
	case strings.Contains(template, callsOpen):
		return callStyle{open: callsOpen, list: true, arguments: "arguments"}
	case strings.Contains(template, callPhi):
		return callStyle{open: callPhi, close: callPhiClose, list: true, arguments: "arguments"}
	case strings.Contains(template, callPython), strings.Contains(template, `"parameters":`):
		return callStyle{open: callPython, arguments: "parameters", bare: true}
	}
	return callStyle{open: callOpen, close: callClose, arguments: "arguments"}
}

// calls is the grammar of calls in the style.
func (s callStyle) calls(tools []grammar.Tool) *grammar.Calls {
	c := &grammar.Calls{Open: s.open, Close: s.close, List: s.list, Arguments: s.arguments, Tools: tools}
	if s.bare {
		c.Open = "" // the mark is a control token; without it the call is the whole answer
	}
	return c
}

// callMark is the spelling of a control token that begins or ends a tool call. The text of an answer leaves control tokens
// out, and the calls could not be found without it.
func (m *resident) callMark(t engine.Token) string {
	if t.ID < 0 || !m.engine.Tokenizer().IsControl(t.ID) {
		return ""
	}
	switch mark := string(t.Bytes); mark {
	case callOpen, callClose, callsOpen, callPython, callPhi, callPhiClose:
		return mark
	}
	return ""
}
