package runtime

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/limits"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// openLimits starts to count against the rules of the configuration; without any there is nothing to count.
func (r *Runtime) openLimits(ctx context.Context) (err error) {
	rules := make([]limits.Rule, len(r.cfg.Limits.Rules))
	for i, c := range r.cfg.Limits.Rules {
		rules[i] = limits.Rule{Name: c.Name, Per: c.Per, Match: c.Match, RequestsPerMinute: c.RequestsPerMinute, TokensPerMinute: c.TokensPerMinute,
			Streams: c.Streams, TokensPerDay: c.TokensPerDay, TokensPerMonth: c.TokensPerMonth, Soft: c.Soft,
			MoneyPerDay: limits.Money(c.CostPerDay * float64(limits.Unit)), MoneyPerMonth: limits.Money(c.CostPerMonth * float64(limits.Unit))}
	}
	if len(rules) == 0 {
		return nil
	}
	r.limiter, err = limits.New(ctx, rules, r.store.Limits(), limits.NewClock(), r.log)
	return err
}

// price is what a model's tokens cost; of a pool, those of its most expensive member.
func (r *Runtime) price(model string) limits.Price {
	if p := r.pools[model]; p != nil {
		var most limits.Price
		for _, m := range p.members {
			each := r.price(m.Info().ID)
			most = limits.Price{Prompt: max(most.Prompt, each.Prompt), Answer: max(most.Answer, each.Answer)}
		}
		return most
	}
	p, ok := r.cfg.Prices[model]
	if !ok && r.locals.find(model) != nil {
		p = r.cfg.Prices[config.Local]
	}
	each := func(perMillion float64) limits.Money {
		return limits.Money(math.Round(perMillion / 1e6 * float64(limits.Unit)))
	}
	return limits.Price{Prompt: each(p.Prompt), Answer: each(p.Answer)}
}

// promptTokens estimates a prompt's tokens before any model has read it: three bytes a token, which errs high for
// European languages and about right for others, and what a chat template puts around a message.
func promptTokens(req *pipeline.Request) int {
	n := 0
	for i := range req.Messages {
		m := &req.Messages[i]
		n += len(m.Content)/3 + 8
		for _, c := range m.ToolCalls {
			n += (len(c.Function.Name) + len(c.Function.Arguments)) / 3
		}
	}
	for i := range req.Prompts {
		n += max(len(req.Prompts[i].Text)/3, len(req.Prompts[i].Tokens)) + 1
	}
	for i := range req.Prompt.Tools {
		n += len(req.Prompt.Tools[i].Function.Parameters)/3 + len(req.Prompt.Tools[i].Function.Description)/3 + 8
	}
	return n
}

// hold counts a request against the limits until the function returned is called. The request is made to ask again once
// its model is known, and to tell what it used.
func (r *Runtime) hold(ctx context.Context, who *Identity, route string, req *pipeline.Request) (*limits.Lease, error) {
	if r.limiter == nil {
		return nil, nil
	}
	answer := req.MaxTokens
	if answer == 0 || answer > r.cfg.Limits.MaxTokens {
		answer = r.cfg.Limits.MaxTokens
	}
	lease, err := r.limiter.Enter(limits.Ask{Tenant: who.Tenant, User: who.Subject, Key: who.Key, Route: route,
		Prompt: promptTokens(req), Answer: answer * max(req.Choices, 1) * max(len(req.Prompts), 1)})
	if err != nil {
		return nil, limitError(err)
	}
	req.OnModel = func(m pipeline.Model) error {
		info := m.Info()
		return limitError(lease.Model(ctx, info.Tier, r.price(info.ID)))
	}
	req.OnEnd = func(t *pipeline.Trace) {
		if t.Reused() {
			lease.Leave(0, 0) // a model did not run
			return
		}
		if len(t.Spent) > 0 {
			lease.LeaveWith(r.used(t.Spent))
			return
		}
		lease.Settle(r.price(t.Model))
		lease.Leave(t.Usage.PromptTokens, t.Usage.CompletionTokens)
	}
	return lease, nil
}

// used is what each model of a request is counted for.
func (r *Runtime) used(spent []pipeline.Spend) []limits.Used {
	out := make([]limits.Used, len(spent))
	for i, s := range spent {
		out[i] = limits.Used{Tier: s.Tier, Price: r.price(s.Model), Prompt: s.PromptTokens, Answer: s.CompletionTokens}
	}
	return out
}

// limitError turns a refusal into what a client of the OpenAI API understands.
func limitError(err error) error {
	var e *limits.Exceeded
	if !errors.As(err, &e) {
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return &openai.Error{Status: http.StatusServiceUnavailable, Type: openai.TypeServer, Code: "budget_unavailable", Cause: err, RetryAfter: 5,
				Message: "the budget could not be written down, and nothing is spent without"}
		}
		return err
	}
	out := &openai.Error{Status: http.StatusTooManyRequests, Type: openai.TypeRateLimit, Code: "rate_limit_exceeded", Message: e.Error(), Headers: limitHeaders(e.State)}
	if e.Quota {
		out.Code = "insufficient_quota"
	}
	out.RetryAfter = max(int(math.Ceil(e.After.Seconds())), 1)
	return out
}

// limitHeaders are OpenAI's, and one of ours for budgets that run out.
func limitHeaders(s limits.State) map[string]string {
	h := map[string]string{}
	room := func(name string, r limits.Room) {
		if r.Limit > 0 {
			h["X-Ratelimit-Limit-"+name], h["X-Ratelimit-Remaining-"+name] = strconv.FormatInt(r.Limit, 10), strconv.FormatInt(r.Remaining, 10)
			h["X-Ratelimit-Reset-"+name] = r.Reset.Round(time.Second).String()
		}
	}
	room("Requests", s.Requests)
	room("Tokens", s.Tokens)
	if len(s.Warnings) > 0 {
		h["X-Ledge-Budget-Warning"] = strings.Join(s.Warnings, "; ")
	}
	return h
}

// LimitCounts lists the counters of the limits.
func (r *Runtime) LimitCounts() []limits.Count {
	if r.limiter == nil {
		return []limits.Count{}
	}
	return r.limiter.Counts()
}
