package chunker

import (
	"strings"
	"unicode/utf8"
)

// kind says what a block of Markdown is.
type kind uint8

const (
	text    kind = iota // paragraphs, quotes, HTML, rules
	heading             // ATX or setext
	code                // fenced, or front matter
	table
	list
)

// maxTitle bounds a heading in a heading path, in code points, since every chunk below it repeats it.
const maxTitle = 120

// markdown packs section by section: a section is a heading and what follows it up to the next. A heading that stands
// directly over a deeper one goes with it.
func (p *packer) markdown() {
	path := outlineOf(p.heading)
	r := reader{text: p.text}
	for r.at < len(p.text) {
		b, level, name := r.next()
		if b.kind == heading {
			if !p.headed || level <= path.level() {
				p.section()
			}
			p.heading = path.enter(level, name)
		}
		p.add(b)
	}
	p.flush()
}

// reader takes Markdown apart into blocks, in the spirit of CommonMark and GFM tables, as far as cutting needs: it
// looks at the beginnings of lines only, and every line belongs to one block. Blank lines belong to the block before.
type reader struct {
	text string
	at   int
}

// line returns the line that starts at i without its line end, and where the next one starts.
func (r *reader) line(i int) (text string, next int) {
	if n := strings.IndexByte(r.text[i:], '\n'); n >= 0 {
		return strings.TrimSuffix(r.text[i:i+n], "\r"), i + n + 1
	}
	return r.text[i:], len(r.text)
}

// next reads one block, and for a heading its level (1 to 6) and title.
func (r *reader) next() (b block, level int, title string) {
	b.start = r.at
	first, end := r.line(r.at)
	switch {
	case r.at == 0 && r.frontMatter(first, &end):
		b.kind = code
	case r.fence(first, &end):
		b.kind = code
	case isATX(first):
		b.kind = heading
		level, title = atx(first)
	case r.table(first, &end):
		b.kind = table
	case isItem(first):
		b.kind = list
		end = r.listEnd(end)
	case isBlank(first):
	default:
		end, level = r.paragraph(end)
		if level > 0 {
			b.kind = heading
			above := strings.TrimRight(r.text[b.start:end], "=- \t\r\n") // the underline off
			title = clip(strings.Join(strings.Fields(above), " "))
		}
	}
	for end < len(r.text) {
		l, n := r.line(end)
		if !isBlank(l) {
			break
		}
		end = n
	}
	b.end, r.at = end, end
	return b, level, title
}

// frontMatter moves end behind YAML (---) or TOML (+++) front matter, if the document starts with it.
func (r *reader) frontMatter(first string, end *int) bool {
	first = strings.TrimRight(first, " \t")
	if first != "---" && first != "+++" {
		return false
	}
	for i := *end; i < len(r.text); {
		l, n := r.line(i)
		l = strings.TrimRight(l, " \t")
		if l == first || first == "---" && l == "..." {
			*end = n
			return true
		}
		i = n
	}
	return false
}

// fence moves end behind the fenced code that first opens. Without a closing fence it is the rest of the document.
func (r *reader) fence(first string, end *int) bool {
	mark, n := fenceMark(first)
	if n == 0 {
		return false
	}
	for *end < len(r.text) {
		l, next := r.line(*end)
		*end = next
		if c, m := fenceMark(l); c == mark && m >= n && strings.Trim(l, " \t"+string(rune(mark))) == "" {
			break
		}
	}
	return true
}

// fenceMark returns the character and the length of the fence at the start of a line, length 0 for none.
func fenceMark(l string) (mark byte, n int) {
	l = strings.TrimLeft(l, " \t")
	if l == "" || l[0] != '`' && l[0] != '~' {
		return 0, 0
	}
	n = len(l) - len(strings.TrimLeft(l, l[:1]))
	if n < 3 || l[0] == '`' && strings.IndexByte(l[n:], '`') >= 0 { // an inline code span
		return 0, 0
	}
	return l[0], n
}

