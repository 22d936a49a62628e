// Package prompt fits a conversation into a model's context: each section has its share, what does not fit gives way in a
// fixed order, and everything that did is reported. System prompts are never cut.
//
// It knows no model: tokens are counted, texts summarised and turns compared by functions that it is given. Start reading
// at [Builder.Build].
package prompt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/openai"
)

// Sections of a prompt, in the order in which a model reads them. Reserve is what stays free for the answer.
const (
	System    = "system"
	Policy    = "policy"
	History   = "history"
	Retrieved = "retrieved"
	Question  = "question"
	Reserve   = "reserve"
)

// Sections lists them.
var Sections = []string{System, Policy, Retrieved, History, Question, Reserve}

// Strategies for turns that do not fit.
const (
	Window    = "window"    // the first turn and the newest ones stay
	Summary   = "summary"   // the older ones are summarised
	Retrieval = "retrieval" // those that are most like the question stay
)

// What becomes of the middle of a text that is too long.
const (
	Drop      = "drop"
	Summarise = "summarise"
)

// Builder fits prompts. Its functions may fail; what they would have made is then dropped, and said to be.
type Builder struct {
	Context int            // tokens that the model can hold, the answer included; 0: not known
	Budgets map[string]int // tokens of a section, at most; 0 or absent: what is left
	History string         // strategy; empty: Window
	Turns   int            // that are looked at, the newest; 0: all
	Over    string         // what becomes of a question's middle; empty: Drop
	Around  int            // tokens that a chat template puts around a message; 0: 4

	Count     func(text string) int
	Summarise func(text string, tokens int) (string, error)
	// Rank says how much each text has to do with a question.
	Rank func(question string, texts []string) ([]float32, error)
}

// Input is what a prompt is made of.
type Input struct {
	System   []openai.Message // stay whole
	Policy   string           // rules of the site, said after the first system prompt
	Turns    [][]openai.Message
	Question []openai.Message // the turn that is to be answered, with the tool calls made in it
	Passages []int            // tokens of each passage, as they stand; the best are first and last
	Preface  int              // tokens of what is said about the passages; 0 without any
}

// Cut is something that did not fit.
type Cut struct {
	Section string
	Tokens  int // that are left out
	What    string
}

// Output is a prompt that fits.
type Output struct {
	Messages []openai.Message // without the passages, which the caller puts before the question
	Question int              // index of the question's first message
	Keep     []bool           // which passages stay
	Cuts     []Cut
	Used     map[string]int // tokens of each section
	Over     []string       // sections that are above their budget because they are never cut
}

// ErrTooLong means that what may not be cut does not fit.
var ErrTooLong = errors.New("the system prompt and the question do not fit into the model's context")

// leastQuestion is how much of a question stays, in tokens, at least.
const leastQuestion = 64

// Split parts a conversation: system messages, the turns before the last user message, and what follows from it.
func Split(messages []openai.Message) (in Input) {
	last := len(messages)
	for i, m := range slices.Backward(messages) {
		if m.Role == "user" {
			last = i
			break
		}
	}
	var turn []openai.Message
	for i, m := range messages {
		switch {
		case m.Role == "system":
			in.System = append(in.System, m)
		case i >= last:
			in.Question = append(in.Question, m)
		default:
			if m.Role == "user" && len(turn) > 0 {
				in.Turns, turn = append(in.Turns, turn), nil
			}
			turn = append(turn, m)
		}
	}
	if len(turn) > 0 {
		in.Turns = append(in.Turns, turn)
	}
	return in
}

// Build fits a prompt. Over the whole context, history gives way first, then passages from the middle, then the middle of
// the question. Sections above their own budgets are cut to them.
func (b *Builder) Build(in Input) (*Output, error) {
	out := &Output{Used: map[string]int{}, Keep: make([]bool, len(in.Passages))}
	system := withPolicy(in.System, in.Policy)
	out.Used[System], out.Used[Policy] = b.tokens(in.System), b.count(in.Policy)
	for _, s := range []string{System, Policy} {
		if n := b.Budgets[s]; n > 0 && out.Used[s] > n {
			out.Over = append(out.Over, s)
		}
	}
	left := 1 << 30
	if b.Context > 0 {
		left = b.Context - b.Budgets[Reserve] - out.Used[System] - out.Used[Policy]
	}
	out.Used[Reserve] = b.Budgets[Reserve]

	// The question comes before all else, passages before history.
	question := b.tokens(in.Question)
	passages := in.Preface + sum(in.Passages)
	room := left - min(passages, in.Preface+edges(in.Passages))
	if n := b.Budgets[Question]; n > 0 {
		room = min(room, n)
	}
	ask := in.Question
	if question > room {
		if room < leastQuestion {
			return nil, ErrTooLong
		}
		var err error
		if ask, err = b.shorten(in.Question, question, room, out); err != nil {
			return nil, err
		}
	}
	out.Used[Question] = b.tokens(ask)
	left -= out.Used[Question]

	out.Used[Retrieved] = b.keep(in, left, out)
	left -= out.Used[Retrieved]

	if n := b.Budgets[History]; n > 0 {
		left = min(left, n)
	}
	history, note := b.history(in.Turns, questionText(in.Question), left, out)
	out.Used[History] = b.tokens(history) + b.count(note)
	if note != "" {
		before(&history, &ask, note)
	}
	out.Messages = slices.Concat(system, history, ask)
	out.Question = len(system) + len(history)
	return out, nil
}

