package jinja

import "strconv"

// Expressions. Every node is evaluated by (*run).eval.
type (
	expr     interface{}
	constant struct{ v any }
	name     struct{ name string }
	attrOf   struct {
		of   expr
		name string
	}
	itemOf  struct{ of, key expr }
	sliceOf struct{ of, lo, hi, step expr }
	unary   struct {
		op string
		x  expr
	}
	binary struct {
		op   string
		x, y expr
	}
	compare struct {
		x    expr
		ops  []string
		rest []expr
	}
	conditional struct{ cond, yes, no expr } // no may be nil
	call        struct {
		fn     expr
		args   []expr
		kwargs []kwarg
		line   int
	}
	filter struct {
		x    expr // nil in a filter block
		name string
		call *call
	}
	test struct {
		x    expr
		name string
		args []expr
		not  bool
	}
	listOf struct {
		items []expr
		tuple bool
	}
	dictOf struct{ keys, values []expr }
	kwarg  struct {
		name  string
		value expr
	}
)

type parser struct {
	tokens []token
	at     int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokEOF {
		p.at++
	}
	return t
}

func (p *parser) is(k kind, text string) bool {
	t := p.peek()
	return t.kind == k && t.text == text
}

func (p *parser) accept(k kind, text string) bool {
	if p.is(k, text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(k kind, text string) {
	if !p.accept(k, text) {
		p.unexpected(text)
	}
}

func (p *parser) unexpected(want string) {
	t := p.peek()
	got := t.text
	switch t.kind {
	case tokEOF:
		got = "the end of the template"
	case tokBlockEnd:
		got = "%}"
	case tokOutputEnd:
		got = "}}"
	}
	fail("template line %d: unexpected %.40q, want %s", t.line, got, want)
}

func (p *parser) identifier() string {
	t := p.next()
	if t.kind != tokName {
		p.at--
		p.unexpected("a name")
	}
	return t.text
}

// enter guards the recursion; the caller defers leave.
func (p *parser) enter() {
	if p.depth++; p.depth > maxNesting {
		fail("template line %d: nested deeper than %d: %w", p.peek().line, maxNesting, ErrLimit)
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) parseExpr() expr {
	p.enter()
	defer p.leave()
	x := p.parseOr()
	for p.accept(tokName, "if") {
		c := conditional{cond: p.parseOr(), yes: x}
		if p.accept(tokName, "else") {
			c.no = p.parseExpr()
		}
		x = &c
	}
	return x
}

func (p *parser) parseOr() expr {
	x := p.parseAnd()
	for p.accept(tokName, "or") {
		x = &binary{"or", x, p.parseAnd()}
	}
	return x
}

func (p *parser) parseAnd() expr {
	x := p.parseNot()
	for p.accept(tokName, "and") {
		x = &binary{"and", x, p.parseNot()}
	}
	return x
}

func (p *parser) parseNot() expr {
	if p.accept(tokName, "not") {
		p.enter()
		defer p.leave()
		return &unary{"not", p.parseNot()}
	}
	return p.parseCompare()
}

func (p *parser) parseCompare() expr {
	x := p.parseSum()
	c := &compare{x: x}
	for {
		op := p.comparison()
		if op == "" {
			break
		}
		c.ops = append(c.ops, op)
		c.rest = append(c.rest, p.parseSum())
	}
	if len(c.ops) == 0 {
		return x
	}
	return c
}

func (p *parser) comparison() string {
	t := p.peek()
	switch {
	case t.kind == tokOp:
		switch t.text {
		case "==", "!=", "<", ">", "<=", ">=":
			p.at++
			return t.text
		}
	case t.kind == tokName && t.text == "in":
		p.at++
		return "in"
	case t.kind == tokName && t.text == "not" && p.tokens[p.at+1].kind == tokName && p.tokens[p.at+1].text == "in":
		p.at += 2
		return "not in"
	}
	return ""
}

// infix parses a left-associative level of operators.
func (p *parser) infix(operand func() expr, ops ...string) expr {
	x := operand()
	for {
		t := p.peek()
		found := false
		for _, op := range ops {
			if t.kind == tokOp && t.text == op {
				p.at++
				x = &binary{op, x, operand()}
				found = true
				break
			}
		}
		if !found {
			return x
		}
	}
}

func (p *parser) parseSum() expr     { return p.infix(p.parseConcat, "+", "-") }
func (p *parser) parseConcat() expr  { return p.infix(p.parseProduct, "~") }
func (p *parser) parseProduct() expr { return p.infix(p.parsePower, "*", "/", "//", "%") }
func (p *parser) parsePower() expr {
	return p.infix(func() expr { return p.parseUnary(true) }, "**")
}

func (p *parser) parseUnary(filters bool) expr {
	var x expr
	switch {
	case p.is(tokOp, "-") || p.is(tokOp, "+"):
		op := p.next().text
		p.enter()
		x = &unary{op, p.parseUnary(false)}
		p.leave()
	default:
		x = p.parsePrimary()
	}
	x = p.parsePostfix(x)
	if filters {
		x = p.parseFilters(x)
	}
	return x
}

func (p *parser) parsePrimary() expr {
	t := p.next()
	switch t.kind {
	case tokName:
		switch t.text {
		case "true", "True":
			return &constant{true}
		case "false", "False":
			return &constant{false}
		case "none", "None":
			return &constant{nil}
		}
		return &name{t.text}
	case tokString:
		s := t.text
		for p.peek().kind == tokString { // "a" "b" is one string
			s += p.next().text
		}
		return &constant{s}
	case tokInt:
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			fail("template line %d: number %.40s is too large", t.line, t.text)
		}
		return &constant{n}
	case tokFloat:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			fail("template line %d: number %.40s is too large", t.line, t.text)
		}
		return &constant{f}
	case tokOp:
		switch t.text {
		case "(":
			if p.accept(tokOp, ")") {
				return &listOf{tuple: true}
			}
			x := p.parseTuple(")")
			p.expect(tokOp, ")")
			return x
		case "[":
			l := &listOf{items: p.parseItems("]")}
			p.expect(tokOp, "]")
			return l
		case "{":
			return p.parseDict()
		}
	}
	if t.kind != tokEOF {
		p.at--
	}
	p.unexpected("an expression")
	return nil
}

// parseTuple parses one expression, or several with commas between as a tuple. end is the bracket that may
// follow a trailing comma, "" where a tag's end does.
func (p *parser) parseTuple(end string) expr {
	x := p.parseExpr()
	if !p.is(tokOp, ",") {
		return x
	}
	t := &listOf{items: []expr{x}, tuple: true}
	for p.accept(tokOp, ",") {
		if k := p.peek().kind; end != "" && p.is(tokOp, end) || k == tokBlockEnd || k == tokOutputEnd {
			break
		}
		t.items = append(t.items, p.parseExpr())
	}
	return t
}

func (p *parser) parseItems(end string) []expr {
	var items []expr
	for !p.is(tokOp, end) {
		items = append(items, p.parseExpr())
		if !p.accept(tokOp, ",") {
			break
		}
	}
	return items
}

func (p *parser) parseDict() expr {
	d := &dictOf{}
	for !p.is(tokOp, "}") {
		d.keys = append(d.keys, p.parseExpr())
		p.expect(tokOp, ":")
		d.values = append(d.values, p.parseExpr())
		if !p.accept(tokOp, ",") {
			break
		}
	}
	p.expect(tokOp, "}")
	return d
}

func (p *parser) parsePostfix(x expr) expr {
	for {
		switch {
		case p.accept(tokOp, "."):
			if t := p.peek(); t.kind == tokInt {
				p.at++
				n, _ := strconv.ParseInt(t.text, 10, 64)
				x = &itemOf{x, &constant{n}}
				continue
			}
			x = &attrOf{x, p.identifier()}
		case p.accept(tokOp, "["):
			x = p.parseSubscript(x)
		case p.is(tokOp, "("):
			x = p.parseCall(x)
		default:
			return x
		}
	}
}

func (p *parser) parseSubscript(x expr) expr {
	var parts [3]expr
	n := 0
	for {
		if !p.is(tokOp, ":") && !p.is(tokOp, "]") {
			parts[n] = p.parseExpr()
		}
		if n == 2 || !p.accept(tokOp, ":") {
			break
		}
		n++
	}
	p.expect(tokOp, "]")
	if n > 0 {
		return &sliceOf{x, parts[0], parts[1], parts[2]}
	}
	if parts[0] == nil {
		p.unexpected("a subscript")
	}
	return &itemOf{x, parts[0]}
}

func (p *parser) parseCall(fn expr) *call {
	c := &call{fn: fn, line: p.peek().line}
	p.expect(tokOp, "(")
	for !p.is(tokOp, ")") {
		if p.peek().kind == tokName && p.tokens[p.at+1].kind == tokOp && p.tokens[p.at+1].text == "=" {
			k := p.identifier()
			p.at++
			c.kwargs = append(c.kwargs, kwarg{k, p.parseExpr()})
		} else {
			if len(c.kwargs) > 0 {
				p.unexpected("a keyword argument")
			}
			c.args = append(c.args, p.parseExpr())
		}
		if !p.accept(tokOp, ",") {
			break
		}
	}
	p.expect(tokOp, ")")
	return c
}

func (p *parser) parseFilters(x expr) expr {
	for {
		switch {
		case p.accept(tokOp, "|"):
			x = p.parseFilter(x)
		case p.accept(tokName, "is"):
			x = p.parseTest(x)
		case p.is(tokOp, "("): // calls are valid both after postfix and after filter and test
			x = p.parseCall(x)
		default:
			return x
		}
	}
}

func (p *parser) parseFilter(x expr) *filter {
	line := p.peek().line
	f := &filter{x: x, name: p.identifier(), call: &call{line: line}}
	for p.accept(tokOp, ".") {
		f.name += "." + p.identifier()
	}
	if _, ok := filters[f.name]; !ok {
		fail("template line %d: no filter named %q", line, f.name)
	}
	if p.is(tokOp, "(") {
		f.call = p.parseCall(nil)
	}
	return f
}

func (p *parser) parseTest(x expr) expr {
	t := &test{x: x, not: p.accept(tokName, "not")}
	line := p.peek().line
	t.name = p.identifier()
	if _, ok := tests[t.name]; !ok {
		fail("template line %d: no test named %q", line, t.name)
	}
	if p.is(tokOp, "(") {
		t.args = p.parseCall(nil).args
		return t
	}
	switch next := p.peek(); next.kind {
	case tokName:
		switch next.text {
		case "else", "or", "and", "if", "is", "in", "not":
			return t
		}
	case tokInt, tokFloat, tokString:
	case tokOp:
		if next.text != "[" && next.text != "{" {
			return t
		}
	default:
		return t
	}
	t.args = []expr{p.parsePostfix(p.parsePrimary())}
	return t
}
