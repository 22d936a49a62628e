package hook

// Valid says whether r is one JSON document, nested no deeper than 128.
func (r Raw) Valid() bool {
	s := &scanner{b: r}
	s.skip()
	return s.end() == nil
}

// IsObject says whether r is one valid JSON object.
func (r Raw) IsObject() bool {
	s := &scanner{b: r}
	return s.peek() == '{' && r.Valid()
}

// Each calls f for each member of an object, in order, until f fails. An empty r and null have no members.
func (r Raw) Each(f func(name string, value Raw) error) error {
	if len(r) == 0 {
		return nil
	}
	s := &scanner{b: r}
	for more := s.open('{'); more; more = s.more('}') {
		name := s.key()
		var v Raw
		if s.raw(&v); s.err != nil {
			break
		}
		if err := f(name, v); err != nil {
			return err
		}
	}
	return s.end()
}

// Text reads a JSON string; null reads as the empty string. The result may point into r.
func (r Raw) Text() (string, error) {
	s := &scanner{b: r}
	var v string
	s.string(&v)
	return v, s.end()
}

// Float reads a JSON number; null reads as 0.
func (r Raw) Float() (float64, error) {
	s := &scanner{b: r}
	var v float64
	s.float(&v)
	return v, s.end()
}

// Items calls f for each item of an array, in order, until f fails. An empty r and null have no items.
func (r Raw) Items(f func(item Raw) error) error {
	if len(r) == 0 {
		return nil
	}
	s := &scanner{b: r}
	for more := s.open('['); more; more = s.more(']') {
		var v Raw
		if s.raw(&v); s.err != nil {
			break
		}
		if err := f(v); err != nil {
			return err
		}
	}
	return s.end()
}
