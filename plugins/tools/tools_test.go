package tools

import (
	"math/big"
	"strings"
	"testing"
	"time"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

func TestEvaluate(t *testing.T) {
	for expression, want := range map[string]string{
		"17*23": "391", " 17 × 23 = ": "391", "1+2*3": "7", "(1+2)*3": "9", "10-4-3": "3", "2^3^2": "512", "-2^2": "-4",
		"(-2)^2": "4", "2^-2": "0.25", "2**10": "1024", "--3": "3", "2*-3": "-6", "7/2": "3.5", "1/3": "0.333333333333333",
		"2/3*3": "2", "0.1+0.2": "0.3", ".5+1.": "1.5", "1e3": "1000", "2.5e-3": "0.0025", "100/8/2": "6.25",
		"17 % 5": "2", "-17 % 5": "-2", "7.5 % 2": "1.5", "1/3 % 1/4": "0.0833333333333333",
		"2^64": "18446744073709551616", "99999999999999999999+1": "100000000000000000000", "10^30/10^29": "10",
		"sqrt(144)": "12", "sqrt(2)": "1.4142135623731", "sqrt(9/4)": "1.5", "abs(-3.5)": "3.5", "min(3, 1, 2)": "1",
		"max(1,2.5)": "2.5", "round(2.5)": "3", "round(-2.5)": "-3", "round(2.345, 2)": "2.35", "round(1234, -2)": "1200",
		"floor(-1.5)": "-2", "ceil(-1.5)": "-1", "ceil(pi)": "4", "round(pi, 3)": "3.142", "log(1000)": "3", "ln(e)": "1",
		"exp(0)": "1", "sin(pi)": "0", "cos(0)": "1", "tan(0)": "0", "SIN(0)": "0", "2*pi": "6.28318530717959", "e": "2.71828182845905",
		"0^0": "1", "4^0.5": "2", "1e15 + 0.5": "1000000000000000.5", "2^0.5*1e20": "1.4142135623731e+20", "0*5": "0", "-0": "0",
		"1/1024": "0.0009765625", "sqrt(2)/10^9": "1.4142135623731e-09",
	} {
		got, err := Evaluate(expression)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", expression, got, err, want)
		}
	}
}

func TestEvaluate_SaysWhatIsWrong(t *testing.T) {
	for expression, want := range map[string]string{
		"": "ends where a number", "1+": "ends where a number", "(1": "closing parenthesis", "1)": "expected an operator at \")\"",
		"2 3": "expected an operator", "2x": "expected an operator", "foo(1)": "unknown name \"foo\"; there are sqrt", "sqrt": "( after sqrt",
		"sqrt()": "expected a number", "sqrt(1,2)": "takes one argument", "round(1,2,3)": "one or two arguments", "min()": "expected a number",
		"1/0": "division by zero", "1%0": "division by zero", "0^-1": "division by zero", "sqrt(-1)": "square root of a negative",
		"(-8)^0.5": "not a real number", "ln(0)": "not positive", "1e401": "larger than 400", "1e99999999999999999999": "larger than 400",
		"2^1e9": "too large", "9^9^9^9": "too large", "10^4000*10^4000": "too large", "exp(1e6)": "too large", "tan(pi/2)": "no value",
		"1..2": "expected an operator", "$5": "expected a number", "round(1, 1.5)": "whole number of decimals",
		"round(1, 1e300)": "whole number of decimals", strings.Repeat("(", 500): "nested deeper", strings.Repeat("-", 500) + "1": "nested deeper",
		strings.Repeat("2^", 400) + "2": "nested deeper", strings.Repeat("1+", 501): "longer than 1000", "import os": "unknown name",
	} {
		if got, err := Evaluate(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %s, %v, want %s", expression, got, err, want)
		}
	}
}

// The result of whole-number arithmetic is exact, whatever its size.
func TestEvaluate_IsExact(t *testing.T) {
	a, _ := new(big.Int).SetString(strings.Repeat("1234567890", 20), 10)
	b, _ := new(big.Int).SetString(strings.Repeat("9876543210", 20), 10)
	got, err := Evaluate(a.String() + "*" + b.String() + "-1")
	want := new(big.Int).Mul(a, b)
	if err != nil || got != want.Sub(want, big.NewInt(1)).String() {
		t.Fatalf("%s, %v", got, err)
	}
}

