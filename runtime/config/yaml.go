package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// DecodeYAML decodes a document into v. Unknown keys are errors; an error shows the line that it is about. What the
// decoder panics at (a tag before nothing where a list belongs) is an error as well.
func DecodeYAML(src []byte, v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not a document that can be read: %v", r)
		}
	}()
	if nesting(src) > maxNesting {
		return fmt.Errorf("lists and maps are nested deeper than %d", maxNesting)
	}
	if err := yaml.UnmarshalWithOptions(src, v, yaml.Strict()); err != nil {
		return errors.New(presentable(yaml.FormatError(err, false, true)))
	}
	return nil
}

// maxNesting bounds the brackets within brackets of a document: the decoder takes time that grows with their square.
const maxNesting = 256

// nesting is how many brackets of a document are open at once, at most. Those in strings count as well: it is a bound.
func nesting(src []byte) (deepest int) {
	open := 0
	for _, c := range src {
		switch c {
		case '[', '{':
			open++
			deepest = max(deepest, open)
		case ']', '}':
			open = max(open-1, 0)
		}
	}
	return deepest
}

// scalar is a value of a type of ours: its text, and where it stands.
type scalar struct {
	text  string
	token *token.Token
}

// UnmarshalYAML notes where the value stands.
func (s *scalar) UnmarshalYAML(n ast.Node) error {
	s.token = n.GetToken()
	return nil
}

func scalarOf(decode func(any) error) (scalar, error) {
	var s scalar
	if err := decode(&s.text); err != nil {
		return s, err
	}
	return s, decode(&s)
}

// fault is an error about the value that shows its line; nil for nil.
func (s *scalar) fault(err error) error {
	if err == nil {
		return nil
	}
	return &yaml.SyntaxError{Message: err.Error(), Token: s.token}
}

// maxShown bounds a line of a document in an error, in bytes.
const maxShown = 200

// literalSecret is a secret that stands in a document itself.
var literalSecret = regexp.MustCompile(`(api_key["']?\s*:\s*["']?)([^\s$,}"'][^\s,}"']*)`)

// presentable shortens long lines of an error that shows a part of a document, and takes literal secrets out.
func presentable(shown string) string {
	shown = literalSecret.ReplaceAllString(strings.TrimSpace(shown), "$1[secret]")
	lines := strings.Split(shown, "\n")
	for i, line := range lines {
		if len(line) > maxShown {
			lines[i] = strings.ToValidUTF8(line[:maxShown], "") + "..."
		}
	}
	return strings.Join(lines, "\n")
}
