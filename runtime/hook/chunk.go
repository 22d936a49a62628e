package hook

import (
	"bytes"
	"errors"
	"slices"
)

// AppendJSON appends the JSON form to b.
func (d *Document) AppendJSON(b []byte) []byte {
	b = slices.Grow(b, len(d.Text)+len(d.Text)/16+3*len(d.Tokens)+256)
	b = append(b, '{')
	b = optText(b, "name", d.Name)
	b = optText(b, "media_type", d.MediaType)
	b = appendText(b, "text", d.Text)
	b = optText(b, "strategy", d.Strategy)
	b = optInt(b, "size", d.Size)
	b = optInt(b, "overlap", d.Overlap)
	b = optInt(b, "parent_size", d.ParentSize)
	b = optInt(b, "percentile", d.Percentile)
	b = optInts(b, "tokens", d.Tokens)
	b = optStrings(b, "heading", d.Heading)
	b = optInt(b, "repeat", d.Repeat)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of d. Strings of d point into b, which must not change afterwards.
func (d *Document) ParseJSON(b []byte) error { return parseDocument(b, d) }

// AppendWithText appends what [ExportChunkText] takes: the JSON form without the text, a line feed, and the text as it is.
// To write a long text as JSON and to read it again takes a guest as long as to cut it.
func (d *Document) AppendWithText(b []byte) []byte {
	head := *d
	head.Text = ""
	b = slices.Grow(b, len(d.Text)+4*len(d.Tokens)+256)
	return append(append(head.AppendJSON(b), '\n'), d.Text...)
}

// ParseWithText reads what AppendWithText appends, replacing all of d, which points into b.
func (d *Document) ParseWithText(b []byte) error {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return errors.New("a document has no line feed between its head and its text")
	}
	if err := d.ParseJSON(b[:i]); err != nil {
		return err
	}
	d.Text = view(b[i+1:])
	return nil
}

func (d *Document) parse(s *scanner) {
	*d = Document{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "name":
			s.string(&d.Name)
		case "media_type":
			s.string(&d.MediaType)
		case "text":
			s.string(&d.Text)
		case "strategy":
			s.string(&d.Strategy)
		case "size":
			s.int(&d.Size)
		case "overlap":
			s.int(&d.Overlap)
		case "parent_size":
			s.int(&d.ParentSize)
		case "percentile":
			s.int(&d.Percentile)
		case "tokens":
			s.ints(&d.Tokens)
		case "heading":
			s.strings(&d.Heading)
		case "repeat":
			s.int(&d.Repeat)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (c *ChunkList) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendList(b, "chunks", c.Chunks)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of c. Strings of c point into b, which must not change afterwards.
func (c *ChunkList) ParseJSON(b []byte) error { return parseDocument(b, c) }

func (c *ChunkList) parse(s *scanner) {
	*c = ChunkList{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "chunks":
			list(s, &c.Chunks)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (c *Chunk) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendInt(b, "start", c.Start)
	b = appendInt(b, "end", c.End)
	b = optStrings(b, "heading", c.Heading)
	if c.Parent != nil {
		b = c.Parent.AppendJSON(appendName(b, "parent"))
	}
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of c. Strings of c point into b, which must not change afterwards.
func (c *Chunk) ParseJSON(b []byte) error { return parseDocument(b, c) }

func (c *Chunk) parse(s *scanner) {
	*c = Chunk{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "start":
			s.int(&c.Start)
		case "end":
			s.int(&c.End)
		case "heading":
			s.strings(&c.Heading)
		case "parent":
			if c.Parent = nil; !s.null() {
				c.Parent = &Parent{}
				c.Parent.parse(s)
			}
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (p *Parent) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendInt(b, "id", p.ID)
	b = appendInt(b, "start", p.Start)
	b = appendInt(b, "end", p.End)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of p.
func (p *Parent) ParseJSON(b []byte) error { return parseDocument(b, p) }

func (p *Parent) parse(s *scanner) {
	*p = Parent{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "id":
			s.int(&p.ID)
		case "start":
			s.int(&p.Start)
		case "end":
			s.int(&p.End)
		default:
			s.skip()
		}
	}
}
