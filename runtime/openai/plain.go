package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/hook"
)

// What clients and upstreams send is nearly always plain: text messages with a few numbers, chunks with a piece of text.
// These documents are read here for a fifth to a third of the time that encoding/json takes. A document that is not
// plain, or not valid, is left to encoding/json: what comes out, and what is said of a fault, is the same either way.

// errNotPlain leaves a document to encoding/json.
var errNotPlain = errors.New("not plain")

// plain reads a chat request that consists of text messages, numbers and switches, and says whether it is one. If it is
// not, r holds nothing.
func (r *ChatRequest) plain(doc []byte) bool {
	*r = ChatRequest{}
	if !isObject(doc) {
		return false
	}
	raw := make(map[string]json.RawMessage, 8)
	err := hook.Raw(doc).Each(func(name string, v hook.Raw) error {
		if _, twice := raw[name]; twice {
			return errNotPlain
		}
		raw[name] = json.RawMessage(v)
		switch name {
		case "model":
			return text(v, &r.Model)
		case "user":
			return text(v, &r.User)
		case "messages":
			return items(v, &r.Messages, (*Message).plain)
		case "stream":
			return truth(v, &r.Stream)
		case "max_tokens":
			return number(v, &r.MaxTokens, strconv.Atoi)
		case "max_completion_tokens":
			return number(v, &r.MaxCompletionTokens, strconv.Atoi)
		case "n":
			return number(v, &r.N, strconv.Atoi)
		case "seed":
			return number(v, &r.Seed, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
		case "temperature":
			return number(v, &r.Temperature, float)
		case "top_p":
			return number(v, &r.TopP, float)
		}
		return other(name, requestFields)
	})
	if err != nil {
		*r = ChatRequest{}
		return false
	}
	r.Raw = raw
	return true
}

func (m *Message) plain(doc hook.Raw) error {
	return members(doc, func(name string, v hook.Raw) error {
		switch name {
		case "role":
			return text(v, &m.Role)
		case "content":
			return text(v, (*string)(&m.Content))
		case "name":
			return text(v, &m.Name)
		}
		return other(name, messageFields)
	})
}

// Plain reads a chunk that brings text, the end or the usage, and says whether it is one. If it is not, c holds nothing
// and the document is one for encoding/json. An error event is not plain.
func (c *ChatChunk) Plain(doc []byte) bool {
	*c = ChatChunk{}
	err := members(doc, func(name string, v hook.Raw) error {
		switch name {
		case "id":
			return text(v, &c.ID)
		case "object":
			return text(v, &c.Object)
		case "model":
			return text(v, &c.Model)
		case "system_fingerprint":
			return text(v, &c.SystemFingerprint)
		case "created":
			return count(v, &c.Created)
		case "choices":
			return items(v, &c.Choices, (*ChunkChoice).plain)
		case "usage":
			if null(v) {
				return nil
			}
			c.Usage = new(Usage)
			return c.Usage.plain(v)
		case "error":
			return errNotPlain
		}
		return other(name, chunkFields)
	})
	if err != nil {
		*c = ChatChunk{}
	}
	return err == nil
}

func (c *ChunkChoice) plain(doc hook.Raw) error {
	return members(doc, func(name string, v hook.Raw) error {
		switch name {
		case "index":
			return count(v, &c.Index)
		case "finish_reason":
			return optional(v, &c.FinishReason)
		case "delta":
			return c.Delta.plain(v)
		}
		if null(v) {
			return nil
		}
		return other(name, choiceFields)
	})
}

func (d *Delta) plain(doc hook.Raw) error {
	return members(doc, func(name string, v hook.Raw) error {
		switch name {
		case "role":
			return text(v, &d.Role)
		case "content":
			return optional(v, &d.Content)
		case "refusal":
			return optional(v, &d.Refusal)
		}
		if null(v) {
			return nil
		}
		return other(name, deltaFields)
	})
}

func (u *Usage) plain(doc hook.Raw) error {
	return members(doc, func(name string, v hook.Raw) error {
		switch name {
		case "prompt_tokens":
			return count(v, &u.PromptTokens)
		case "completion_tokens":
			return count(v, &u.CompletionTokens)
		case "total_tokens":
			return count(v, &u.TotalTokens)
		}
		return other(name, usageFields)
	})
}

// members calls f for the members of an object whose names are all different. One with many is not plain: names are
// compared with each other.
func members(doc hook.Raw, f func(name string, v hook.Raw) error) error {
	if !isObject(doc) {
		return errNotPlain
	}
	var room [16]string
	seen := room[:0]
	return doc.Each(func(name string, v hook.Raw) error {
		if len(seen) == len(room) || slices.Contains(seen, name) {
			return errNotPlain
		}
		seen = append(seen, name)
		return f(name, v)
	})
}

// items reads an array of objects.
func items[T any](doc hook.Raw, list *[]T, read func(*T, hook.Raw) error) error {
	if doc[0] != '[' {
		return errNotPlain
	}
	*list = []T{}
	return doc.Items(func(v hook.Raw) error {
		var item T
		if err := read(&item, v); err != nil {
			return err
		}
		*list = append(*list, item)
		return nil
	})
}

// text reads a string.
func text(v hook.Raw, to *string) error {
	if v[0] != '"' {
		return errNotPlain
	}
	if plain := v[1 : len(v)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		*to = string(plain)
		return nil
	}
	s, err := v.Text()
	*to = strings.Clone(s) // it may point into the document
	return err
}

// optional reads a string or null.
func optional(v hook.Raw, to **string) error {
	if null(v) {
		return nil
	}
	*to = new(string)
	return text(v, *to)
}

func truth(v hook.Raw, to *bool) error {
	switch string(v) {
	case "true":
		*to = true
	case "false":
		*to = false
	default:
		return errNotPlain
	}
	return nil
}

// number reads a number that may be absent, but is not null.
func number[T any](v hook.Raw, to **T, parse func(string) (T, error)) error {
	if v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return errNotPlain
	}
	n, err := parse(string(v))
	*to = &n
	return err
}

func float(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// count reads an integer.
func count[T int | int64](v hook.Raw, to *T) error {
	n, err := strconv.ParseInt(string(v), 10, strconv.IntSize)
	*to = T(n)
	return err
}

// other passes over a member that the structure does not have. encoding/json takes a name in another case for the
// same, so that only small letters tell two names apart for certain.
func other(name string, known map[string]bool) error {
	if known[name] {
		return errNotPlain
	}
	for i := range len(name) {
		if c := name[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_') {
			return errNotPlain
		}
	}
	return nil
}

func null(v hook.Raw) bool { return len(v) > 0 && v[0] == 'n' }

func isObject(doc []byte) bool { return len(doc) > 0 && doc[0] == '{' }

var (
	requestFields = fields(reflect.TypeFor[ChatRequest]())
	messageFields = fields(reflect.TypeFor[Message]())
	chunkFields   = fields(reflect.TypeFor[ChatChunk]())
	choiceFields  = fields(reflect.TypeFor[ChunkChoice]())
	deltaFields   = fields(reflect.TypeFor[Delta]())
	usageFields   = fields(reflect.TypeFor[Usage]())
)

// fields are the names that encoding/json knows of a structure.
func fields(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names[name] = true
		}
	}
	return names
}
