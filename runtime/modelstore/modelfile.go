package modelstore

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxModelfile bounds a Modelfile, in bytes.
const maxModelfile = 1 << 20

// Modelfile describes a model: the file it comes from and how it answers unless a request says otherwise.
type Modelfile struct {
	From       string // a GGUF file
	System     string // put before conversations that have no system message
	Template   string // chat template (Jinja) in place of the file's own
	Adapter    string // a LoRA adapter in GGUF
	Parameters Parameters
}

// Parameters are defaults of requests and of the context. nil: not set.
type Parameters struct {
	Temperature   *float64 `json:"temperature,omitempty"`    // 0 to 2
	TopP          *float64 `json:"top_p,omitempty"`          // 0 to 1
	MinP          *float64 `json:"min_p,omitempty"`          // 0 to 1
	TopK          *int     `json:"top_k,omitempty"`          // at least 0
	RepeatPenalty *float64 `json:"repeat_penalty,omitempty"` // 0.1 to 10
	Seed          *int64   `json:"seed,omitempty"`
	NumPredict    *int     `json:"num_predict,omitempty"` // most tokens of an answer
	NumCtx        *int     `json:"num_ctx,omitempty"`     // tokens of the context
	Stop          []string `json:"stop,omitempty"`        // at most 4
}

// ParseModelfile reads the text of a Modelfile: one instruction a line, in any case, or over several lines between """.
// FROM is required; what is not known is an error that names the line.
func ParseModelfile(text string) (*Modelfile, error) {
	if len(text) > maxModelfile {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(text), maxModelfile)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8 text")
	}
	m := &Modelfile{}
	seen := map[string]bool{}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		number := i + 1
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		word, rest = strings.ToUpper(word), strings.TrimSpace(rest)
		name := ""
		if word == "PARAMETER" {
			name, rest, _ = strings.Cut(rest, " ")
			name, rest = strings.ToLower(name), strings.TrimSpace(rest)
		}
		value := rest
		if open, ok := strings.CutPrefix(rest, `"""`); ok {
			var body []string
			for {
				if before, after, found := strings.Cut(open, `"""`); found {
					if strings.TrimSpace(after) != "" {
						return nil, fmt.Errorf(`line %d: text follows the closing """`, i+1)
					}
					body = append(body, before)
					break
				}
				body = append(body, open)
				if i++; i == len(lines) {
					return nil, fmt.Errorf(`line %d: the text behind """ is not closed`, number)
				}
				open = lines[i]
			}
			value = strings.Join(body, "\n")
		} else if len(rest) >= 2 && rest[0] == '"' && rest[len(rest)-1] == '"' {
			var err error
			if value, err = strconv.Unquote(rest); err != nil {
				value = rest[1 : len(rest)-1]
			}
		}
		if value == "" {
			return nil, fmt.Errorf("line %d: %s has no value", number, word)
		}
		if key := word + name; seen[key] && key != "PARAMETERstop" {
			return nil, fmt.Errorf("line %d: %s %s appears twice", number, word, name)
		} else {
			seen[key] = true
		}
		var err error
		switch word {
		case "FROM":
			m.From = value
		case "SYSTEM":
			m.System = value
		case "TEMPLATE":
			m.Template = value
		case "ADAPTER":
			m.Adapter = value
		case "PARAMETER":
			err = m.Parameters.set(name, value)
		default:
			err = fmt.Errorf("%q is no instruction; these are: FROM, SYSTEM, PARAMETER, TEMPLATE, ADAPTER", clip(word))
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if m.From == "" {
		return nil, errors.New("it has no FROM; write FROM FILE.gguf")
	}
	return m, nil
}

func clip(s string) string { return s[:min(len(s), 40)] }

func (p *Parameters) set(name, value string) error {
	float := func(to **float64, low, high float64) error {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) || v < low || v > high {
			return fmt.Errorf("%s: %q is no number from %g to %g", name, clip(value), low, high)
		}
		*to = &v
		return nil
	}
	whole := func(to **int, low int) error {
		v, err := strconv.Atoi(value)
		if err != nil || v < low || v > math.MaxInt32 {
			return fmt.Errorf("%s: %q is no whole number of at least %d", name, clip(value), low)
		}
		*to = &v
		return nil
	}
	switch name {
	case "temperature":
		return float(&p.Temperature, 0, 2)
	case "top_p":
		return float(&p.TopP, 0, 1)
	case "min_p":
		return float(&p.MinP, 0, 1)
	case "repeat_penalty":
		return float(&p.RepeatPenalty, 0.1, 10)
	case "top_k":
		return whole(&p.TopK, 0)
	case "num_predict":
		return whole(&p.NumPredict, 1)
	case "num_ctx":
		return whole(&p.NumCtx, 1)
	case "seed":
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("seed: %q is no whole number", clip(value))
		}
		p.Seed = &v
	case "stop":
		if len(p.Stop) == 4 || slices.Contains(p.Stop, value) {
			return fmt.Errorf("stop: %q is the fifth one, or there already", clip(value))
		}
		p.Stop = append(p.Stop, value)
	default:
		return fmt.Errorf("%q is no parameter; these are: temperature, top_p, min_p, top_k, repeat_penalty, seed, stop, num_predict, num_ctx", clip(name))
	}
	return nil
}
