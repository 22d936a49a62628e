package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ledge-run/ledge/runtime/modelstore"
	"github.com/ledge-run/ledge/runtime/residency"
	"github.com/ledge-run/ledge/runtime/slm/engine"
)

// manifestAdapter is the name under which an installed model's own adapter is loaded. No configured one can have it.
const manifestAdapter = "(own)"

// description is all that is known of a model before it is loaded.
type description struct {
	file   string
	opts   engine.Options
	plan   engine.Plan
	manner *modelstore.Manifest
	leave  func() // ends the use of an installed model
}

// describe reads what a model of the configuration is: an installed one where no file of that name exists, and its file.
func describe(c named, adapters map[string]string, dir string) (_ *description, err error) {
	d := &description{file: c.File, manner: &modelstore.Manifest{}, leave: func() {}}
	d.opts = engine.Options{Threads: c.Threads, MaxContext: c.MaxContext, MaxKVBytes: int64(c.KVMemory), Adapters: map[string]string{},
		Draft: c.Draft, NoSpeculation: c.Speculate != nil && !*c.Speculate}
	for name, file := range adapters {
		d.opts.Adapters[name] = file
	}
	if _, missing := os.Stat(c.File); errors.Is(missing, fs.ErrNotExist) && modelstore.CheckName(c.File) == nil {
		s := modelstore.New(dir)
		if d.manner, d.leave, err = s.Use(c.File); err != nil {
			return nil, fmt.Errorf("there is no file %s, and %w", c.File, err)
		}
		d.file, d.opts.Template = s.Blob(d.manner.Digest), d.manner.Template
		if n := d.manner.Parameters.NumCtx; n != nil && c.MaxContext == 0 {
			d.opts.MaxContext = *n
		}
		if d.manner.Adapter != "" {
			d.opts.Adapters[manifestAdapter] = s.Blob(d.manner.Adapter)
		}
	}
	if d.plan, err = engine.Inspect(d.file, d.opts); err != nil {
		d.leave()
		return nil, err
	}
	return d, nil
}

func (d *description) need() residency.Need {
	return residency.Need{Weights: d.plan.Weights, KV: d.plan.KV, Work: d.plan.Work}
}

// declare makes a model of the configuration known, to be loaded when it is needed.
func (r *Runtime) declare(ctx context.Context, c named, adapters map[string]string) (*localModel, residency.Spec[*resident], error) {
	var spec residency.Spec[*resident]
	d, err := describe(c, adapters, r.dir)
	if err != nil {
		return nil, spec, err
	}
	if d.plan.Info.Encoder {
		d.leave()
		return nil, spec, fmt.Errorf("%w; embedding_model.file is its place", engine.ErrEncoder)
	}
	m := &localModel{id: c.name, base: c.name, models: &r.locals, context: d.plan.Info.ContextTokens, tier: c.Tier, manner: d.manner, leave: d.leave}
	if d.opts.Digest, err = r.digestOf(ctx, d.file); err != nil {
		d.leave()
		return nil, spec, err
	}
	m.digest = d.opts.Digest
	if d.manner.Digest != "" {
		m.digest = mannerDigest(m.digest, d.manner)
	}
	if d.manner.Adapter != "" {
		m.adapter = manifestAdapter
	}
	d.opts.Logger = r.log
	if n := c.PrefixDisk; n != nil && *n > 0 {
		d.opts.PrefixDir, d.opts.PrefixBytes = r.prefixDir(c.name), int64(*n)
	}
	r.locals.plans[c.name] = d.plan
	return m, residency.Spec[*resident]{Name: c.name, Need: d.need(), Pin: c.Pin,
		Load: func() (*resident, error) {
			e, err := engine.Open(d.file, d.opts)
			if err != nil {
				return nil, err
			}
			r.log.Info("model loaded", "model", c.name, "bytes", d.need().Total())
			return &resident{engine: e, forms: newForms(e, d.manner.Template)}, nil
		},
		Unload: func(m *resident) error {
			r.log.Info("model unloaded", "model", c.name)
			return m.engine.Close()
		}}, nil
}

// adapted returns a model with an adapter. They share an engine; the adapter stands in the place of one that an
// installed model brings. An answer of one is never found in the cache for the other.
func (r *Runtime) adapted(ctx context.Context, base *localModel, name, file string) (*localModel, error) {
	digest, err := r.digestOf(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("adapter %s: %w", name, err)
	}
	sum := sha256.Sum256([]byte(base.digest + " " + digest))
	out := *base
	out.id, out.adapter, out.digest = name, name, "sha256:"+hex.EncodeToString(sum[:])
	return &out, nil
}

// mannerDigest is a digest of all that shapes an installed model's answers, so that nothing cached is used after a
// change of its manifest.
func mannerDigest(file string, m *modelstore.Manifest) string {
	doc, err := json.Marshal([]any{file, m.System, m.Template, m.Adapter, m.Parameters})
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(doc)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// prefixDir is where a model's prefix cache lies. A model that takes another's name takes over its directory too, so that
// no files are left that nobody counts; pages of other weights are never used.
func (r *Runtime) prefixDir(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(r.dir, "prefix", hex.EncodeToString(sum[:8]))
}

// digestOf is a model file's digest. It is remembered with the file's size and time, so that a large file is hashed once
// and not at every start.
func (r *Runtime) digestOf(ctx context.Context, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	name, stamp := "model-digest:"+path, fmt.Sprintf("%d %d ", info.Size(), info.ModTime().UnixNano())
	known, ok, err := r.store.Meta().Get(ctx, name)
	if err != nil {
		return "", err
	}
	if digest, same := strings.CutPrefix(string(known), stamp); ok && same {
		return digest, nil
	}
	digest, err := engine.FileDigest(path)
	if err != nil {
		return "", err
	}
	return digest, r.store.Meta().Put(ctx, name, []byte(stamp+digest))
}