// withPolicy puts the site's rules behind the first system prompt.
func withPolicy(system []openai.Message, policy string) []openai.Message {
	if policy == "" {
		return system
	}
	if len(system) == 0 {
		return []openai.Message{{Role: "system", Content: openai.Content(policy)}}
	}
	out := slices.Clone(system)
	out[0].Content += openai.Content("\n\n" + policy)
	return out
}

// before puts a note at the beginning of the first message of the user's that is left: data stands in the user's messages,
// not in the system prompt.
func before(history, ask *[]openai.Message, note string) {
	for _, list := range []*[]openai.Message{history, ask} {
		for i, m := range *list {
			if m.Role == "user" {
				*list = slices.Clone(*list)
				(*list)[i].Content = openai.Content(note) + m.Content
				return
			}
		}
	}
}

func questionText(messages []openai.Message) string {
	for _, m := range messages {
		if m.Role == "user" {
			return string(m.Content)
		}
	}
	return ""
}

func (b *Builder) count(text string) int {
	if text == "" {
		return 0
	}
	return b.Count(text)
}

func (b *Builder) tokens(messages []openai.Message) (n int) {
	for i := range messages {
		n += cmp.Or(b.Around, 4) + b.count(textOf(&messages[i]))
	}
	return n
}

// textOf is all that a message says.
func textOf(m *openai.Message) string {
	if len(m.ToolCalls) == 0 {
		return string(m.Content)
	}
	var s strings.Builder
	s.WriteString(string(m.Content))
	for _, c := range m.ToolCalls {
		s.WriteString(" " + c.Function.Name + " " + c.Function.Arguments)
	}
	return s.String()
}

// edges are the tokens of the passages that go last: the first and the last.
func edges(passages []int) int {
	switch n := len(passages); n {
	case 0, 1, 2:
		return sum(passages)
	default:
		return passages[0] + passages[n-1]
	}
}

func sum(list []int) (n int) {
	for _, v := range list {
		n += v
	}
	return n
}

// keep says which passages stay, the best first: they stand at the edges. It returns their tokens.
func (b *Builder) keep(in Input, left int, out *Output) int {
	if len(in.Passages) == 0 {
		return 0
	}
	if n := b.Budgets[Retrieved]; n > 0 {
		left = min(left, n)
	}
	used, dropped := in.Preface, 0
	for i := range in.Passages { // first, last, second, last but one, ...
		at := i / 2
		if i%2 == 1 {
			at = len(in.Passages) - 1 - i/2
		}
		if used+in.Passages[at] > left {
			dropped += in.Passages[at]
			continue
		}
		used += in.Passages[at]
		out.Keep[at] = true
	}
	if dropped > 0 {
		n := 0
		for _, k := range out.Keep {
			if !k {
				n++
			}
		}
		out.Cuts = append(out.Cuts, Cut{Retrieved, dropped, fmt.Sprintf("%d of %d passages left out", n, len(in.Passages))})
	}
	if !slices.Contains(out.Keep, true) {
		return 0
	}
	return used
}

// shorten cuts the longest texts of the turn that is answered, first those of tools.
func (b *Builder) shorten(messages []openai.Message, has, room int, out *Output) ([]openai.Message, error) {
	list := slices.Clone(messages)
	for _, role := range []string{"tool", "user", "assistant"} {
		for has > room {
			at, most := -1, leastQuestion
			for i, m := range list {
				if n := b.count(string(m.Content)); m.Role == role && n > most {
					at, most = i, n
				}
			}
			if at < 0 {
				break
			}
			text, how := b.squeeze(string(list[at].Content), most, max(most-(has-room), leastQuestion))
			now := b.count(text)
			if now >= most {
				break
			}
			list[at].Content = openai.Content(text)
			has -= most - now
			what := "the middle of the question " + how
			if role != "user" {
				what = "the middle of a " + role + " message " + how
			}
			out.Cuts = append(out.Cuts, Cut{Question, most - now, what})
		}
	}
	if has > room {
		return nil, ErrTooLong
	}
	return list, nil
}
