package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// object is a JSON object with its keys in the order of the text.
type object struct {
	keys []string
	m    map[string]any
}

// parseJSON reads a document into nil, bool, json.Number, string, []any and *object.
func parseJSON(doc []byte) (any, error) {
	if len(doc) > MaxSource {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrLimit, len(doc), MaxSource)
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more follows behind the JSON document")
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrLimit, maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := &object{m: map[string]any{}}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			key := k.(string) // the decoder takes nothing else here
			if _, twice := o.m[key]; twice {
				return nil, fmt.Errorf("the key %q appears twice", clip(key))
			}
			if o.m[key], err = parseValue(d, depth+1); err != nil {
				return nil, err
			}
			o.keys = append(o.keys, key)
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// quote writes a string as JSON, in its usual spelling.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' {
			b.WriteString(escapeRune(r))
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// rational reads a number exactly. Numbers with huge exponents are refused: they would take huge memory.
func rational(n json.Number) (*big.Rat, error) {
	if len(n) > 400 {
		return nil, fmt.Errorf("%w: a number of %d digits", ErrLimit, len(n))
	}
	if i := strings.IndexAny(string(n), "eE"); i >= 0 {
		if exp := strings.TrimLeft(n.String()[i+1:], "+-0"); len(exp) > 3 || len(exp) == 3 && exp > "400" {
			return nil, fmt.Errorf("%w: the number %s", ErrLimit, clip(string(n)))
		}
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil, fmt.Errorf("%q is no number", clip(string(n)))
	}
	return r, nil
}

// same compares two documents: numbers by value, objects without order.
func same(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		n, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, err1 := rational(a)
		y, err2 := rational(n)
		return err1 == nil && err2 == nil && x.Cmp(y) == 0
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return false
		}
		for i := range a {
			if !same(a[i], l[i]) {
				return false
			}
		}
		return true
	case *object:
		o, ok := b.(*object)
		if !ok || len(o.keys) != len(a.keys) {
			return false
		}
		for k, v := range a.m {
			if w, ok := o.m[k]; !ok || !same(v, w) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case json.Number, []any, *object:
		return false
	}
	return a == b
}
