package injectionguard

import "bytes"

type phrase struct {
	text   string
	weight float64
}

// phrases are names and turns of jailbreaks that are no grammar, by their first byte. Each starts a word.
var phrases = func() (t [256][]phrase) {
	for _, p := range []phrase{
		{"do anything now", 0.75}, {"developer mode enabled", 0.62}, {"developer mode output", 0.62}, {"stay in character", 0.3},
		{"opposite mode", 0.4}, {"never refuse", 0.4}, {"enter jailbreak mode", 0.7}, {"no longer bound", 0.5}, {"not bound by", 0.4},
		{"broken free", 0.3}, {"grandma exploit", 0.4}, {"start your response with", 0.3}, {"start with \"sure", 0.45},
		{"absolutely! here", 0.3}, {"hypothetical response", 0.3}, {"without any moral", 0.45},
	} {
		t[p.text[0]] = append(t[p.text[0]], p)
	}
	return
}()

// phraseStarts has, for the first byte of a phrase, a bit for each second one.
var phraseStarts = func() (t [256]uint32) {
	for c, list := range phrases {
		for _, p := range list {
			t[c] |= 1 << (p.text[1] & 31)
		}
	}
	return
}()

// phrase notes the phrase that starts with the word at index i.
func (a *analysis) phrase(i int) {
	for _, p := range phrases[a.folded.b[i]] {
		if starts(a.folded.b[i:], p.text) {
			start, end := a.folded.span(i, i+len(p.text))
			a.addRange("phrase", p.weight, start, end)
		}
	}
}

// markup looks for the tokens by which chat templates tell who speaks.
func (a *analysis) markup() {
	b := a.folded.b
	seen := 0
	talk := a.meta > 0 || a.asks()
	inside := bytes.IndexByte(b, '<') >= 0 || bytes.IndexByte(b, '[') >= 0 || bytes.IndexByte(b, '#') >= 0 || bytes.IndexByte(b, '{') >= 0
	for i := 0; i < len(b); i++ {
		line := i == 0 || b[i-1] == '\n'
		if !line && !inside { // on to the next line
			k := bytes.IndexByte(b[i:], '\n')
			if k < 0 {
				return
			}
			i += k
			continue
		}
		w, size := 0.0, 0
		switch b[i] {
		case '<':
			w, size = angle(b[i:])
		case '[':
			w, size = square(b[i:])
		case '#', 's', '-', '=', '{':
			if line || b[i] == '{' || b[i] == '#' && b[i-1] == ' ' {
				w, size = heading(b[i:])
			}
		}
		if w == 0 {
			continue
		}
		w += 0.1 * float64(min(seen, 2)) // one may be an accident, a conversation is not
		seen++
		if talk {
			w *= 0.5
		}
		if seen <= 4 { // each look is long, and a few are evidence enough
			size = turn(b[i:], size)
		}
		size = min(size, len(b)-i)
		start, end := a.folded.span(i, i+size)
		a.addRange("role-markup", w, start, end)
	}
}

// turn is how far a forged turn goes whose mark takes size bytes: to the mark that ends it, or else to the end of its first
// line with words. What it says is part of the evidence.
func turn(b []byte, size int) int {
	const most = 2048
	words := false
	for i := size; i < len(b) && i < most; i++ {
		switch c := b[i]; {
		case c == '<' || c == '[':
			for _, m := range [...]string{"<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "<end_of_turn>", "<</sys>>", "</system>", "</system_prompt>", "</instructions>", "</system-reminder>", "[/inst]", "[/system]"} {
				if starts(b[i:], m) {
					return i + len(m)
				}
			}
		case c == '\n' && words:
			return i
		case c != ' ' && c != '\n':
			words = true
		}
	}
	if len(b) < most {
		return len(b)
	}
	return size
}

// asks says whether the text opens with a question.
func (a *analysis) asks() bool {
	b := a.folded.b
	for _, p := range [...]string{"what ", "how ", "why ", "which ", "where ", "when ", "does ", "is ", "can ", "explain "} {
		if len(b) > len(p) && string(b[:len(p)]) == p {
			return true
		}
	}
	return false
}

func startsAny(b []byte, list ...string) bool {
	for _, s := range list {
		if starts(b, s) {
			return true
		}
	}
	return false
}

func starts(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// angle weighs <|im_start|>system, <<SYS>>, <system> and their like.
func angle(b []byte) (float64, int) {
	for _, m := range [...]string{"<|im_start|>system", "<|system|>", "<<sys>>", "<|start_header_id|>system", "<|im_start|> system", "<|developer|>"} {
		if starts(b, m) {
			return 0.75, len(m)
		}
	}
	for _, m := range [...]string{"<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "<|endoftext|>", "<|end|>", "<|assistant|>", "<|user|>", "<start_of_turn>", "<|endofprompt|>", "<</sys>>"} {
		if starts(b, m) {
			return 0.62, len(m)
		}
	}
	for _, m := range [...]string{"<system>", "</system>", "<system_prompt>", "</system_prompt>", "<tool_call>", "</user>", "<assistant>", "<system ", "</instructions>", "</prompt>", "<system-reminder>", "<function_call"} {
		if starts(b, m) {
			return 0.45, len(m)
		}
	}
	return 0, 0
}

// square weighs [INST] and [system].
func square(b []byte) (float64, int) {
	for _, m := range [...]string{"[inst]", "[/inst]", "[system](#", "[system]:", "[system message]", "[system prompt]", "[/system]", "[system]"} {
		if starts(b, m) {
			return 0.62, len(m)
		}
	}
	return 0, 0
}

// heading weighs "### System:", "system:" at the start of a line, "--- END OF USER INPUT", {{#system}}.
func heading(b []byte) (float64, int) {
	i, marks := 0, 0
	for i < len(b) && i < 12 && (b[i] == '#' || b[i] == '-' || b[i] == '=' || b[i] == ' ' || b[i] == '{') {
		if b[i] != ' ' {
			marks++
		}
		i++
	}
	if b[0] == '{' && marks < 2 {
		return 0, 0
	}
	for _, m := range [...]string{"system:", "system prompt:", "system message:", "system override", "system instruction:", "system instructions:", "new instructions:", "new instruction:",
		"instruction:", "instructions:", "system update:", "end of user input", "end user input", "end of prompt", "begin system", "system~", "end of document", "end of context", "system note:"} {
		if !starts(b[i:], m) {
			continue
		}
		switch {
		case m == "instruction:" || m == "instructions:":
			if marks < 3 {
				return 0, 0
			}
			return 0.45, i + len(m)
		case marks >= 2:
			return 0.65, i + len(m)
		case m == "system:":
			return 0.45, i + len(m)
		case m[0] == 's' || m[0] == 'n':
			return 0.55, i + len(m)
		}
	}
	return 0, 0
}
