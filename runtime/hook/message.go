package hook

// AppendJSON appends the JSON form to b.
func (m *Message) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "role", m.Role)
	b = appendText(b, "content", m.Content)
	b = optText(b, "name", m.Name)
	b = optText(b, "tool_call_id", m.ToolCallID)
	b = optList(b, "tool_calls", m.ToolCalls)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of m. Strings of m point into b, which must not change afterwards.
func (m *Message) ParseJSON(b []byte) error { return parseDocument(b, m) }

func (m *Message) parse(s *scanner) {
	*m = Message{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "role":
			s.string(&m.Role)
		case "content":
			s.string(&m.Content)
		case "name":
			s.string(&m.Name)
		case "tool_call_id":
			s.string(&m.ToolCallID)
		case "tool_calls":
			list(s, &m.ToolCalls)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (t *ToolCall) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "id", t.ID)
	b = appendText(b, "name", t.Name)
	b = appendText(b, "arguments", t.Arguments)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of t. Strings of t point into b, which must not change afterwards.
func (t *ToolCall) ParseJSON(b []byte) error { return parseDocument(b, t) }

func (t *ToolCall) parse(s *scanner) {
	*t = ToolCall{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "id":
			s.string(&t.ID)
		case "name":
			s.string(&t.Name)
		case "arguments":
			s.string(&t.Arguments)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (m *Model) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "id", m.ID)
	b = optInt(b, "context_tokens", m.ContextTokens)
	b = optText(b, "tier", m.Tier)
	b = optBool(b, "remote", m.Remote)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of m. Strings of m point into b, which must not change afterwards.
func (m *Model) ParseJSON(b []byte) error { return parseDocument(b, m) }

func (m *Model) parse(s *scanner) {
	*m = Model{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "id":
			s.string(&m.ID)
		case "context_tokens":
			s.int(&m.ContextTokens)
		case "tier":
			s.string(&m.Tier)
		case "remote":
			s.bool(&m.Remote)
		default:
			s.skip()
		}
	}
}
