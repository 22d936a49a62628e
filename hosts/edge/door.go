package edge

import (
	"net/http"
	"sync/atomic"

	"github.com/ledge-run/ledge/runtime"
)

// door turns requests away before anything of them is read while as many are inside as may work and wait, and those that
// have an answer to read or write yet. Queues and priorities behind it decide about the rest: what is read costs time that
// those who were let in are waiting for.
type door struct {
	most   int64
	inside atomic.Int64
	away   atomic.Int64
}

// doorMargin is for requests that do not work yet or any more: their bodies are being read, or their answers written.
const doorMargin = 64

func (d *door) guard(next http.Handler) http.Handler {
	if d.most <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer d.inside.Add(-1)
		if d.inside.Add(1) > d.most {
			d.away.Add(1)
			writeError(w, runtime.Overloaded())
			return
		}
		next.ServeHTTP(w, r)
	})
}
