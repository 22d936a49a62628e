package prompt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ledge-run/ledge/runtime/openai"
)

// words counts a token a word.
func words(text string) int { return len(strings.Fields(text)) }

func message(role, text string) openai.Message {
	return openai.Message{Role: role, Content: openai.Content(text)}
}

// conversation has n turns of 14 tokens, and a question.
func conversation(n int, question string) Input {
	list := []openai.Message{message("system", "be brief")}
	for i := range n {
		list = append(list, message("user", fmt.Sprintf("user turn %d", i)), message("assistant", fmt.Sprintf("answer number %d", i)))
	}
	return Split(append(list, message("user", question)))
}

func texts(out *Output) string {
	var s []string
	for _, m := range out.Messages {
		s = append(s, string(m.Content))
	}
	return strings.Join(s, " | ")
}

func TestBuild_LeavesWhatFitsAsItIs(t *testing.T) {
	in := conversation(3, "and now?")
	out, err := (&Builder{Context: 1000, Count: words}).Build(in)
	if err != nil || len(out.Cuts) != 0 || len(out.Messages) != 8 || out.Messages[out.Question].Content != "and now?" {
		t.Fatalf("%v, %+v", err, out)
	}
	if out.Used[History] != 42 || out.Used[System] != 6 || out.Used[Question] != 6 {
		t.Errorf("%v", out.Used)
	}
}

func TestBuild_History(t *testing.T) {
	rank := func(_ string, texts []string) ([]float32, error) {
		out := make([]float32, len(texts))
		for i, s := range texts {
			if strings.Contains(s, "turn 2") {
				out[i] = 1
			}
		}
		return out, nil
	}
	for _, c := range []struct {
		name string
		b    Builder
		want string
		cut  string
	}{
		{"window keeps the first and the newest", Builder{Budgets: map[string]int{History: 42}},
			"be brief | user turn 0 | answer number 0 | user turn 4 | answer number 4 | user turn 5 | answer number 5 | now?", "3 of 6 turns left out"},
		{"window of the last two", Builder{Turns: 2}, "be brief | user turn 4 | answer number 4 | user turn 5 | answer number 5 | now?", "4 of 6 turns left out"},
		{"retrieval keeps the like", Builder{History: Retrieval, Rank: rank, Budgets: map[string]int{History: 30}},
			"be brief | user turn 2 | answer number 2 | user turn 5 | answer number 5 | now?", "4 of 6 turns left out"},
		{"retrieval that fails", Builder{History: Retrieval, Budgets: map[string]int{History: 14}, Rank: func(string, []string) ([]float32, error) { return nil, errors.New("no") }},
			"be brief | user turn 5 | answer number 5 | now?", "5 of 6 turns left out"},
		{"summary", Builder{History: Summary, Budgets: map[string]int{History: 80}, Summarise: func(text string, n int) (string, error) {
			return fmt.Sprintf("%d lines", strings.Count(text, "\n")), nil
		}}, "be brief | [What was said before, in short: 12 lines]\n\nuser turn 4 | answer number 4 | user turn 5 | answer number 5 | now?", "4 of 6 turns summarised"},
		{"summary that fails", Builder{History: Summary, Budgets: map[string]int{History: 80}, Summarise: func(string, int) (string, error) { return "", errors.New("no") }},
			"be brief | user turn 4 | answer number 4 | user turn 5 | answer number 5 | now?", "could not be summarised"},
		{"none of it", Builder{Budgets: map[string]int{History: 3}}, "be brief | now?", "6 of 6 turns left out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.b.Count = words
			out, err := c.b.Build(conversation(6, "now?"))
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(out); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if len(out.Cuts) != 1 || out.Cuts[0].Section != History || !strings.Contains(out.Cuts[0].What, c.cut) {
				t.Errorf("cuts %+v", out.Cuts)
			}
		})
	}
}

