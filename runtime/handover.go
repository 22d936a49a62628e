package runtime

import (
	"context"
	"encoding/json"

	"github.com/ledge-run/ledge/runtime/pipeline"
)

// handOver enters a request into the queue of those that people answer. It stays as long as traces do, or until it is
// done.
func (r *Runtime) handOver(ctx context.Context, h *pipeline.Handover) error {
	doc, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return r.store.Handovers().Put(ctx, h.Tenant, h.ID, doc, r.cfg.Trace.Retention.D())
}
