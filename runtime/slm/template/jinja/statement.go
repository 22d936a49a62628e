package jinja

// Statements. Every node is run by (*run).exec.
type (
	node       interface{}
	textNode   struct{ text string }
	outputNode struct{ x expr }
	ifNode     struct {
		conds  []expr
		bodies [][]node // one more than conds where there is an else
	}
	forNode struct {
		target     expr
		iter, cond expr // cond may be nil
		recursive  bool
		body, none []node
	}
	setNode struct {
		target expr
		value  expr
		body   []node    // block form
		filter []*filter // of the block form
	}
	macroNode struct {
		name     string // "" for a call block
		params   []string
		defaults []expr // of the last params
		body     []node
	}
	callNode struct {
		call   *call
		caller *macroNode
	}
	filterNode struct {
		filters []*filter
		body    []node
	}
	withNode struct {
		targets, values []expr
		body            []node
	}
	breakNode    struct{}
	continueNode struct{}
)

// parseBody parses up to the end of the template, or up to a block tag whose first word is one of ends;
// that word is consumed and its tag left for the caller to finish.
func (p *parser) parseBody(ends ...string) []node {
	body, _ := p.parseUntil(ends...)
	return body
}

func (p *parser) parseUntil(ends ...string) ([]node, string) {
	p.enter()
	defer p.leave()
	var body []node
	for {
		t := p.next()
		switch t.kind {
		case tokData:
			body = append(body, &textNode{t.text})
		case tokOutput:
			body = append(body, &outputNode{p.parseTuple("")})
			if p.next().kind != tokOutputEnd {
				p.at--
				p.unexpected("}}")
			}
		case tokBlock:
			word := p.identifier()
			for _, end := range ends {
				if word == end {
					return body, word
				}
			}
			if n := p.parseStatement(word, t.line); n != nil {
				body = append(body, n)
			}
		default:
			if len(ends) > 0 {
				p.unexpected("{% " + ends[len(ends)-1] + " %}")
			}
			return body, ""
		}
	}
}

func (p *parser) endTag() {
	if p.peek().kind != tokBlockEnd {
		p.unexpected("%}")
	}
	p.at++
}

func (p *parser) parseStatement(word string, line int) node {
	switch word {
	case "if":
		return p.parseIf()
	case "for":
		return p.parseFor()
	case "set":
		return p.parseSet()
	case "macro":
		m := &macroNode{name: p.identifier()}
		p.parseParams(m)
		p.endTag()
		m.body = p.parseBody("endmacro")
		p.accept(tokName, m.name) // {% endmacro name %}
		p.endTag()
		return m
	case "call":
		return p.parseCallBlock()
	case "filter":
		f := &filterNode{filters: p.parseFilterChain()}
		p.endTag()
		f.body = p.parseBody("endfilter")
		p.endTag()
		return f
	case "with":
		return p.parseWith()
	case "generation": // marks what training takes as the assistant's; it renders as its body
		p.endTag()
		body := p.parseBody("endgeneration")
		p.endTag()
		return &withNode{body: body}
	case "break":
		p.endTag()
		return &breakNode{}
	case "continue":
		p.endTag()
		return &continueNode{}
	case "include", "import", "extends", "from", "block":
		fail("template line %d: %q is refused: a chat template may not read other templates", line, word)
	}
	fail("template line %d: unknown statement %.40q", line, word)
	return nil
}

func (p *parser) parseIf() node {
	n := &ifNode{}
	n.conds = append(n.conds, p.parseTuple(""))
	p.endTag()
	for {
		body, end := p.parseUntil("elif", "else", "endif")
		n.bodies = append(n.bodies, body)
		switch end {
		case "elif":
			n.conds = append(n.conds, p.parseTuple(""))
			p.endTag()
			continue
		case "else":
			p.endTag()
			n.bodies = append(n.bodies, p.parseBody("endif"))
		}
		p.endTag()
		return n
	}
}

func (p *parser) parseFor() node {
	n := &forNode{target: p.parseTarget()}
	p.expect(tokName, "in")
	n.iter = p.parseIterable()
	if p.accept(tokName, "if") {
		n.cond = p.parseExpr()
	}
	n.recursive = p.accept(tokName, "recursive")
	p.endTag()
	body, end := p.parseUntil("else", "endfor")
	n.body = body
	if end == "else" {
		p.endTag()
		n.none = p.parseBody("endfor")
	}
	p.endTag()
	return n
}

// parseIterable is an expression without inline if, which would swallow the loop's own.
func (p *parser) parseIterable() expr {
	x := p.parseOr()
	if !p.is(tokOp, ",") {
		return x
	}
	t := &listOf{items: []expr{x}, tuple: true}
	for p.accept(tokOp, ",") {
		if p.peek().kind == tokBlockEnd {
			break
		}
		t.items = append(t.items, p.parseOr())
	}
	return t
}

// parseTarget is a name, several with commas between, or namespace.attribute.
func (p *parser) parseTarget() expr {
	if p.accept(tokOp, "(") {
		t := p.parseTarget()
		p.expect(tokOp, ")")
		return t
	}
	first := p.identifier()
	if p.accept(tokOp, ".") {
		return &attrOf{&name{first}, p.identifier()}
	}
	if !p.is(tokOp, ",") {
		return &name{first}
	}
	t := &listOf{items: []expr{&name{first}}, tuple: true}
	for p.accept(tokOp, ",") {
		if p.peek().kind != tokName || p.peek().text == "in" {
			break
		}
		t.items = append(t.items, &name{p.identifier()})
	}
	return t
}

func (p *parser) parseSet() node {
	n := &setNode{target: p.parseTarget()}
	if p.accept(tokOp, "=") {
		n.value = p.parseTuple("")
		p.endTag()
		return n
	}
	if p.accept(tokOp, "|") {
		n.filter = p.parseFilterChain()
	}
	p.endTag()
	n.body = p.parseBody("endset")
	p.endTag()
	return n
}

func (p *parser) parseFilterChain() []*filter {
	chain := []*filter{p.parseFilter(nil)}
	for p.accept(tokOp, "|") {
		chain = append(chain, p.parseFilter(nil))
	}
	return chain
}

func (p *parser) parseParams(m *macroNode) {
	p.expect(tokOp, "(")
	for !p.is(tokOp, ")") {
		m.params = append(m.params, p.identifier())
		if p.accept(tokOp, "=") {
			m.defaults = append(m.defaults, p.parseExpr())
		} else if len(m.defaults) > 0 {
			p.unexpected("a default value")
		}
		if !p.accept(tokOp, ",") {
			break
		}
	}
	p.expect(tokOp, ")")
}

func (p *parser) parseCallBlock() node {
	m := &macroNode{}
	if p.is(tokOp, "(") {
		p.parseParams(m)
	}
	c, ok := p.parseUnary(false).(*call)
	if !ok {
		p.unexpected("a call")
	}
	p.endTag()
	m.body = p.parseBody("endcall")
	p.endTag()
	return &callNode{c, m}
}

func (p *parser) parseWith() node {
	n := &withNode{}
	for p.peek().kind != tokBlockEnd {
		n.targets = append(n.targets, p.parseTarget())
		p.expect(tokOp, "=")
		n.values = append(n.values, p.parseExpr())
		if !p.accept(tokOp, ",") {
			break
		}
	}
	p.endTag()
	n.body = p.parseBody("endwith")
	p.endTag()
	return n
}