func FuzzEvaluate(f *testing.F) {
	for _, s := range []string{"1+2*(3-4)^5/6%7", "round(pi*1e3,2)", "9^9^9", "max(1,-2,sqrt(3))", "1e400*1e-400", "((((", "2^4096^-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start := time.Now()
		got, err := Evaluate(s)
		if d := time.Since(start); d > time.Second {
			t.Fatalf("%q took %v", s, d)
		}
		if (err == nil) == (got == "") || len(got) > 2000 || err != nil && len(err.Error()) > 300 {
			t.Fatalf("%q: %q, %v", s, got, err)
		}
		if err == nil && strings.ContainsAny(got, "NI") {
			t.Fatalf("%q: %s is no number", s, got)
		}
	})
}

var testTime = time.Date(2024, 2, 28, 23, 30, 5, 0, time.UTC)

func servlet(t *testing.T, zone string) *Servlet {
	t.Helper()
	s, err := New(func(k string) (string, bool) { return zone, k == "time_zone" && zone != "" }, func() time.Time { return testTime })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCall(t *testing.T) {
	for _, c := range []struct {
		tool, args, want string
		isError          bool
	}{
		{"calculator", `{"expression":"17*23"}`, "391", false},
		{"calculator", `{"expression":42}`, "42", false},
		{"calculator", `{"expression":"1/0"}`, "division by zero", true},
		{"calculator", `{}`, "expression is missing", true},
		{"calculator", ``, "expression is missing", true},
		{"calculator", `{"expression":[1]}`, "must be a string", true},
		{"calculator", `{"expr":"1"}`, "unknown argument \"expr\"", true},
		{"calculator", `[1]`, "expected an object", true},
		{"clock", `{}`, "2024-02-29T01:30:05+02:00 (Thursday)", false},
		{"clock", `{"time_zone":"UTC"}`, "2024-02-28T23:30:05Z (Wednesday)", false},
		{"clock", `{"time_zone":"-0530","add_days":1}`, "2024-02-29T18:00:05-05:30 (Thursday)", false},
		{"clock", `{"time_zone":"Z","add_days":-365}`, "2023-02-28T23:30:05Z (Tuesday)", false},
		{"clock", `{"time_zone":"Europe/Berlin"}`, "unknown time zone \"Europe/Berlin\"", true},
		{"clock", `{"add_days":1.5}`, "whole number", true},
		{"clock", `{"add_days":1e9}`, "whole number", true},
		{"clock", `{"zone":"Z"}`, "unknown argument", true},
		{"shell", `{}`, "unknown tool \"shell\"", true},
	} {
		r := servlet(t, "+02:00").Call(&sdk.ToolRequest{Params: sdk.ToolParams{Name: c.tool, Arguments: sdk.Raw(c.args)}})
		if r.IsError != c.isError || len(r.Content) != 1 || !strings.Contains(r.Content[0].Text, c.want) || r.Content[0].Type != "text" {
			t.Errorf("%s %s: %+v, want %s", c.tool, c.args, r, c.want)
		}
	}
}

func TestParseZone(t *testing.T) {
	for s, want := range map[string]int{
		"UTC": 0, "z": 0, "+0": 0, "+2": 7200, "+02": 7200, "-0330": -12600, "+05:45": 20700, "UTC+1": 3600, "gmt-11": -39600, "+14": 50400, "+14:00": 50400,
	} {
		zone, err := parseZone(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if _, got := testTime.In(zone).Zone(); got != want {
			t.Errorf("%s: %d, want %d", s, got, want)
		}
	}
	for _, s := range []string{"", "2", "+", "+15", "+14:30", "+1:2", "+1:", "+02:60", "++2", "+-2", "+2x", "CET", "+00000", "-99999"} {
		if zone, err := parseZone(s); err == nil {
			t.Errorf("%q was read as %v", s, zone)
		}
	}
	if _, err := New(func(string) (string, bool) { return "Mars", true }, time.Now); err == nil {
		t.Error("a time zone that does not exist was taken from the configuration")
	}
}

func TestDescribe_KeepsTheContract(t *testing.T) {
	l := servlet(t, "").Describe()
	if err := l.Check(); err != nil || len(l.Tools) != 2 {
		t.Fatal(err, l)
	}
}