// table moves end behind the table whose header row is first, if the next line is a delimiter row.
func (r *reader) table(first string, end *int) bool {
	if strings.IndexByte(first, '|') < 0 || *end >= len(r.text) {
		return false
	}
	row, next := r.line(*end)
	if strings.IndexByte(row, '-') < 0 || strings.Trim(row, "|:- \t") != "" {
		return false
	}
	for *end = next; *end < len(r.text); *end = next {
		if row, next = r.line(*end); strings.IndexByte(row, '|') < 0 {
			break
		}
	}
	return true
}

// listEnd returns where the list ends whose first line ended at i: at a line that is neither an item nor indented and
// either follows a blank line or starts another block.
func (r *reader) listEnd(i int) int {
	end := i
	blank := false
	for i < len(r.text) {
		l, next := r.line(i)
		switch {
		case isBlank(l):
			blank = true
			i = next
			continue
		case l[0] == ' ' || l[0] == '\t':
			r.fence(l, &next)
		case isItem(l):
		case blank || isATX(l):
			return end
		default:
			if _, n := fenceMark(l); n > 0 {
				return end
			}
		}
		blank = false
		i = next
		end = next
	}
	return end
}

// paragraph returns where the paragraph ends whose first line ended at i, and the level of the setext heading that it
// turns out to be, else 0.
func (r *reader) paragraph(i int) (end, level int) {
	for i < len(r.text) {
		l, next := r.line(i)
		if isBlank(l) || isATX(l) || isItem(l) {
			return i, 0
		}
		if _, n := fenceMark(l); n > 0 {
			return i, 0
		}
		if after := next; r.table(l, &after) {
			return i, 0
		}
		if n := underline(l); n > 0 {
			return next, n
		}
		i = next
	}
	return i, 0
}

// underline returns 1 for a line of ===, 2 for one of ---, else 0.
func underline(l string) int {
	l = strings.TrimSpace(l)
	switch {
	case l == "":
		return 0
	case strings.Trim(l, "=") == "":
		return 1
	case strings.Trim(l, "-") == "":
		return 2
	}
	return 0
}

func isBlank(l string) bool { return strings.TrimLeft(l, " \t\r") == "" }

func isATX(l string) bool {
	level, _ := atx(l)
	return level > 0
}

// atx returns level and title of a heading line, level 0 for another line.
func atx(l string) (level int, title string) {
	t := strings.TrimLeft(l, " ")
	if len(l)-len(t) > 3 {
		return 0, ""
	}
	rest := strings.TrimLeft(t, "#")
	level = len(t) - len(rest)
	if level == 0 || level > 6 || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return 0, ""
	}
	rest = strings.Trim(rest, " \t")
	if bare := strings.TrimRight(rest, "#"); bare == "" || strings.HasSuffix(bare, " ") || strings.HasSuffix(bare, "\t") {
		rest = strings.TrimRight(bare, " \t") // closing marks
	}
	return level, clip(rest)
}

// isItem says whether a line, not indented by more than three spaces, begins a list item.
func isItem(l string) bool {
	t := strings.TrimLeft(l, " ")
	if len(l)-len(t) > 3 || t == "" {
		return false
	}
	n := 1
	if t[0] != '-' && t[0] != '*' && t[0] != '+' {
		for n = 0; n < len(t) && t[n] >= '0' && t[n] <= '9'; n++ {
		}
		if n == 0 || n > 9 || n == len(t) || t[n] != '.' && t[n] != ')' {
			return false
		}
		n++
	}
	return n == len(t) || t[n] == ' ' || t[n] == '\t'
}

// clip bounds a title.
func clip(s string) string {
	if len(s) <= maxTitle {
		return s
	}
	end, _ := forward(s, 0, len(s), maxTitle)
	if !utf8.ValidString(s[:end]) {
		return strings.ToValidUTF8(s[:end], "\ufffd")
	}
	return s[:end]
}
