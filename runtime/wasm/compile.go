package wasm

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
)

// compile makes a metered module's code resident, from the cache if that has it. An error is the module's.
func (h *Host) compile(ctx context.Context, name, digest string, metered []byte) (wazero.CompiledModule, error) {
	c := h.cache
	if c == nil {
		return h.rt.CompileModule(ctx, metered)
	}
	if !c.has(digest) && !h.uncached.Load() {
		if err := c.compile(ctx, digest, metered); err != nil && !errors.Is(err, errUnwritable) {
			return nil, err
		}
	}
	h.placing.Lock()
	defer h.placing.Unlock()
	file := ""
	if c.has(digest) {
		var err error
		switch file, err = c.place(digest); {
		case errors.Is(err, errUnwritable):
			h.withoutCache(err)
		case err != nil:
			h.logger.Warn("ignored and deleted a code cache entry; compiling again", "plugin", name, "digest", digest, "reason", err)
		}
	}
	compiled, unwritten, err := compileTwice(ctx, h.rt, metered)
	if file != "" {
		_ = os.Remove(file)
	}
	// Without a good entry, or with one made on another processor, whose name the engine does not look for, it has
	// compiled by itself and left a file of its own.
	if left, _ := filepath.Glob(filepath.Join(c.engine, "*")); len(left) > 0 && err == nil {
		if unwritten == nil {
			unwritten = c.store(digest, c.engine)
		}
		for _, f := range left {
			_ = os.Remove(f)
		}
	}
	if unwritten != nil {
		h.withoutCache(unwritten)
	} else if err == nil {
		h.uncached.Store(false)
	}
	return compiled, err
}

// withoutCache says, once until it is better, that code cannot be written to the cache.
func (h *Host) withoutCache(err error) {
	if !h.uncached.Swap(true) {
		h.logger.Warn("the code cache cannot be written: plugins work, but are compiled at every start; make room, or let the process write there",
			"directory", h.cache.dir, "reason", err)
	}
}

// cached says whether the module's code can be loaded again without being compiled.
func (h *Host) cached(digest string) bool { return h.cache != nil && h.cache.has(digest) }
