// Package groundingguard holds an answer against the texts it was made from: each claim is supported, unsupported or
// contradicted by them. It aligns words and compares numbers, names and negation; no model is asked.
//
// It judges one text at a time and knows nothing of where passages come from. It builds natively and as a guest; only
// package sdk is imported. Start reading at [Guard.Check].
package groundingguard

import (
	"errors"
	"strconv"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Default thresholds of the score: at or above DefaultPass an answer passes, below DefaultBlock it is blocked, between
// them it is reported.
const (
	DefaultPass  = 0.9
	DefaultBlock = 0.7
)

// Guard judges answers. It is immutable and safe for concurrent use.
type Guard struct {
	pass, block float64
	action      string
}

// New makes a guard from its configuration: "pass" and "block", scores from 0 to 1, and "action", block or review, for
// answers below block.
func New(config func(key string) (string, bool)) (*Guard, error) {
	g := &Guard{pass: DefaultPass, block: DefaultBlock, action: sdk.Block}
	for key, to := range map[string]*float64{"pass": &g.pass, "block": &g.block} {
		if v, ok := config(key); ok && v != "" {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f >= 0 && f <= 1) {
				return nil, errors.New("grounding-guard: " + key + " " + strconv.Quote(v) + " is not a number from 0 to 1")
			}
			*to = f
		}
	}
	if g.block > g.pass {
		return nil, errors.New("grounding-guard: block is above pass; an answer cannot be blocked and pass")
	}
	if v, ok := config("action"); ok && v != "" {
		if v != sdk.Block && v != sdk.Review {
			return nil, errors.New("grounding-guard: action " + strconv.Quote(v) + " is neither block nor review")
		}
		g.action = v
	}
	return g, nil
}

// Status of a claim.
const (
	Supported    = "supported"
	Unsupported  = "unsupported"
	Contradicted = "contradicted"
)

// Claim is a sentence of an answer and what the passages say of it.
type Claim struct {
	Start, End int
	Status     string
	Score      float64 // 0 to 1
	Passage    int     // the passage that fits best, from 1; 0: none
	Rule       string  // what spoke against it
}

// Report is the judgement of an answer. Score is the mean over its claims, 1 without any.
type Report struct {
	Claims []Claim
	Score  float64
}

// Judge holds an answer against the request's passages and gives a verdict. Without those it reads a text whose answer
// follows its passages, as [Split] finds them. An answer without passages is allowed: there is nothing to hold it against.
func (g *Guard) Judge(req *sdk.GuardRequest) sdk.Verdict {
	v := sdk.Verdict{Verdict: sdk.Allow}
	if req.Stage == sdk.StageOutput && !req.Final {
		return v
	}
	passages, answer, at := req.Passages, req.Text, 0
	if len(passages) == 0 {
		passages, answer, at = Split(req.Text)
	}
	if len(passages) == 0 {
		return v
	}
	r := Check(passages, answer)
	word := "pass"
	switch {
	case r.Score < g.block:
		v.Verdict, word = g.action, "blocked"
	case r.Score < g.pass:
		word = "warn"
	}
	v.Reason = word + ": score " + strconv.FormatFloat(r.Score, 'f', 2, 64) + " over " + strconv.Itoa(len(r.Claims)) + " claims"
	for _, c := range r.Claims {
		if c.Status != Supported {
			v.Spans = append(v.Spans, sdk.Span{Start: at + c.Start, End: at + c.End, Entity: "CLAIM", Rule: c.Status + "." + c.Rule, Confidence: 1 - c.Score})
		}
	}
	return v
}

// Marks between the passages and the answer of a text that is to be judged.
const (
	PassageMark = "\x1epassage\x1e"
	AnswerMark  = "\x1eanswer\x1e"
)

// Split takes a text apart into passages, each after a PassageMark, and the answer after AnswerMark; at is the offset of
// the answer.
func Split(text string) (passages []string, answer string, at int) {
	k := index(text, AnswerMark)
	if k < 0 {
		return nil, text, 0
	}
	at = k + len(AnswerMark)
	head := text[:k]
	for {
		i := index(head, PassageMark)
		if i < 0 {
			return passages, text[at:], at
		}
		head = head[i+len(PassageMark):]
		end := index(head, PassageMark)
		if end < 0 {
			end = len(head)
		}
		passages = append(passages, head[:end])
	}
}

func index(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return i
		}
	}
	return -1
}
