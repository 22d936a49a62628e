package extract

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// fromCSV gives a paragraph for each record, with the header's names before the values: a chunk then says what its
// numbers are. A first record with an empty or a repeated value is no header.
func fromCSV(text string, tabs bool) (string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
	r.Comma = delimiter(text, tabs)
	var b strings.Builder
	var header []string
	for n := 0; ; n++ {
		record, err := r.Read()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("%w: CSV: %w", ErrDamaged, err)
		}
		if n == 0 && isHeader(record) {
			header = append([]string{}, record...)
			continue
		}
		for i, v := range record {
			v = strings.TrimSpace(v)
			if v == "" {
				continue
			}
			if i < len(header) {
				b.WriteString(strings.TrimSpace(header[i]) + ": ")
			}
			b.WriteString(v + "\n")
		}
		b.WriteByte('\n')
		if b.Len() > MaxText {
			return "", ErrTooLarge
		}
	}
}

// delimiter is the one that the first line has most of.
func delimiter(text string, tabs bool) rune {
	if tabs {
		return '\t'
	}
	line, _, _ := strings.Cut(text, "\n")
	best, count := ',', strings.Count(line, ",")
	for _, c := range ";\t|" {
		if n := strings.Count(line, string(c)); n > count {
			best, count = c, n
		}
	}
	return best
}

func isHeader(record []string) bool {
	seen := map[string]bool{}
	for _, v := range record {
		v = strings.TrimSpace(v)
		if v == "" || len(v) > 100 || seen[v] || strings.Trim(v, "0123456789.,-+ %") == "" {
			return false
		}
		seen[v] = true
	}
	return len(record) > 1
}

// fromJSONL gives a paragraph for each line: the fields as "name: value", but those that hold the text as it is.
func fromJSONL(text string) (string, error) {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		d := json.NewDecoder(bytes.NewReader([]byte(line)))
		d.UseNumber()
		if err := writeJSON(&b, d, ""); err != nil {
			return "", fmt.Errorf("%w: JSON in line %d: %w", ErrDamaged, n, err)
		}
		if d.More() {
			return "", fmt.Errorf("%w: JSON in line %d: more than one value", ErrDamaged, n)
		}
		b.WriteByte('\n')
		if b.Len() > MaxText {
			return "", ErrTooLarge
		}
	}
	return b.String(), nil
}

// bodyFields hold the text itself; their names say nothing.
var bodyFields = map[string]bool{"text": true, "content": true, "body": true}

// writeJSON writes the scalars of a value in their order, without building it.
func writeJSON(b *strings.Builder, d *json.Decoder, field string) error {
	type level struct {
		object bool
		key    string // of the value that comes next
		name   string // path of the container
	}
	stack := []level{}
	name := field
	wantKey := false
	for {
		tok, err := d.Token()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if delim, ok := tok.(json.Delim); ok {
			switch delim {
			case '{', '[':
				if len(stack) >= maxDepth {
					return errors.New("nested too deep")
				}
				stack = append(stack, level{object: delim == '{', name: name})
			default:
				stack = stack[:len(stack)-1]
			}
		} else if wantKey {
			key, _ := tok.(string)
			top := &stack[len(stack)-1]
			if name = key; top.name != "" {
				name = top.name + "." + key
			}
			top.key = name
			wantKey = false
			continue
		} else {
			writeScalar(b, name, tok)
		}
		if len(stack) == 0 {
			return nil
		}
		top := stack[len(stack)-1]
		wantKey = top.object && !(tok == json.Delim('{') || tok == json.Delim('[')) || tok == json.Delim('{')
		if !top.object {
			name = top.name
		}
		if b.Len() > MaxText {
			return ErrTooLarge
		}
	}
}

func writeScalar(b *strings.Builder, name string, v json.Token) {
	s := strings.TrimSpace(fmt.Sprint(v))
	if v == nil || s == "" {
		return
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; name != "" && !bodyFields[strings.ToLower(last)] {
		b.WriteString(name + ": ")
	}
	b.WriteString(s + "\n")
}
