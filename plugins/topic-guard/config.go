package topicguard

import (
	"errors"
	"strconv"
	"strings"

	"github.com/ledge-run/ledge/plugins/internal/text"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Defaults of the configuration.
const (
	DefaultLeast = 6 // words of a text before it must be about an allowed topic
	DefaultHits  = 1 // phrases of a topic that a text must have
)

// Bounds of the configuration.
const (
	maxTopics  = 200
	maxPhrases = 20_000
	maxWords   = 8 // of a phrase
)

// New makes a guard from its configuration, as plugin.yaml describes it: "topics", "deny", "allow", "least", "hits",
// "disclaimers" and "action". config is a look-up such as sdk.Config.
func New(config func(key string) (string, bool)) (*Guard, error) {
	g := &Guard{least: DefaultLeast, hits: DefaultHits, action: sdk.Block}
	fail := func(parts ...string) error { return errors.New("topic-guard: " + strings.Join(parts, "")) }
	for key, to := range map[string]*int{"least": &g.least, "hits": &g.hits} {
		if v, ok := config(key); ok && v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > 1000 {
				return nil, fail(key, " ", strconv.Quote(v), " is not a number from 1 to 1000")
			}
			*to = n
		}
	}
	if v, ok := config("action"); ok && v != "" {
		if v != sdk.Block && v != sdk.Review {
			return nil, fail("action ", strconv.Quote(v), " is neither block nor review")
		}
		g.action = v
	}
	topics, _ := config("topics")
	phrases := 0
	for def := range strings.SplitSeq(topics, ";") {
		if def = strings.TrimSpace(def); def == "" {
			continue
		}
		name, list, ok := strings.Cut(def, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fail("topics: ", strconv.Quote(def), " has no name; write NAME: phrase, phrase; NAME: ...")
		}
		if g.named(name) != nil {
			return nil, fail("topics: ", strconv.Quote(name), " is there twice")
		}
		if len(g.topics) == maxTopics {
			return nil, fail("more than ", strconv.Itoa(maxTopics), " topics")
		}
		g.topics = append(g.topics, topic{name: name})
		n := phrases
		for p := range strings.SplitSeq(list, ",") {
			if p = strings.TrimSpace(p); p == "" {
				continue
			}
			if err := g.phrase(len(g.topics)-1, p); err != nil {
				return nil, fail("topics: ", name, ": ", strconv.Quote(p), " ", err.Error())
			}
			if phrases++; phrases > maxPhrases {
				return nil, fail("more than ", strconv.Itoa(maxPhrases), " phrases")
			}
		}
		if phrases == n {
			return nil, fail("topics: ", strconv.Quote(name), " has no phrases")
		}
	}
	for _, key := range []string{"deny", "allow"} {
		names, _ := config(key)
		for name := range strings.SplitSeq(names, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			t := g.named(name)
			if t == nil {
				return nil, fail(key, ": there is no topic ", strconv.Quote(name), " under topics")
			}
			if key == "deny" {
				t.denied = true
			} else {
				t.wanted, g.allow = true, true
			}
			if t.denied && t.wanted {
				return nil, fail(strconv.Quote(name), " is both allowed and denied")
			}
		}
	}
	disclaimers, _ := config("disclaimers")
	for d := range strings.SplitSeq(disclaimers, "|") {
		if d = strings.TrimSpace(d); d == "" {
			continue
		}
		name, sentence, ok := strings.Cut(d, "=")
		t := g.named(strings.TrimSpace(name))
		if sentence = strings.TrimSpace(sentence); !ok || sentence == "" || len(words(sentence)) == 0 {
			return nil, fail("disclaimers: ", strconv.Quote(d), " is not NAME = sentence")
		}
		if t == nil {
			return nil, fail("disclaimers: there is no topic ", strconv.Quote(strings.TrimSpace(name)), " under topics")
		}
		t.disclaimer = sentence
	}
	return g, nil
}

func (g *Guard) named(name string) *topic {
	for i := range g.topics {
		if strings.EqualFold(g.topics[i].name, name) {
			return &g.topics[i]
		}
	}
	return nil
}

// phrase adds a phrase of a topic.
func (g *Guard) phrase(topic int, s string) error {
	p := phrase{topic: topic}
	if strings.HasSuffix(s, "*") {
		p.open, s = true, s[:len(s)-1]
	}
	f := text.Fold(s)
	if p.words = words(f.S); len(p.words) == 0 {
		return errors.New("has no word")
	}
	if len(p.words) > maxWords {
		return errors.New("has more than " + strconv.Itoa(maxWords) + " words")
	}
	at := slot(p.words[0])
	if p.open && len(p.words) == 1 {
		if len(p.words[0]) < 3 {
			return errors.New("has fewer than 3 letters before the *")
		}
		at = slot(p.words[0][:3])
	}
	g.first[at] = append(g.first[at], p)
	return nil
}
