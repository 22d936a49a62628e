package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/residency"
	"github.com/ledge-run/ledge/runtime/slm/engine"
)

// localModels are the models and adapters on this device by their names, and what keeps the models in memory.
type localModels struct {
	set      *residency.Set[*resident] // nil: there are none
	byName   map[string]*localModel    // models
	adapters map[string]*localModel    // models with an adapter, by the adapter's name
	first    *localModel               // what config.Local stands for; nil: there is none
	plans    map[string]engine.Plan
}

// named is a model of the configuration with the name that clients use for it.
type named struct {
	name string
	config.Model
}

// configured lists the models of a configuration, the one that config.Local stands for first.
func configured(cfg *config.Config) []named {
	var out []named
	if m := cfg.Model; m.File != "" {
		out = append(out, named{cmp.Or(m.ID, strings.TrimSuffix(filepath.Base(m.File), ".gguf")), m})
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Models)) {
		out = append(out, named{name, cfg.Models[name]})
	}
	return out
}

// openLocals declares the models on this device, and loads those that are pinned. Headers of all files are read, so that
// a file that cannot be used, or a model that cannot fit, is found now and not by the first request.
func (r *Runtime) openLocals(ctx context.Context) error {
	l := &r.locals
	l.byName, l.adapters, l.plans = map[string]*localModel{}, map[string]*localModel{}, map[string]engine.Plan{}
	list := configured(r.cfg)
	adapters, err := adaptersOf(r.cfg, list)
	if err != nil {
		return err
	}
	var specs []residency.Spec[*resident]
	for _, c := range list {
		m, spec, err := r.declare(ctx, c, adapters[c.name])
		if err != nil {
			return fmt.Errorf("model %s: %w", c.name, err)
		}
		specs = append(specs, spec)
		l.byName[c.name] = m
		if l.first == nil {
			l.first = m
		}
		for name, file := range adapters[c.name] {
			if l.adapters[name], err = r.adapted(ctx, m, name, file); err != nil {
				return err
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	if l.set, err = residency.New(modelMemory(r.cfg), specs); err != nil {
		return err
	}
	for _, spec := range specs {
		if !spec.Pin {
			continue
		}
		_, release, err := l.set.Acquire(ctx, spec.Name)
		if err != nil {
			return fmt.Errorf("model %s: %w", spec.Name, err)
		}
		release()
	}
	return nil
}

// modelMemory is what all models may take together; 0: no limit is known.
func modelMemory(cfg *config.Config) int64 {
	if n := int64(cfg.ModelMemory); n > 0 {
		return n
	}
	return residency.DeviceMemory() / 5 * 4
}

// adaptersOf lists the files of the adapters of each model by their names.
func adaptersOf(cfg *config.Config, list []named) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Adapters)) {
		a := cfg.Adapters[name]
		i := slices.IndexFunc(list, func(c named) bool { return c.name == a.Base })
		if (a.Base == "" || a.Base == config.Local) && len(list) > 0 {
			i = 0
		}
		switch {
		case i < 0 && (a.Base == "" || a.Base == config.Local):
			return nil, fmt.Errorf("adapter %s: there is no model on this device for its base; set model.file or models", name)
		case i < 0:
			return nil, fmt.Errorf("adapter %s: there is no model %q on this device for its base", name, a.Base)
		case slices.ContainsFunc(list, func(c named) bool { return c.name == name }):
			return nil, fmt.Errorf("adapter %s: a model has the same name", name)
		}
		base := list[i].name
		if out[base] == nil {
			out[base] = map[string]string{}
		}
		out[base][name] = a.File
	}
	return out, nil
}

// find finds the model or adapter that a client or a route names: MODEL, ADAPTER or MODEL:ADAPTER.
func (l *localModels) find(name string) *localModel {
	if m := l.byName[name]; m != nil {
		return m
	}
	if m := l.adapters[name]; m != nil {
		return m
	}
	if base, adapter, ok := strings.Cut(name, ":"); ok {
		if m := l.adapters[adapter]; m != nil && m.base == base {
			return m
		}
	}
	return nil
}

func (l *localModels) close() error {
	var errs []error
	if l.set != nil {
		errs = append(errs, l.set.Close())
	}
	for _, m := range l.byName {
		m.leave()
	}
	return errors.Join(errs...)
}

// LocalModel describes a model on this device.
type LocalModel struct {
	residency.Status
	Info     engine.Info `json:"info"`
	Adapters []string    `json:"adapters,omitempty"`
}

// LocalModels describes the models on this device, the one that routes call local first.
func (r *Runtime) LocalModels() []LocalModel {
	if r.locals.set == nil {
		return nil
	}
	var out []LocalModel
	for _, s := range r.locals.set.Status() {
		m := LocalModel{Status: s, Info: r.locals.plans[s.Name].Info}
		for _, name := range slices.Sorted(maps.Keys(r.locals.adapters)) {
			if r.locals.adapters[name].base == s.Name {
				m.Adapters = append(m.Adapters, name)
			}
		}
		out = append(out, m)
	}
	return out
}

// ModelMemory is what all models on this device may take together, in bytes; 0: no limit.
func (r *Runtime) ModelMemory() int64 { return modelMemory(r.cfg) }

// EngineStats are the figures of the models that are loaded on this device, by their names.
func (r *Runtime) EngineStats() map[string]engine.Stats {
	out := map[string]engine.Stats{}
	if r.locals.set != nil {
		r.locals.set.Loaded(func(name string, m *resident) { out[name] = m.engine.Stats() })
	}
	return out
}

// PlanModels says what the models of a configuration will take, without loading any.
// memory is what they may take together, in bytes; 0: no limit.
func PlanModels(cfg *config.Config) (models []LocalModel, memory int64, err error) {
	dir, err := cfg.DataDir()
	if err != nil {
		return nil, 0, err
	}
	list := configured(cfg)
	adapters, err := adaptersOf(cfg, list)
	if err != nil {
		return nil, 0, err
	}
	out := []LocalModel{}
	var specs []residency.Spec[*resident]
	for _, c := range list {
		d, err := describe(c, adapters[c.name], dir)
		if err != nil {
			return nil, 0, fmt.Errorf("model %s: %w", c.name, err)
		}
		d.leave()
		spec := residency.Spec[*resident]{Name: c.name, Pin: c.Pin, Need: d.need()}
		specs = append(specs, spec)
		out = append(out, LocalModel{Status: residency.Status{Name: c.name, State: "unloaded", Pinned: c.Pin, Need: spec.Need},
			Info: d.plan.Info, Adapters: slices.Sorted(maps.Keys(adapters[c.name]))})
	}
	_, err = residency.New(modelMemory(cfg), specs)
	return out, modelMemory(cfg), err
}
