package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/config"
)

// openAdapters loads the configured adapters onto their bases and makes each a model that clients and routes can name.
func (r *Runtime) openAdapters() error {
	for _, name := range slices.Sorted(maps.Keys(r.cfg.Adapters)) {
		a := r.cfg.Adapters[name]
		base := r.base(a.Base)
		if base == nil {
			if a.Base == "" || a.Base == config.Local {
				r.log.Warn("an adapter is left out: there is no model on this device", "adapter", name)
				continue
			}
			return fmt.Errorf("adapter %s: there is no model %q on this device for its base", name, a.Base)
		}
		if name == base.id {
			return fmt.Errorf("adapter %s: its base has the same name", name)
		}
		m, err := base.adapt(name, a.File)
		if err != nil {
			return err
		}
		r.adapted[name] = m
	}
	return nil
}

// base finds the model on this device that a name stands for.
func (r *Runtime) base(name string) *localModel {
	if r.local != nil && (name == "" || name == config.Local || name == r.local.id) {
		return r.local
	}
	return nil
}

// onDevice finds the model or adapter on this device that a client names: MODEL, ADAPTER or MODEL:ADAPTER.
func (r *Runtime) onDevice(name string) *localModel {
	if m := r.adapted[name]; m != nil {
		return m
	}
	if r.local != nil && name == r.local.id {
		return r.local
	}
	if base, adapter, ok := strings.Cut(name, ":"); ok && base != "" {
		if m := r.adapted[adapter]; m != nil && r.base(base) != nil && m.engine == r.base(base).engine {
			return m
		}
	}
	return nil
}

// adapt loads an adapter and returns the model with it. They share the engine; the adapter stands in the place of one
// that an installed model brings. An answer of one is never found in the cache for the other.
func (m *localModel) adapt(name, file string) (*localModel, error) {
	if err := m.engine.LoadAdapter(name, file); err != nil {
		return nil, err
	}
	digest, _ := m.engine.AdapterDigest(name)
	sum := sha256.Sum256([]byte(m.digest + " " + digest))
	out := *m
	out.id, out.adapter, out.digest = name, name, "sha256:"+hex.EncodeToString(sum[:])
	return &out, nil
}
