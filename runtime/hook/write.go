package hook

import (
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// The writer is stateless: a member needs a comma before it unless the bytes so far end in the bracket that opened its
// object. Output is byte for byte what encoding/json gives without HTML escapes, except that a nil list that is not
// omitted is [] and a number JSON cannot say (NaN, an infinity) is null.

func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendText(b []byte, name, v string) []byte { return AppendString(appendName(b, name), v) }

func appendInt(b []byte, name string, v int) []byte {
	return strconv.AppendInt(appendName(b, name), int64(v), 10)
}

func appendBool(b []byte, name string, v bool) []byte {
	return strconv.AppendBool(appendName(b, name), v)
}

func appendFloat(b []byte, name string, v float64) []byte {
	b = appendName(b, name)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	if n := int64(v*100 + 0.5); v > 0 && v < 1e6 && float64(n)/100 == v { // hundredths, as most are; the shortest form too
		b = strconv.AppendInt(b, n/100, 10)
		switch n %= 100; {
		case n%10 != 0:
			b = append(b, '.', '0'+byte(n/10), '0'+byte(n%10))
		case n != 0:
			b = append(b, '.', '0'+byte(n/10))
		}
		return b
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, v, format, -1, 64)
	if n := len(b); format == 'e' && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // 1e-09 is 1e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

func appendRaw(b []byte, name string, v Raw) []byte {
	b = appendName(b, name)
	if len(v) == 0 {
		return append(b, "null"...)
	}
	return append(b, v...)
}

func appendStrings(b []byte, name string, list []string) []byte {
	b = append(appendName(b, name), '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, v)
	}
	return append(b, ']')
}

// The opt forms leave a zero value out.

func optText(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return appendText(b, name, v)
}

func optInt(b []byte, name string, v int) []byte {
	if v == 0 {
		return b
	}
	return appendInt(b, name, v)
}

func optBool(b []byte, name string, v bool) []byte {
	if !v {
		return b
	}
	return appendBool(b, name, v)
}

func optFloat(b []byte, name string, v float64) []byte {
	if v == 0 {
		return b
	}
	return appendFloat(b, name, v)
}

func optStrings(b []byte, name string, v []string) []byte {
	if len(v) == 0 {
		return b
	}
	return appendStrings(b, name, v)
}

func optInts(b []byte, name string, list []int) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(appendName(b, name), '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(v), 10)
	}
	return append(b, ']')
}

// appender is a value that writes itself.
type appender interface{ AppendJSON(b []byte) []byte }

func appendList[T any, P interface {
	*T
	appender
}](b []byte, name string, list []T) []byte {
	b = append(appendName(b, name), '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = P(&list[i]).AppendJSON(b)
	}
	return append(b, ']')
}

func optList[T any, P interface {
	*T
	appender
}](b []byte, name string, list []T) []byte {
	if len(list) == 0 {
		return b
	}
	return appendList[T, P](b, name, list)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, one for each byte, as in encoding/json.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	raw := unsafe.Slice(unsafe.StringData(s), len(s))
	for i := 0; i < len(s); {
		i = plainASCII(raw, i)
		for i < len(raw) && plainByte[raw[i]] {
			i++
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c < utf8.RuneSelf {
			b = append(b, s[done:i]...)
			b = appendEscape(b, c)
			i++
			done = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[done:i]...), `\ufffd`...)
			done = i + n
		case r == 0x2028 || r == 0x2029: // line ends in JavaScript
			b = append(append(b, s[done:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			done = i + n
		}
		i += n
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// plainByte has the bytes of ASCII that stand for themselves in a JSON string.
var plainByte = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return
}()

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
