package chunker

import "strings"

// html packs section by section, as markdown does: a section is a heading (h1 to h6) and what follows it. Tables, lists
// and preformatted text stay whole where they fit. It reads tags, not a tree: any bytes are taken.
func (p *packer) html() {
	path := outlineOf(p.heading)
	closed := htmlElements(p.text)
	for at := 0; at < len(p.text); {
		end, kind, level := htmlBlock(p.text, at, closed)
		if kind == heading {
			if !p.headed || level <= path.level() {
				p.section()
			}
			p.heading = path.enter(level, clip(htmlText(p.text[at:end])))
		}
		p.add(block{start: at, end: end, kind: kind})
		at = end
	}
	p.flush()
}

// htmlElements returns, by where they begin, where the elements end that stay whole, with the spaces behind them. Those
// that are never closed are not in it.
func htmlElements(text string) map[int]int {
	ends := map[int]int{}
	open := map[string][]int{} // by name
	for i := 0; i < len(text); {
		n := strings.IndexByte(text[i:], '<')
		if n < 0 {
			break
		}
		i += n
		name, closing, after := htmlTag(text, i)
		if name == "" {
			i++
			continue
		}
		if kind, _ := wholeElement(name); kind != 0 {
			stack := open[name]
			switch {
			case !closing:
				open[name] = append(stack, i)
			case len(stack) > 0:
				end := after
				for end < len(text) && isSpace(text[end]) {
					end++
				}
				ends[stack[len(stack)-1]] = end
				open[name] = stack[:len(stack)-1]
			}
		}
		i = after
	}
	return ends
}

// wholeElement says what an element is that stays whole, and a heading's level; kind 0 for any other.
func wholeElement(name string) (k kind, level int) {
	switch name {
	case "h1", "h2", "h3", "h4", "h5", "h6":
		return heading, int(name[1] - '0')
	case "table":
		return table, 0
	case "ul", "ol", "dl":
		return list, 0
	case "pre", "script", "style", "svg":
		return code, 0
	}
	return 0, 0
}

// outline is the headings that a place stands under.
type outline struct {
	levels []int
	titles []string
}

// outlineOf takes a path whose levels are not known for one that leaves none out.
func outlineOf(path []string) (o outline) {
	for i, title := range path {
		o.enter(i+1, title)
	}
	return o
}

func (o *outline) level() int {
	if len(o.levels) == 0 {
		return 0
	}
	return o.levels[len(o.levels)-1]
}

// enter opens a heading and returns the path to it.
func (o *outline) enter(level int, title string) []string {
	n := len(o.levels)
	for n > 0 && o.levels[n-1] >= level {
		n--
	}
	o.levels, o.titles = append(o.levels[:n], level), append(o.titles[:n], title)
	return append([]string(nil), o.titles...)
}

// htmlBlock returns where the block ends that begins at at, what it is, and a heading's level.
func htmlBlock(text string, at int, closed map[int]int) (end int, k kind, level int) {
	name, _, after := htmlTag(text, at)
	if end, ok := closed[at]; ok {
		k, level = wholeElement(name)
		return end, k, level
	}
	// Everything else goes up to the next tag that begins or ends a block.
	i := at
	if name != "" {
		i = after
	}
	for i < len(text) {
		n := strings.IndexByte(text[i:], '<')
		if n < 0 {
			return len(text), 0, 0
		}
		i += n
		name, closing, after := htmlTag(text, i)
		switch {
		case name == "":
			i++
		case !closing && opensBlock(name) && i > at:
			return i, 0, 0
		case closing && opensBlock(name):
			for after < len(text) && isSpace(text[after]) {
				after++
			}
			return after, 0, 0
		default:
			i = after
		}
	}
	return len(text), 0, 0
}

func opensBlock(name string) bool {
	switch name {
	case "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "dl", "pre", "script", "style", "svg", "p", "div", "section", "article",
		"blockquote", "header", "footer", "main", "nav", "aside", "figure", "form", "body", "head", "hr", "tr", "li", "title":
		return true
	}
	return false
}

// Bounds of a tag and of a comment, in bytes: what is longer is text.
const (
	maxTag     = 1024
	maxComment = 16 << 10
)

// htmlTag reads the tag or the comment at at; without one name is empty. A comment's name is "!".
func htmlTag(text string, at int) (name string, closing bool, after int) {
	if at+1 >= len(text) || text[at] != '<' {
		return "", false, at
	}
	i := at + 1
	if strings.HasPrefix(text[i:], "!--") {
		if n := strings.Index(text[i+3:min(len(text), i+maxComment)], "-->"); n >= 0 {
			return "!", false, i + 3 + n + 3
		}
		return "", false, at
	}
	if closing = text[i] == '/'; closing {
		i++
	}
	begin := i
	for i < len(text) && i-begin < 16 && (text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z' || i > begin && text[i] >= '0' && text[i] <= '9') {
		i++
	}
	if i == begin {
		return "", false, at
	}
	name = strings.ToLower(text[begin:i])
	for quote := byte(0); i < len(text) && i-at < maxTag; i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return name, closing, i + 1
		}
	}
	return "", false, at // never closed: text
}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#39;", "'", "&apos;", "'", "&nbsp;", " ", "&amp;", "&")

// htmlText is what a reader sees of HTML.
func htmlText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if name, _, after := htmlTag(s, i); name != "" {
			i = after
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return strings.Join(strings.Fields(entities.Replace(b.String())), " ")
}
