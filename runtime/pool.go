package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/upstream"
)

// pool is several models that answer under one name: those of the lowest priority number share the requests by their
// weights, the others stand in when they fail.
type pool struct {
	name    string
	digest  string
	members []member
}

type member struct {
	pipeline.Model
	weight, priority int
}

var _ pipeline.Model = (*pool)(nil)

// openPools makes the pools of the configuration from the models as they are opened.
func (r *Runtime) openPools() error {
	for name, members := range r.cfg.Pools {
		p := &pool{name: name}
		sum := sha256.New()
		for _, c := range members {
			var m pipeline.Model
			switch {
			case r.remote[c.Model] != nil:
				m = r.remote[c.Model]
			case c.Model == config.Local && r.locals.first != nil:
				m = r.locals.first
			case r.locals.find(c.Model) != nil:
				m = r.locals.find(c.Model)
			case c.Model == config.Local, r.cfg.LeftOut(c.Model):
				continue // no model is installed, or it is remote and the appliance offline; the others do
			default:
				return fmt.Errorf("pool %s: there is no model %q", name, c.Model)
			}
			fmt.Fprintln(sum, m.Digest())
			p.members = append(p.members, member{m, max(c.Weight, 1), c.Priority})
		}
		p.digest = "pool:" + hex.EncodeToString(sum.Sum(nil))
		if len(p.members) > 0 {
			r.pools[name] = p
		}
	}
	return nil
}

// Info describes the pool by its weakest: what one member cannot take, the pool cannot.
func (p *pool) Info() hook.Model {
	out := hook.Model{ID: p.name, Tier: p.members[0].Info().Tier}
	for _, m := range p.members {
		info := m.Info()
		out.Remote = out.Remote || info.Remote
		if info.ContextTokens > 0 && (out.ContextTokens == 0 || info.ContextTokens < out.ContextTokens) {
			out.ContextTokens = info.ContextTokens
		}
		if info.Remote {
			out.Tier = info.Tier
		}
	}
	return out
}

func (p *pool) Digest() string { return p.digest }

// order is the members as one request tries them: by priority, and by a draw with weights among equals (Efraimidis and
// Spirakis, 2006: the greatest of random^(1/weight), here its logarithm).
func (p *pool) order() []pipeline.Model {
	type drawn struct {
		member
		key float64
	}
	list := make([]drawn, len(p.members))
	for i, m := range p.members {
		list[i] = drawn{m, rand.ExpFloat64() / float64(m.weight)}
	}
	slices.SortFunc(list, func(a, b drawn) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.key, b.key))
	})
	out := make([]pipeline.Model, len(list))
	for i := range list {
		out[i] = list[i].Model
	}
	return out
}

// Generate asks one member after the other until one answers. Once text has come, another goes on with the answer only
// where the route allows it, and the client is told.
func (p *pool) Generate(ctx context.Context, prompt *pipeline.Prompt, emit func(pipeline.Delta) error) (out pipeline.Outcome, err error) {
	var said strings.Builder
	var notes []string
	for i, m := range p.order() {
		ask := prompt
		if i > 0 {
			notes = append(notes, "then "+m.Info().ID)
			if said.Len() > 0 {
				if err := emit(pipeline.Delta{Notice: m.Info().ID}); err != nil {
					return out, err
				}
				again := *prompt
				again.Messages = append(slices.Clone(prompt.Messages), openai.Message{Role: "assistant", Content: openai.Content(said.String())},
					openai.Message{Role: "user", Content: "Your answer was cut off. Go on exactly where it ends, without repeating anything."})
				ask = &again
			}
		}
		tokens := out.Usage.CompletionTokens
		out, err = m.Generate(ctx, ask, func(d pipeline.Delta) error {
			said.WriteString(d.Text)
			return emit(d)
		})
		out.Usage.CompletionTokens += tokens
		out.Model = m.Info().ID
		out.Note = strings.Trim(strings.Join(append(notes, out.Note), "; "), "; ")
		if err == nil || ctx.Err() != nil || !(upstream.Passable(err) || noRoom(err)) || said.Len() > 0 && !prompt.GoOn {
			return out, err
		}
		notes = append(notes, m.Info().ID+": "+code(err))
	}
	return out, err
}

// noRoom says that a model on this device has too much to do or no memory.
func noRoom(err error) bool { c := code(err); return c == "overloaded" || c == "insufficient_memory" }

func code(err error) string {
	var e *openai.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "error"
}
