package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/hook"
)

// Examples are utterances by the name of what they ask for. The router is told which ones a request is like.
type Examples struct {
	by      embedding.Embedder
	names   []string // of each vector
	vectors [][]float32
}

// shownExamples is how many names a router is told.
const shownExamples = 3

// NewExamples embeds utterances by their names.
func NewExamples(ctx context.Context, by embedding.Embedder, utterances map[string][]string) (*Examples, error) {
	e := &Examples{by: by}
	for _, name := range slices.Sorted(maps.Keys(utterances)) {
		vectors, err := by.Embed(ctx, utterances[name])
		if err != nil {
			return nil, fmt.Errorf("examples of %s: %w", name, err)
		}
		for _, v := range vectors {
			e.names, e.vectors = append(e.names, name), append(e.vectors, v)
		}
	}
	return e, nil
}

// like returns the names whose utterances a text is most like, the best first.
func (e *Examples) like(ctx context.Context, text string) []hook.Example {
	v, err := e.by.Embed(ctx, []string{text})
	if err != nil {
		return nil // the router decides by what it sees itself
	}
	best := map[string]float64{}
	for i, u := range e.vectors {
		sum := float32(0)
		for k := range u {
			sum += u[k] * v[0][k]
		}
		if old, ok := best[e.names[i]]; !ok || float64(sum) > old {
			best[e.names[i]] = float64(sum)
		}
	}
	var out []hook.Example
	for name, score := range best {
		out = append(out, hook.Example{Name: name, Score: score})
	}
	slices.SortFunc(out, func(a, b hook.Example) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name, b.Name)) })
	return out[:min(len(out), shownExamples)]
}