func TestBuild_GivesWayInOrder(t *testing.T) {
	long := strings.Repeat("word ", 300)
	system := strings.Repeat("rule ", 100)
	in := conversation(4, "start "+long+"end")
	in.System = []openai.Message{message("system", system)}
	in.Policy, in.Preface, in.Passages = "never lie", 5, []int{40, 30, 20, 10}
	whole := 104 + 2 + 56 + 105 + 306
	for _, c := range []struct {
		context int
		cut     []string // sections
		keep    []bool
	}{
		{whole, nil, []bool{true, true, true, true}},
		{whole - 10, []string{History}, []bool{true, true, true, true}},
		{whole - 60, []string{Retrieved, History}, []bool{true, true, false, true}},
		{whole - 100, []string{Retrieved, History}, []bool{true, false, false, true}},
		{whole - 200, []string{Question, Retrieved, History}, []bool{true, false, false, true}},
	} {
		out, err := (&Builder{Context: c.context, Count: words}).Build(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range out.Cuts {
			got = append(got, k.Section)
		}
		if !slices.Equal(got, c.cut) || !slices.Equal(out.Keep, c.keep) {
			t.Errorf("%d tokens: cuts %+v, keep %v", c.context, out.Cuts, out.Keep)
		}
		if out.Messages[0].Content != openai.Content(system+"\n\nnever lie") {
			t.Errorf("%d tokens: the system prompt is %q", c.context, out.Messages[0].Content)
		}
		q := string(out.Messages[out.Question].Content)
		if !strings.HasPrefix(q, "start ") || !strings.HasSuffix(q, "end") {
			t.Errorf("%d tokens: the question lost its ends: %q", c.context, q)
		}
		total := 0
		for _, n := range out.Used {
			total += n
		}
		if total > c.context {
			t.Errorf("%d tokens are used of %d: %v", total, c.context, out.Used)
		}
	}
	if _, err := (&Builder{Context: 150, Count: words}).Build(in); !errors.Is(err, ErrTooLong) {
		t.Errorf("what cannot fit: %v", err)
	}
	out, err := (&Builder{Context: 2000, Count: words, Budgets: map[string]int{System: 10, Reserve: 100}}).Build(in)
	if err != nil || !slices.Equal(out.Over, []string{System}) || len(out.Cuts) != 0 {
		t.Errorf("%v %+v", err, out)
	}
}

func TestBuild_ShortensWhatToolsSaidBeforeTheQuestion(t *testing.T) {
	in := Split([]openai.Message{message("user", "what is it? "+strings.Repeat("q ", 100)), {Role: "assistant", ToolCalls: []openai.ToolCall{{Function: openai.FunctionCall{Name: "f", Arguments: "{}"}}}},
		message("tool", strings.Repeat("t ", 500))})
	out, err := (&Builder{Count: words, Budgets: map[string]int{Question: 300}}).Build(in)
	if err != nil || len(out.Cuts) != 1 || !strings.Contains(out.Cuts[0].What, "a tool message") || len(out.Messages) != 3 {
		t.Fatalf("%v, %+v", err, out)
	}
	in.Question[2] = message("tool", "short")
	in.Question[0].Content += openai.Content(strings.Repeat("w ", 500))
	b := &Builder{Count: words, Budgets: map[string]int{Question: 300}, Over: Summarise, Summarise: func(text string, tokens int) (string, error) {
		return "it is about words", nil
	}}
	if out, err = b.Build(in); err != nil || !strings.Contains(string(out.Messages[0].Content), "in short: it is about words]") || !strings.Contains(out.Cuts[0].What, "summarised") {
		t.Fatalf("%v, %+v", err, out)
	}
}

func FuzzBuild(f *testing.F) {
	f.Add("a question", "history", uint16(100), uint8(3), false)
	f.Add("日本語の質問です", "é à ü", uint16(70), uint8(9), true)
	f.Fuzz(func(t *testing.T, question, past string, context uint16, turns uint8, summarise bool) {
		list := []openai.Message{message("system", "keep me")}
		for range turns % 20 {
			list = append(list, message("user", past), message("assistant", past+past))
		}
		in := Split(append(list, message("user", question)))
		b := &Builder{Context: int(context), Count: func(s string) int { return len(s)/3 + 1 }}
		if summarise {
			b.History, b.Over, b.Summarise = Summary, Summarise, func(text string, n int) (string, error) { return text[:min(len(text), n)], nil }
		}
		out, err := b.Build(in)
		if err != nil {
			return
		}
		total := 0
		for _, n := range out.Used {
			total += n
		}
		if context > 0 && total > int(context) {
			t.Fatalf("%d tokens of %d: %v, %+v", total, context, out.Used, out.Cuts)
		}
		if out.Messages[0].Content != "keep me" || out.Messages[len(out.Messages)-1].Role != "user" {
			t.Fatalf("%+v", out.Messages)
		}
		if len(out.Cuts) == 0 && len(out.Messages) != len(list)+1 {
			t.Fatal("something went silently")
		}
	})
}
