package hook

// AppendJSON appends the JSON form to b.
func (g *GuardRequest) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = optText(b, "request_id", g.RequestID)
	b = optText(b, "tenant", g.Tenant)
	b = optText(b, "route", g.Route)
	b = appendText(b, "stage", g.Stage)
	b = optText(b, "role", g.Role)
	b = appendText(b, "text", g.Text)
	b = optInt(b, "start", g.Start)
	b = optBool(b, "final", g.Final)
	b = optStrings(b, "passages", g.Passages)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of g. Strings of g point into b, which must not change afterwards.
func (g *GuardRequest) ParseJSON(b []byte) error { return parseDocument(b, g) }

func (g *GuardRequest) parse(s *scanner) {
	*g = GuardRequest{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "request_id":
			s.string(&g.RequestID)
		case "tenant":
			s.string(&g.Tenant)
		case "route":
			s.string(&g.Route)
		case "stage":
			s.string(&g.Stage)
		case "role":
			s.string(&g.Role)
		case "text":
			s.string(&g.Text)
		case "start":
			s.int(&g.Start)
		case "final":
			s.bool(&g.Final)
		case "passages":
			s.strings(&g.Passages)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (v *Verdict) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "verdict", v.Verdict)
	b = optText(b, "reason", v.Reason)
	b = optList(b, "spans", v.Spans)
	b = optInt(b, "hold", v.Hold)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of v. Strings of v point into b, which must not change afterwards.
func (v *Verdict) ParseJSON(b []byte) error { return parseDocument(b, v) }

func (v *Verdict) parse(s *scanner) {
	*v = Verdict{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "verdict":
			s.string(&v.Verdict)
		case "reason":
			s.string(&v.Reason)
		case "spans":
			list(s, &v.Spans)
		case "hold":
			s.int(&v.Hold)
		default:
			s.skip()
		}
	}
}

// AppendJSON appends the JSON form to b.
func (p *Span) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendInt(b, "start", p.Start)
	b = appendInt(b, "end", p.End)
	b = optText(b, "entity", p.Entity)
	b = optText(b, "rule", p.Rule)
	b = optFloat(b, "confidence", p.Confidence)
	b = optText(b, "replacement", p.Replacement)
	return append(b, '}')
}

// ParseJSON reads the JSON form, replacing all of p. Strings of p point into b, which must not change afterwards.
func (p *Span) ParseJSON(b []byte) error { return parseDocument(b, p) }

func (p *Span) parse(s *scanner) {
	*p = Span{}
	for more := s.open('{'); more; more = s.more('}') {
		switch s.key() {
		case "start":
			s.int(&p.Start)
		case "end":
			s.int(&p.End)
		case "entity":
			s.string(&p.Entity)
		case "rule":
			s.string(&p.Rule)
		case "confidence":
			s.float(&p.Confidence)
		case "replacement":
			s.string(&p.Replacement)
		default:
			s.skip()
		}
	}
}
