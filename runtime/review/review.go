// Package review is the queue of what guards stopped, for a person to look at: who, when, by which rule, and the hash of the
// text; the text itself only where the route keeps it. A block that is overturned becomes a regression case.
//
// It knows the store and nothing of requests or of who may look. Start reading at [Queue].
package review

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/state"
)

// Statuses of an item.
const (
	Open       = "open"
	Approved   = "approved"   // the guard was right
	Overturned = "overturned" // it was not
)

// Errors that callers tell apart.
var (
	// ErrNotFound means that there is no such item.
	ErrNotFound = errors.New("there is no such item to review")
	// ErrText means that a text is not the one that was stopped.
	ErrText = errors.New("the text is not the one that was stopped: its SHA-256 differs")
)

// MaxText bounds the text that is kept, in bytes: a longer one is only known by its hash.
const MaxText = 4 << 10

// maxSpans bounds the evidence of an item.
const maxSpans = 16

// Item is a text that a guard stopped.
type Item struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Request string    `json:"request"`
	Tenant  string    `json:"tenant"`
	Subject string    `json:"subject,omitempty"`
	Key     string    `json:"key,omitempty"` // id of the API key
	Route   string    `json:"route"`
	Stage   string    `json:"stage"` // that the guard was asked at: input, retrieval, tool, output
	Plugin  string    `json:"plugin"`
	Digest  string    `json:"digest"`
	Verdict string    `json:"verdict"` // block, review
	Reason  string    `json:"reason,omitempty"`
	Spans   []Span    `json:"spans,omitempty"` // the evidence, in bytes of the text
	Hash    string    `json:"sha256"`          // of the text
	Bytes   int       `json:"bytes"`           // of the text
	Text    string    `json:"text,omitempty"`

	Status   string    `json:"status"`
	Decision *Decision `json:"decision,omitempty"`
}

// Span is evidence, without the text.
type Span struct {
	Start      int     `json:"start"`
	End        int     `json:"end"`
	Entity     string  `json:"entity,omitempty"`
	Rule       string  `json:"rule,omitempty"`
	Confidence float64 `json:"confidence,omitempty"`
}

// Decision is what a person made of an item.
type Decision struct {
	By   string    `json:"by"`
	Time time.Time `json:"time"`
	Note string    `json:"note,omitempty"`
}

// Rules are the names of the rules that found something, each once.
func (i *Item) Rules() []string {
	var out []string
	for _, s := range i.Spans {
		if s.Rule != "" && !slices.Contains(out, s.Rule) {
			out = append(out, s.Rule)
		}
	}
	return out
}

// Case is an item as a line of a file for `ledge guard eval`: what was overturned must pass, what was approved must be
// stopped.
type Case struct {
	Text   string `json:"text"`
	Class  string `json:"class"` // benign, stopped
	Stage  string `json:"stage"`
	Review string `json:"review"` // id of the item
	Guard  string `json:"guard"`
}

// Case returns the item as a case; ok is false for one that is undecided, or whose text is not known.
func (i *Item) Case() (c Case, ok bool) {
	class := map[string]string{Approved: "stopped", Overturned: "benign"}[i.Status]
	return Case{i.Text, class, i.Stage, i.ID, i.Plugin}, class != "" && i.Text != ""
}

// Hash is how a text is named where it is not kept.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Queue holds the items of a store. It is safe for concurrent use.
type Queue struct{ Store *state.Reviews }

// Add puts an item into the queue and gives it its id. n tells apart the items of a request.
func (q Queue) Add(i Item, n int) error {
	tail := i.Request[max(0, len(i.Request)-6):]
	i.ID = fmt.Sprintf("rev_%016x%s%02x", uint64(i.Time.UnixNano()), hex.EncodeToString([]byte(tail))[:min(12, 2*len(tail))], n&0xff)
	i.Status, i.Decision = Open, nil
	if len(i.Text) > MaxText {
		i.Text = ""
	}
	i.Spans = i.Spans[:min(len(i.Spans), maxSpans)]
	return q.put(&i)
}

func (q Queue) put(i *Item) error {
	doc, err := json.Marshal(i)
	if err == nil && len(doc) > state.MaxReviewBytes { // many characters of the text are written as escapes
		short := *i
		short.Text = ""
		doc, err = json.Marshal(short)
	}
	if err != nil {
		return err
	}
	return q.Store.Put(i.Tenant, i.ID, doc)
}

// List returns the items of a tenant, or of all for an empty one, newest first: those of a status, or all for an empty one;
// at most limit of them, 0 for all.
func (q Queue) List(tenant, status string, limit int) ([]Item, error) {
	out := []Item{}
	err := q.Store.Each(tenant, func(_, _ string, doc []byte) bool {
		var i Item
		if json.Unmarshal(doc, &i) == nil && (status == "" || i.Status == status) {
			out = append(out, i)
		}
		return tenant == "" || limit == 0 || len(out) < limit
	})
	slices.SortFunc(out, func(a, b Item) int { return cmp.Compare(b.ID, a.ID) })
	if limit > 0 {
		out = out[:min(len(out), limit)]
	}
	return out, err
}

// Get returns an item of a tenant, or of any for an empty one.
func (q Queue) Get(tenant, id string) (item Item, err error) {
	found := false
	if tenant != "" {
		var doc []byte
		if doc, found, err = q.Store.Get(tenant, id); found && err == nil {
			err = json.Unmarshal(doc, &item)
		}
	} else {
		err = q.Store.Each("", func(_, at string, doc []byte) bool {
			found = at == id && json.Unmarshal(doc, &item) == nil
			return !found
		})
	}
	if err == nil && !found {
		err = fmt.Errorf("%q: %w", id, ErrNotFound)
	}
	return item, err
}

// Decide settles an item, again if it was settled before. A text, if it is given, must be the one that was stopped; it is kept
// with the item, so that the item can become a case.
func (q Queue) Decide(tenant, id, status, text string, d Decision) (Item, error) {
	if status != Approved && status != Overturned {
		return Item{}, fmt.Errorf("a decision is %s or %s, not %q", Approved, Overturned, status)
	}
	i, err := q.Get(tenant, id)
	if err != nil {
		return i, err
	}
	if text != "" {
		if Hash(text) != i.Hash {
			return i, ErrText
		}
		if len(text) > MaxText {
			return i, fmt.Errorf("the text has %d bytes, and %d are kept at most", len(text), MaxText)
		}
		i.Text = text
	}
	i.Status, i.Decision = status, &d
	return i, q.put(&i)
}

// Forget removes the items of a tenant, or of all for an empty one, that gone picks, and says how many.
func (q Queue) Forget(tenant string, gone func(*Item) bool) (n int, err error) {
	type place struct{ tenant, id string }
	var places []place
	err = q.Store.Each(tenant, func(t, id string, doc []byte) bool {
		var i Item
		if json.Unmarshal(doc, &i) != nil || gone(&i) {
			places = append(places, place{t, id})
		}
		return true
	})
	for _, p := range places {
		if err == nil {
			err = q.Store.Delete(p.tenant, p.id)
			n++
		}
	}
	return n, err
}

// SpansOf are a verdict's spans as evidence.
func SpansOf(spans []hook.Span) []Span {
	out := make([]Span, 0, min(len(spans), maxSpans))
	for _, s := range spans[:min(len(spans), maxSpans)] {
		out = append(out, Span{s.Start, s.End, s.Entity, s.Rule, s.Confidence})
	}
	return out
}
