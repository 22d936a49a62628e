package hook

// AppendJSON appends the JSON form to b.
func (t *ToolList) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendList(b, "tools", t.Tools)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *ToolList) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *ToolList) parse(s *scanner) {
	*t = ToolList{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "tools":
			list(s, &t.Tools)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (t *Tool) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "name", t.Name)
	b = optText(b, "description", t.Description)
	b = appendRaw(b, "inputSchema", t.InputSchema)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *Tool) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *Tool) parse(s *scanner) {
	*t = Tool{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "name":
			s.string(&t.Name)
		case "description":
			s.string(&t.Description)
		case "inputSchema":
			s.raw(&t.InputSchema)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (t *ToolRequest) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = optText(b, "method", t.Method)
	b = t.Params.AppendJSON(appendName(b, "params"))
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *ToolRequest) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *ToolRequest) parse(s *scanner) {
	*t = ToolRequest{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "method":
			s.string(&t.Method)
		case "params":
			t.Params.parse(s)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (t *ToolParams) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "name", t.Name)
	if len(t.Arguments) > 0 {
		b = appendRaw(b, "arguments", t.Arguments)
	}
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *ToolParams) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *ToolParams) parse(s *scanner) {
	*t = ToolParams{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "name":
			s.string(&t.Name)
		case "arguments":
			s.raw(&t.Arguments)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (t *ToolResult) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendList(b, "content", t.Content)
	b = optBool(b, "isError", t.IsError)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *ToolResult) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *ToolResult) parse(s *scanner) {
	*t = ToolResult{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "content":
			list(s, &t.Content)
		case "isError":
			s.bool(&t.IsError)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (t *ToolContent) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "type", t.Type)
	b = optText(b, "text", t.Text)
	b = optText(b, "data", t.Data)
	b = optText(b, "mimeType", t.MimeType)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *ToolContent) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *ToolContent) parse(s *scanner) {
	*t = ToolContent{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "type":
			s.string(&t.Type)
		case "text":
			s.string(&t.Text)
		case "data":
			s.string(&t.Data)
		case "mimeType":
			s.string(&t.MimeType)
		default:
			s.skip()
		}
	}
}
