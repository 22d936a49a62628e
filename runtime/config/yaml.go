package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

// DecodeYAML decodes a document into v. Unknown keys are errors; an error shows the line that it is about. What the
// decoder panics at (a tag before nothing where a list belongs) is an error as well.
func DecodeYAML(src []byte, v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not a document that can be read: %v", r)
		}
	}()
	if err := yaml.UnmarshalWithOptions(src, v, yaml.Strict()); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return nil
}
