package extract

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth bounds the nesting of XML.
const maxDepth = 256

// fromDOCX gives paragraphs, headings, list items and table rows of a Word document as Markdown.
func fromDOCX(data []byte) (string, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", fmt.Errorf("%w: DOCX: %w", ErrDamaged, err)
	}
	for _, f := range z.File {
		if f.Name != "word/document.xml" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return "", fmt.Errorf("%w: DOCX: %w", ErrDamaged, err)
		}
		defer r.Close()
		// What it unpacks to is bounded, whatever the archive says of it.
		return readWord(&bounded{r, MaxText})
	}
	return "", fmt.Errorf("%w: DOCX: it has no word/document.xml", ErrDamaged)
}

// bounded fails, where io.LimitReader would end, once more than left bytes were read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrTooLarge, MaxText)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func readWord(r io.Reader) (string, error) {
	d := xml.NewDecoder(r)
	d.Entity = map[string]string{}
	var out, para strings.Builder
	var prefix string
	var inText bool
	var depth, tables, cells, rows int
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if errors.Is(err, ErrTooLarge) {
			return "", err
		}
		if err != nil {
			return "", fmt.Errorf("%w: DOCX: %w", ErrDamaged, err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return "", fmt.Errorf("%w: DOCX: XML nested deeper than %d", ErrDamaged, maxDepth)
			}
			switch t.Name.Local {
			case "p":
				if tables == 0 {
					para.Reset()
				}
				prefix = ""
			case "pStyle":
				prefix = headingPrefix(attribute(t, "val"))
			case "numPr":
				if prefix == "" {
					prefix = "- "
				}
			case "t":
				inText = true
			case "tab":
				para.WriteByte('\t')
			case "br", "cr":
				para.WriteByte('\n')
			case "tbl":
				if tables++; tables == 1 {
					rows = 0
				}
			case "tr":
				if tables == 1 {
					para.Reset()
					cells = 0
				}
			case "tc":
				if tables == 1 {
					para.WriteString("| ")
					cells++
				}
			}
		case xml.EndElement:
			depth--
			switch t.Name.Local {
			case "t":
				inText = false
			case "p":
				if tables > 0 {
					para.WriteByte(' ')
					break
				}
				if s := strings.TrimSpace(para.String()); s != "" {
					out.WriteString(prefix + s + "\n")
					if prefix != "- " {
						out.WriteByte('\n')
					}
				}
			case "tr":
				if tables == 1 && cells > 0 {
					out.WriteString(strings.ReplaceAll(strings.TrimSpace(para.String()), "\n", " ") + " |\n")
					if rows++; rows == 1 {
						out.WriteString(strings.Repeat("|---", min(cells, 200)) + "|\n")
					}
				}
			case "tbl":
				if tables--; tables == 0 {
					para.Reset()
					out.WriteByte('\n')
				}
			}
		case xml.CharData:
			if inText {
				para.Write(t)
			}
		}
		if out.Len()+para.Len() > MaxText {
			return "", ErrTooLarge
		}
	}
	return out.String(), nil
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// headingPrefix is the Markdown of a paragraph style.
func headingPrefix(style string) string {
	s := strings.ToLower(strings.ReplaceAll(style, " ", ""))
	if s == "title" || s == "titel" || s == "titre" {
		return "# "
	}
	for _, name := range []string{"heading", "berschrift", "titre", "titolo", "ttulo", "kop"} { // Word names styles in its language
		if at := strings.Index(s, name); at >= 0 && len(s) == at+len(name)+1 {
			if n := s[len(s)-1]; n >= '1' && n <= '6' {
				return strings.Repeat("#", int(n-'0')) + " "
			}
		}
	}
	if strings.HasPrefix(s, "listparagraph") || strings.HasPrefix(s, "listbullet") || strings.HasPrefix(s, "listnumber") {
		return "- "
	}
	return ""
}
