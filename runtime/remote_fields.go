package runtime

import (
	"encoding/json"
	"maps"
	"slices"
)

// worded are the fields of a client's request that go to a remote model although they hold text: forms of an answer and
// settings of OpenAI's API. What else holds text goes nowhere unless the upstream's fields name it: a guard reads messages
// and tools, and what it does not read would pass it by.
var worded = map[string]bool{"response_format": true, "grammar": true, "regex": true, "guided_regex": true,
	"reasoning_effort": true, "verbosity": true, "service_tier": true}

// forwarded is what of a client's fields goes to the remote model, and the names of what does not.
func (m *remoteModel) forwarded(raw map[string][]byte) (out map[string]json.RawMessage, left []string) {
	out = make(map[string]json.RawMessage, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if worded[name] || slices.Contains(m.fields, name) || wordless(raw[name]) {
			out[name] = raw[name]
		} else {
			left = append(left, name)
		}
	}
	return out, left
}

// wordless says that a JSON document holds nothing but numbers, true, false and null, or lists of them: neither strings nor
// names of members.
func wordless(doc []byte) bool {
	return json.Valid(doc) && !slices.ContainsFunc(doc, func(c byte) bool { return c == '"' })
}
