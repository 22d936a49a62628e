package wasm

import (
	"context"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
)

// compile makes a metered module's code resident, from the cache if that has it.
func (h *Host) compile(ctx context.Context, name, digest string, metered []byte) (wazero.CompiledModule, error) {
	c := h.cache
	if c == nil {
		return h.rt.CompileModule(ctx, metered)
	}
	if !c.has(digest) {
		if err := c.compile(ctx, digest, metered); err != nil {
			return nil, err
		}
	}
	h.placing.Lock()
	defer h.placing.Unlock()
	file, err := c.place(digest)
	if err != nil {
		h.logger.Warn("ignored and deleted a code cache entry; compiling again", "plugin", name, "digest", digest, "reason", err)
	}
	compiled, err := h.rt.CompileModule(ctx, metered)
	if file != "" {
		_ = os.Remove(file)
	}
	// Without a good entry, or with one made on another processor, whose name the engine does not look for, it has
	// compiled by itself and left a file of its own.
	if left, _ := filepath.Glob(filepath.Join(c.engine, "*")); len(left) > 0 && err == nil {
		if e := c.store(digest, c.engine); e != nil {
			h.logger.Warn("cannot renew a code cache entry", "plugin", name, "digest", digest, "reason", e)
		}
		for _, f := range left {
			_ = os.Remove(f)
		}
	}
	return compiled, err
}
