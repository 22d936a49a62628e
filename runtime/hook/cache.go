package hook

// AppendJSON appends the JSON form to b.
func (c *CacheRequest) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = optText(b, "request_id", c.RequestID)
	b = optText(b, "tenant", c.Tenant)
	b = appendText(b, "route", c.Route)
	b = appendText(b, "model", c.Model)
	b = appendText(b, "model_digest", c.ModelDigest)
	b = optText(b, "prompt_version", c.PromptVersion)
	b = appendList(b, "messages", c.Messages)
	b = optText(b, "tools_digest", c.ToolsDigest)
	b = appendText(b, "params", c.Params)
	b = appendFloat(b, "temperature", c.Temperature)
	b = optInt(b, "choices", c.Choices)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of c. Strings of c point into b, which must not change afterwards.
func (c *CacheRequest) ParseJSON(b []byte) error { return parseDocument(b, c) }

func (c *CacheRequest) parse(s *scanner) {
	*c = CacheRequest{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "request_id":
			s.string(&c.RequestID)
		case "tenant":
			s.string(&c.Tenant)
		case "route":
			s.string(&c.Route)
		case "model":
			s.string(&c.Model)
		case "model_digest":
			s.string(&c.ModelDigest)
		case "prompt_version":
			s.string(&c.PromptVersion)
		case "messages":
			list(s, &c.Messages)
		case "tools_digest":
			s.string(&c.ToolsDigest)
		case "params":
			s.string(&c.Params)
		case "temperature":
			s.float(&c.Temperature)
		case "choices":
			s.int(&c.Choices)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (c *CachePlan) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendBool(b, "lookup", c.Lookup)
	b = appendBool(b, "admit", c.Admit)
	b = optStrings(b, "key_parts", c.KeyParts)
	b = optText(b, "text", c.Text)
	b = optFloat(b, "threshold", c.Threshold)
	b = optInt(b, "ttl_seconds", c.TTLSeconds)
	b = optText(b, "reason", c.Reason)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of c. Strings of c point into b, which must not change afterwards.
func (c *CachePlan) ParseJSON(b []byte) error { return parseDocument(b, c) }

func (c *CachePlan) parse(s *scanner) {
	*c = CachePlan{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "lookup":
			s.bool(&c.Lookup)
		case "admit":
			s.bool(&c.Admit)
		case "key_parts":
			s.strings(&c.KeyParts)
		case "text":
			s.string(&c.Text)
		case "threshold":
			s.float(&c.Threshold)
		case "ttl_seconds":
			s.int(&c.TTLSeconds)
		case "reason":
			s.string(&c.Reason)
		default:
			s.skip()
		}
	}
}
