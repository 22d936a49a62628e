// Package tools is a Model Context Protocol servlet with two tools that small models need most: a calculator and a
// clock. It describes them and answers calls; what is wrong with a call is told to the model as an error result, so
// that it can correct itself.
//
// The package is pure logic and knows nothing of the guest it runs in (see wasm/). Start reading at [Servlet.Call].
package tools

import (
	"errors"
	"strconv"
	"strings"
	"time"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Names of the tools.
const (
	Calculator = "calculator"
	Clock      = "clock"
)

// Servlet answers describe and call. It is safe for concurrent use.
type Servlet struct {
	Now  func() time.Time
	Zone *time.Location // of a clock call that names none
}

// New reads the configuration: time_zone, an offset as in a clock call; absent it is UTC. Now is the clock.
func New(config func(key string) (string, bool), now func() time.Time) (*Servlet, error) {
	s := &Servlet{Now: now, Zone: time.UTC}
	if v, ok := config("time_zone"); ok && v != "" {
		zone, err := parseZone(v)
		if err != nil {
			return nil, errors.New("tools: the setting time_zone: " + err.Error())
		}
		s.Zone = zone
	}
	return s, nil
}

const calculatorSchema = `{"type":"object","properties":{"expression":{"type":"string","maxLength":1000,"description":` +
	`"An arithmetic expression, for example (17*23 + 4^2) / 3. Operators + - * / % ^ and parentheses; functions sqrt, abs, min, max, round, floor, ceil, log (base 10), ln, exp, sin, cos, tan (radians); constants pi and e."` +
	`}},"required":["expression"],"additionalProperties":false}`

const clockSchema = `{"type":"object","properties":{"time_zone":{"type":"string","description":` +
	`"Offset from UTC such as +02:00, -0530 or UTC. Without it the site's own zone is used."},` +
	`"add_days":{"type":"integer","minimum":-100000,"maximum":100000,"description":"Days to add to today, negative for the past."}},` +
	`"additionalProperties":false}`

// Describe lists the tools.
func (s *Servlet) Describe() sdk.ToolList {
	return sdk.ToolList{Tools: []sdk.Tool{
		{Name: Calculator, Description: "Works out an arithmetic expression exactly and returns the number.", InputSchema: sdk.Raw(calculatorSchema)},
		{Name: Clock, Description: "Tells the current date, weekday and time, or the date some days away.", InputSchema: sdk.Raw(clockSchema)},
	}}
}

// Call runs one tool.
func (s *Servlet) Call(req *sdk.ToolRequest) sdk.ToolResult {
	var text string
	var err error
	switch req.Params.Name {
	case Calculator:
		text, err = s.calculate(req.Params.Arguments)
	case Clock:
		text, err = s.clock(req.Params.Arguments)
	default:
		err = errors.New("unknown tool " + strconv.Quote(req.Params.Name) + "; there are " + Calculator + " and " + Clock)
	}
	if err != nil {
		return sdk.ErrorResult(err.Error())
	}
	return sdk.TextResult(text)
}

func (s *Servlet) calculate(args sdk.Raw) (string, error) {
	expression, given := "", false
	err := args.Each(func(name string, v sdk.Raw) error {
		if name != "expression" {
			return errors.New("unknown argument " + strconv.Quote(name) + "; calculator takes expression")
		}
		given = true
		if _, err := v.Float(); err == nil { // a model that passes the number itself
			expression = string(v)
			return nil
		}
		var err error
		if expression, err = v.Text(); err != nil {
			return errors.New("expression must be a string, such as \"17*23\"")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if !given {
		return "", errors.New("the argument expression is missing, such as {\"expression\": \"17*23\"}")
	}
	return Evaluate(expression)
}

// maxDays bounds add_days: some 270 years.
const maxDays = 100000

func (s *Servlet) clock(args sdk.Raw) (string, error) {
	zone, days := s.Zone, 0
	err := args.Each(func(name string, v sdk.Raw) error {
		switch name {
		case "time_zone":
			text, err := v.Text()
			if err != nil {
				return errors.New("time_zone must be a string, such as \"+02:00\"")
			}
			if text = strings.TrimSpace(text); text != "" {
				zone, err = parseZone(text)
			}
			return err
		case "add_days":
			n, err := v.Float()
			if err != nil || n != float64(int(n)) || n < -maxDays || n > maxDays {
				return errors.New("add_days must be a whole number between -100000 and 100000")
			}
			days = int(n)
			return nil
		}
		return errors.New("unknown argument " + strconv.Quote(name) + "; clock takes time_zone and add_days")
	})
	if err != nil {
		return "", err
	}
	t := s.Now().In(zone).AddDate(0, 0, days)
	return t.Format(time.RFC3339) + " (" + t.Weekday().String() + ")", nil
}

// parseZone reads UTC, Z or an offset: +2, +02, +0200, +02:00, also after UTC or GMT, up to 14 hours either way.
func parseZone(s string) (*time.Location, error) {
	bad := errors.New("unknown time zone " + strconv.Quote(clip(s)) + "; give an offset from UTC such as +02:00, names of places are not known here")
	rest := strings.ToUpper(strings.TrimSpace(s))
	if cut, ok := strings.CutPrefix(rest, "UTC"); ok {
		rest = cut
	} else if cut, ok := strings.CutPrefix(rest, "GMT"); ok {
		rest = cut
	} else if rest == "Z" {
		rest = ""
	} else if rest == "" {
		return nil, bad
	}
	if rest == "" {
		return time.UTC, nil
	}
	sign := 1
	switch {
	case rest[0] == '-':
		sign = -1
	case rest[0] != '+':
		return nil, bad
	}
	hour, minute, colon := strings.Cut(rest[1:], ":")
	if !colon && len(hour) > 2 {
		hour, minute = hour[:len(hour)-2], hour[len(hour)-2:]
	}
	h, ok := digits(hour, 14)
	m, okM := digits(minute, 59)
	if !ok || minute == "" && colon || minute != "" && (!okM || len(minute) != 2) || h == 14 && m > 0 {
		return nil, bad
	}
	offset := sign * (h*3600 + m*60)
	if offset == 0 {
		return time.UTC, nil
	}
	return time.FixedZone("", offset), nil
}

// digits reads one or two digits, at most limit.
func digits(s string, limit int) (int, bool) {
	if len(s) < 1 || len(s) > 2 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n <= limit
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}
