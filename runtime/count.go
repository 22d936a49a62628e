package runtime

import (
	"context"
	"runtime"

	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
)

// CountPrompt is how many tokens a chat request has for the model that answers it by default: counted where the model is
// on this device, and estimated (see promptTokens) where it is not. The error is an *openai.Error or the context's own.
func (r *Runtime) CountPrompt(ctx context.Context, who Identity, req *openai.ChatRequest) (int, error) {
	p, err := r.chatRequest("", who, req)
	if err != nil {
		return 0, err
	}
	route, model, err := r.resolve(req.Model)
	if err == nil {
		err = mayName(&who, req.Model)
	}
	if err != nil {
		return 0, err
	}
	if model == nil {
		if len(route.Models) == 0 {
			return 0, pipeline.ErrNoModel()
		}
		model = route.Models[0]
	}
	if m, ok := model.(*localModel); ok {
		release, err := r.admit.enter(ctx, route.Priority)
		if err != nil {
			return 0, err
		}
		defer release()
		if err := counting.enter(ctx); err != nil {
			return 0, err
		}
		defer counting.leave()
		prompt := p.Prompt
		prompt.MaxTokens = 1
		if prompt.Messages = p.Messages; route.System != "" {
			prompt.Messages = append([]openai.Message{{Role: "system", Content: openai.Content(route.System)}}, p.Messages...)
		}
		return m.CountPrompt(ctx, &prompt)
	}
	return promptTokens(p), nil
}

// counting lets as many prompts be counted at once as there are processors: more would take memory and no less time, and
// a prompt as long as a body may be takes 200 MiB.
var counting = make(turns, runtime.GOMAXPROCS(0))

// turns are places that are waited for in no order.
type turns chan struct{}

func (t turns) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turns) leave() { <-t }
