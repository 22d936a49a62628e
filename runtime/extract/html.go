package extract

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxToken bounds one tag or text of HTML, in bytes.
const maxToken = 8 << 20

// fromHTML gives the visible text as Markdown: headings, list items and table rows as such. It reads token by token and
// builds no tree, so that nesting costs nothing.
func fromHTML(src string) (string, error) {
	z := html.NewTokenizer(strings.NewReader(src))
	z.SetMaxBuf(maxToken)
	w := &writer{}
	hidden := 0 // depth in elements whose content is not shown
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err == html.ErrBufferExceeded {
				return "", fmt.Errorf("%w: an HTML token of more than %d bytes", ErrDamaged, maxToken)
			}
			return w.done(), nil
		case html.TextToken:
			if hidden == 0 {
				w.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if isHidden(a) {
				hidden++
			}
			if hidden == 0 {
				w.open(a)
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if isHidden(a) {
				hidden = max(hidden-1, 0)
			} else if hidden == 0 {
				w.close(a)
			}
		}
	}
}

func isHidden(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Svg, atom.Iframe:
		return true
	}
	return false
}

// writer writes Markdown from a stream of elements.
type writer struct {
	b     strings.Builder
	line  strings.Builder
	pre   bool
	cells int // of the table row being written; -1: none
	rows  int // of the table
	inRow bool
}

func (w *writer) text(s string) {
	if w.pre {
		w.line.WriteString(s)
		return
	}
	for _, c := range s {
		if c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\u00a0' {
			if n := w.line.Len(); n > 0 && w.line.String()[n-1] != ' ' {
				w.line.WriteByte(' ')
			}
			continue
		}
		w.line.WriteRune(c)
	}
}

// flush ends a line; gap sets it off by a blank one.
func (w *writer) flush(gap bool) {
	line := w.line.String()
	if !w.pre {
		line = strings.TrimSpace(line)
	}
	w.line.Reset()
	if line != "" {
		w.b.WriteString(strings.TrimRight(line, "\n"))
		w.b.WriteByte('\n')
	}
	if n := w.b.Len(); gap && n > 1 && w.b.String()[n-2] != '\n' {
		w.b.WriteByte('\n')
	}
}

func (w *writer) open(a atom.Atom) {
	switch a {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.flush(true)
		w.line.WriteString(strings.Repeat("#", int(a.String()[1]-'0')) + " ")
	case atom.Title:
		w.flush(true)
		w.line.WriteString("# ")
	case atom.Li:
		w.flush(false)
		w.line.WriteString("- ")
	case atom.Br:
		if w.inRow {
			w.line.WriteByte(' ')
			return
		}
		w.flush(false)
	case atom.Pre:
		w.flush(true)
		w.b.WriteString("```\n")
		w.pre = true
	case atom.Tr:
		w.endRow() // rows and cells need no end tags
		w.flush(false)
		w.inRow, w.cells = true, 0
	case atom.Td, atom.Th:
		if w.inRow {
			if s := w.line.String(); w.cells > 0 && s[len(s)-1] != ' ' {
				w.line.WriteByte(' ')
			}
			w.line.WriteString("| ")
			w.cells++
		}
	case atom.Table:
		w.flush(true)
		w.rows = 0
	default:
		if isBlock(a) && !w.inRow {
			w.flush(true)
		}
	}
}

func (w *writer) close(a atom.Atom) {
	switch a {
	case atom.Pre:
		w.flush(false)
		w.pre = false
		w.b.WriteString("```\n\n")
	case atom.Tr:
		w.endRow()
	case atom.Table:
		w.endRow()
		w.flush(true)
	case atom.Li:
		w.flush(false)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Title:
		w.flush(true)
	default:
		if isBlock(a) && !w.inRow {
			w.flush(true)
		}
	}
}

// endRow ends the table row that is open.
func (w *writer) endRow() {
	if w.inRow && w.cells > 0 {
		if s := w.line.String(); s[len(s)-1] != ' ' {
			w.line.WriteByte(' ')
		}
		w.line.WriteByte('|')
		w.flush(false)
		if w.rows++; w.rows == 1 {
			w.b.WriteString(strings.Repeat("|---", min(w.cells, 200)) + "|\n")
		}
	}
	w.inRow = false
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Nav, atom.Aside, atom.Ul, atom.Ol, atom.Dl,
		atom.Dt, atom.Dd, atom.Blockquote, atom.Form, atom.Fieldset, atom.Figure, atom.Figcaption, atom.Hr, atom.Body, atom.Head, atom.Html, atom.Caption:
		return true
	}
	return false
}

func (w *writer) done() string {
	w.flush(false)
	return strings.TrimSpace(w.b.String()) + "\n"
}
