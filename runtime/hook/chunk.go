package hook

// AppendJSON appends the JSON form to b.
func (d *Document) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = optText(b, "name", d.Name)
	b = optText(b, "media_type", d.MediaType)
	b = appendText(b, "text", d.Text)
	b = optText(b, "strategy", d.Strategy)
	b = optInt(b, "size", d.Size)
	b = optInt(b, "overlap", d.Overlap)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of d. Strings of d point into b, which must not change afterwards.
func (d *Document) ParseJSON(b []byte) error { return parseDocument(b, d) }

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
		default:
			s.skip()
		}
	}
}
