package capability

import (
	"context"

	"github.com/ledge-run/ledge/runtime/wasm"
)

// Searcher finds passages of the site's documents for plugins. The context says who may read what: implementations
// return nothing that the caller of the plugin may not read.
type Searcher interface {
	Search(ctx context.Context, tenant, query string, k int) ([]Passage, error)
}

// Passage is a piece of a document: a half-open byte range of its text.
type Passage struct {
	Document string   `json:"document"`
	Chunk    string   `json:"chunk"`
	Start    int      `json:"start"`
	End      int      `json:"end"`
	Heading  []string `json:"heading,omitempty"`
	Score    float64  `json:"score"`
	Text     string   `json:"text"`
}

type searchRequest struct {
	Query string `json:"query"`
	K     int    `json:"k"` // 0: 5
}

type searchResult struct {
	Hits []Passage `json:"hits"`
}

const maxPassages = 50

// Search is the capability search: the site's documents, as far as the caller of the plugin may read them. Arguments and
// results are offsets of memory blocks with JSON.
//
//	ledge_search_query(request i64) -> i64   {"query": "...", "k": 5} -> {"hits": [Passage...]}, or {"error": "..."}
func Search(s Searcher) []wasm.HostFunction {
	one := []wasm.ValueType{wasm.I64}
	return []wasm.HostFunction{{Name: "ledge_search_query", Params: one, Results: one, Func: func(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
		return reply(call, stack, func(r *searchRequest) (any, error) {
			if r.K == 0 {
				r.K = 5
			}
			if r.Query == "" || r.K < 1 || r.K > maxPassages {
				return nil, decline("give a query, and k from 1 to %d", maxPassages)
			}
			hits, err := s.Search(ctx, call.Tenant(), r.Query, r.K)
			if err != nil {
				return nil, refusal(ctx, err)
			}
			if hits == nil {
				hits = []Passage{}
			}
			return &searchResult{hits}, nil
		})
	}}}
}
