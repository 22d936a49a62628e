package hook

// AppendJSON appends the JSON form to b.
func (r *RouteRequest) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = optText(b, "request_id", r.RequestID)
	b = optText(b, "tenant", r.Tenant)
	b = appendText(b, "route", r.Route)
	b = appendList(b, "messages", r.Messages)
	b = optInt(b, "max_tokens", r.MaxTokens)
	b = optStrings(b, "tools", r.Tools)
	b = appendList(b, "models", r.Models)
	b = optList(b, "examples", r.Examples)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of r; new lists are written over the old ones. Strings of r point into b, which must
// not change afterwards.
func (r *RouteRequest) ParseJSON(b []byte) error { return parseDocument(b, r) }

func (r *RouteRequest) parse(s *scanner) {
	old := *r
	*r = RouteRequest{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "request_id":
			s.string(&r.RequestID)
		case "tenant":
			s.string(&r.Tenant)
		case "route":
			s.string(&r.Route)
		case "messages":
			r.Messages = old.Messages
			list(s, &r.Messages)
		case "max_tokens":
			s.int(&r.MaxTokens)
		case "tools":
			r.Tools = old.Tools
			s.strings(&r.Tools)
		case "models":
			r.Models = old.Models
			list(s, &r.Models)
		case "examples":
			list(s, &r.Examples)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (r *RouteDecision) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = optText(b, "model", r.Model)
	b = optText(b, "tier", r.Tier)
	b = optInt(b, "max_tokens", r.MaxTokens)
	b = optInt(b, "retrieval_depth", r.RetrievalDepth)
	b = optText(b, "reason", r.Reason)
	b = optFloat(b, "confidence", r.Confidence)
	b = optBool(b, "sensitive", r.Sensitive)
	b = optList(b, "tool_calls", r.ToolCalls)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of r. Strings of r point into b, which must not change afterwards.
func (r *RouteDecision) ParseJSON(b []byte) error { return parseDocument(b, r) }

func (r *RouteDecision) parse(s *scanner) {
	*r = RouteDecision{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "model":
			s.string(&r.Model)
		case "tier":
			s.string(&r.Tier)
		case "max_tokens":
			s.int(&r.MaxTokens)
		case "retrieval_depth":
			s.int(&r.RetrievalDepth)
		case "reason":
			s.string(&r.Reason)
		case "confidence":
			s.float(&r.Confidence)
		case "sensitive":
			s.bool(&r.Sensitive)
		case "tool_calls":
			list(s, &r.ToolCalls)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (e *Example) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "name", e.Name)
	b = appendFloat(b, "score", e.Score)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of e. Strings of e point into b, which must not change afterwards.
func (e *Example) ParseJSON(b []byte) error { return parseDocument(b, e) }

func (e *Example) parse(s *scanner) {
	*e = Example{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "name":
			s.string(&e.Name)
		case "score":
			s.float(&e.Score)
		default:
			s.skip()
		}
	}
}
