package injectionguard

import "strings"

// images looks for Markdown and HTML images whose address carries data to another host: a client that shows the image
// sends them. It returns the offset of an image that is not complete at the end of the text, or its length.
func (a *analysis) images() (open int) {
	t := a.text
	open = len(t)
	if strings.IndexByte(t, '!') < 0 && strings.IndexByte(t, '<') < 0 {
		return open
	}
	for i := 0; i < len(t); i++ {
		if t[i] != '!' && t[i] != '<' {
			continue
		}
		switch {
		case t[i] == '!' && i+1 == len(t):
			return i
		case t[i] == '!' && t[i+1] == '[':
			j, ok := markdownTarget(t, i+2)
			if !ok {
				continue
			}
			if j == len(t) {
				return i
			}
			if end := a.target(i, j, ')'); end == len(t) {
				return i
			}
		case t[i] == '<' && len(t)-i < 4 && t[i:] == "<img"[:len(t)-i]:
			return i
		case t[i] == '<' && len(t)-i >= 4 && t[i+1]|0x20 == 'i' && t[i+2]|0x20 == 'm' && t[i+3]|0x20 == 'g':
			j := i + 4
			for j < len(t) && t[j] != '>' && j-i < MaxHold && !(t[j] == '=' && t[j-1]|0x20 == 'c' && t[j-2]|0x20 == 'r') {
				j++
			}
			if j == len(t) {
				return i
			}
			if t[j] != '=' {
				continue
			}
			if j++; j < len(t) && (t[j] == '"' || t[j] == '\'') {
				j++
			}
			if end := a.target(i, j, '>'); end == len(t) {
				return i
			}
		}
	}
	return open
}

// markdownTarget returns where the address of an image starts whose caption starts at i; the text's length if it ends
// before.
func markdownTarget(t string, i int) (at int, ok bool) {
	from := i
	for i < len(t) && t[i] != ']' {
		if t[i] == '\n' || i-from > 128 {
			return 0, false
		}
		i++
	}
	if i+1 >= len(t) {
		return len(t), true
	}
	if t[i+1] != '(' {
		return 0, false
	}
	return i + 2, true
}

// target weighs the address at [at, ...) of an image that starts at i and returns where it ends.
func (a *analysis) target(i, at int, closing byte) (end int) {
	t := a.text
	end = at
	query := -1
	for end < len(t) && t[end] != closing && t[end] != '"' && t[end] != ' ' && t[end] != '\n' && end-i < 2048 {
		if t[end] == '!' && end+1 < len(t) && t[end+1] == '[' {
			break // the next image: no byte is read twice
		}
		if t[end] == '?' && query < 0 {
			query = end + 1
		}
		end++
	}
	address := t[at:end]
	if !remote(address) {
		return end
	}
	w := 0.0
	if query >= 0 {
		w = weighQuery(t[query:end])
	} else if longestSegment(address) >= 80 {
		w = 0.62
	}
	if w > 0 {
		a.addRange("image-exfiltration", w, i, min(end+1, len(t)))
	}
	return end
}

func remote(address string) bool {
	for _, p := range [...]string{"http://", "https://", "//", "HTTP://", "HTTPS://"} {
		if len(address) > len(p) && address[:len(p)] == p {
			return true
		}
	}
	return false
}

// weighQuery weighs the parameters of an address: names that mean data, values that are placeholders, sentences or long.
func weighQuery(q string) (w float64) {
	for len(q) > 0 {
		param := q
		for i := range len(q) {
			if q[i] == '&' {
				param = q[:i]
				break
			}
		}
		q = q[min(len(param)+1, len(q)):]
		name, value := param, ""
		for i := range len(param) {
			if param[i] == '=' {
				name, value = param[:i], param[i+1:]
				break
			}
		}
		if value == "" {
			value = name
			name = "data"
		}
		spaces, holes := 0, 0
		for i := range len(value) {
			switch value[i] {
			case '+':
				spaces++
			case '%':
				if i+2 < len(value) && value[i+1] == '2' && value[i+2] == '0' {
					spaces++
				}
			case '{', '<', '[', '$':
				holes++
			}
		}
		carries := false
		switch name {
		case "data", "d", "q", "secret", "msg", "message", "text", "c", "content", "info", "leak", "payload", "conversation", "history", "summary",
			"prompt", "key", "password", "token", "email", "chat", "log", "exfil", "s", "p", "x", "body", "user", "context":
			carries = true
		}
		switch {
		case holes > 0 || spaces >= 2 || carries && len(value) >= 10:
			w = max(w, 0.8)
		case len(value) >= 48 && name != "X-Amz-Signature" && name != "sig" && name != "signature" && name != "Signature":
			w = max(w, 0.62)
		}
	}
	return w
}

func longestSegment(address string) (longest int) {
	n := 0
	for i := range len(address) {
		if address[i] == '/' {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}

// hold is how many bytes from offset open on stay, of those not released yet. An image that is longer than MaxHold is
// let go: the host's window cannot hold it.
func hold(text string, open, start int) int {
	n := len(text) - max(open, start)
	if n > MaxHold {
		n = MaxHold
		for n > 0 && text[len(text)-n]&0xc0 == 0x80 {
			n--
		}
	}
	return max(n, 0)
}
