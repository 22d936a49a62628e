package grammar

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// formats are the formats that can be enforced, as patterns; an empty one asks for nothing that a text could violate.
// Texts that match are of the format; where it allows more (quoted local parts of e-mail addresses, leap seconds), they
// stay in the part in common use.
var formats = map[string]string{
	"date":                  `^` + datePattern + `$`,
	"time":                  `^` + timePattern + `$`,
	"date-time":             `^` + datePattern + `T` + timePattern + `$`,
	"duration":              `^P([0-9]{1,4}W|[0-9]{1,4}Y([0-9]{1,2}M([0-9]{1,2}D)?)?|[0-9]{1,4}M([0-9]{1,2}D)?|[0-9]{1,4}D|([0-9]{1,4}D)?T([0-9]{1,4}H([0-9]{1,2}M([0-9]{1,2}S)?)?|[0-9]{1,4}M([0-9]{1,2}S)?|[0-9]{1,4}S))$`,
	"uuid":                  uuidPattern("0-9a-fA-F"),
	"uuid1":                 uuidPattern("1"),
	"uuid3":                 uuidPattern("3"),
	"uuid4":                 uuidPattern("4"),
	"uuid5":                 uuidPattern("5"),
	"uuid7":                 uuidPattern("7"),
	"email":                 emailPattern,
	"idn-email":             emailPattern,
	"hostname":              `^` + hostPattern + `$`,
	"idn-hostname":          `^` + hostPattern + `$`,
	"ipv4":                  `^` + ipv4Pattern + `$`,
	"ipv6":                  ipv6Pattern(),
	"uri":                   uriPattern,
	"uri-reference":         uriPattern,
	"uri-template":          uriPattern,
	"iri":                   uriPattern,
	"iri-reference":         uriPattern,
	"json-pointer":          `^` + pointerPattern + `$`,
	"relative-json-pointer": `^(0|[1-9][0-9]{0,3})(#|` + pointerPattern + `)$`,
	"byte":                  `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`,
	"password":              ``,
	"binary":                ``,
	"path":                  ``,
	"file-path":             ``,
	"directory-path":        ``,
}

const (
	datePattern = `([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|` +
		`([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)`
	timePattern    = `([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`
	bytePattern    = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	ipv4Pattern    = bytePattern + `(\.` + bytePattern + `){3}`
	hostPattern    = `[a-z0-9]{1,14}(-[a-z0-9]{1,14}){0,2}(\.[a-z][a-z0-9]{0,14}(-[a-z0-9]{1,14}){0,2}){0,3}`
	emailPattern   = `^[A-Za-z0-9_+-]{1,16}(\.[A-Za-z0-9_+-]{1,16}){0,2}@` + hostPattern + `$`
	charPattern    = `([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})`
	uriPattern     = `^(https?|ftp)://` + hostPattern + `(:[1-9][0-9]{0,3})?(/` + charPattern + `*)*(\?(` + charPattern + `|[/?])*)?(#(` + charPattern + `|[/?])*)?$`
	pointerPattern = `(/([^/~]|~[01])*)*`
)

func uuidPattern(version string) string {
	return `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[` + version + `][0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
}

// ipv6Pattern are eight groups, or fewer with one gap.
func ipv6Pattern() string {
	const group = `[0-9a-f]{1,4}`
	out := []string{group + `(:` + group + `){7}`, `::(` + group + `(:` + group + `){0,5})?`}
	for before := 1; before <= 6; before++ {
		out = append(out, fmt.Sprintf(`%s(:%s){%d}::(%s(:%s){0,%d})?`, group, group, before-1, group, group, 6-before))
	}
	return `^(` + strings.Join(out, `|`) + `)$`
}

// numberFormats are those that OpenAPI gives to numbers: their least and greatest value, empty where there is none.
var numberFormats = map[string][2]string{
	"int8": {"-128", "127"}, "int16": {"-32768", "32767"}, "int32": {"-2147483648", "2147483647"}, "int64": {"-9223372036854775808", "9223372036854775807"},
	"uint8": {"0", "255"}, "uint16": {"0", "65535"}, "uint32": {"0", "4294967295"}, "uint64": {"0", "18446744073709551615"},
	"float": {}, "double": {},
}

func formatNames() string { return strings.Join(slices.Sorted(maps.Keys(formats)), ", ") }

// format takes the keyword format. It speaks of strings only, but for the formats of numbers.
func (s *shape) format(p *part, v any) error {
	name, _ := v.(string)
	if bounds, ok := numberFormats[name]; ok {
		for i, take := range []func(*big.Rat, bool){s.number.atLeast, s.number.atMost} {
			if r, ok := new(big.Rat).SetString(bounds[i]); ok {
				take(r, false)
			}
		}
		return nil
	}
	if kind, there := p.raw.(*object).m["type"]; there {
		list, many := kind.([]any)
		if kind != "string" && !(many && slices.Contains(list, any("string"))) {
			return nil
		}
	}
	pattern, ok := formats[name]
	if !ok {
		return fmt.Errorf("the format %s cannot be enforced; these can: %s", short(v), formatNames())
	}
	if pattern != "" {
		s.text.patterns = append(s.text.patterns, pattern)
	}
	return nil
}
