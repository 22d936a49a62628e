package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/chunking"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/extract"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/search"
)

// openDocuments opens the library and starts to work off what was submitted to it.
func (r *Runtime) openDocuments() error {
	var embedder embedding.Embedder = embedding.Lexical{}
	o := search.Options{Store: r.store.Documents(), Logger: r.log}
	if r.embedder != nil {
		embedder = r.embedder
	}
	if r.reranker != nil {
		o.Reranker = r.reranker
	}
	o.Embedder = embedder
	var err error
	r.library, err = search.Open(o)
	if err != nil {
		return err
	}
	r.ingest, err = ingest.Open(ingest.Options{Store: r.store.Documents(), Library: r.library, Cutter: r.cutter, Logger: r.log,
		Settings: func() string {
			p := r.plugins[r.cfg.Documents.Chunker]
			if p == nil {
				return embedder.Digest()
			}
			return fmt.Sprint(embedder.Digest(), p.Digest(), p.cfg.Config, r.cfg.Documents.Chunk)
		}})
	return err
}

// cutter cuts documents with the configured plugin.
func (r *Runtime) cutter(doc *hook.Document, unit string) (*chunking.Cutter, error) {
	d := r.cfg.Documents.Chunk
	if doc.Strategy == "" {
		doc.Strategy = d.Strategy
	}
	if doc.Size == 0 {
		doc.Size = d.Size
		if doc.Overlap == 0 {
			doc.Overlap = d.Overlap
		}
		unit = cmp.Or(unit, d.Unit)
	}
	c := &chunking.Cutter{Chunk: r.chunk}
	if unit == "tokens" {
		if c.Count = r.tokenCounter(); c.Count == nil {
			return nil, errors.New("sizes in tokens need a model whose tokens are counted; configure embedding_model or model, or give sizes in characters")
		}
	} else if unit != "" && unit != "characters" {
		return nil, fmt.Errorf("the unit %q is neither characters nor tokens", unit)
	}
	return c, nil
}

// tokenCounter counts tokens of the model for embeddings, else of the first on this device; nil without any.
func (r *Runtime) tokenCounter() func(text string) (int, error) {
	if e := r.embedder; e != nil {
		return func(text string) (int, error) { return len(e.engine.EmbedTokens(text, false)), nil }
	}
	if m := r.locals.first; m != nil {
		return func(text string) (int, error) { return m.CountTokens(context.Background(), text) }
	}
	return nil
}

// chunk cuts a piece of a document.
func (r *Runtime) chunk(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error) {
	p := r.plugins[r.cfg.Documents.Chunker]
	if p == nil {
		return nil, fmt.Errorf("there is no plugin %q; documents.chunker names the one that cuts documents", r.cfg.Documents.Chunker)
	}
	return chunking.With(p)(ctx, doc)
}

// access is what a caller may read, from who it is.
func access(who *Identity) search.Access {
	return search.Access{Tenant: who.Tenant, Subject: who.Subject, Groups: who.Groups, Clearance: who.Clearance, Purpose: who.Purpose}
}

// retrieve is a route's way of answering from documents.
func (r *Runtime) retrieve(cfg *config.Retrieve, guards []pipeline.Stage) *pipeline.Retrieve {
	return &pipeline.Retrieve{From: r.library, Chunks: cfg.Chunks, Budget: cfg.Budget, Floor: cfg.Floor, Mode: cfg.Mode, NoAnswer: cfg.NoAnswer, Guards: guards}
}

// Library holds the documents that routes answer from.
func (r *Runtime) Library() *search.Library { return r.library }

// Ingest makes documents of files.
func (r *Runtime) Ingest() *ingest.Queue { return r.ingest }

// DefaultRule is who may read a document that says nothing of it.
func (r *Runtime) DefaultRule() search.Rule {
	return search.Rule{Classification: r.cfg.Documents.Classification, Approved: true}
}

// folderInterval is how often watched folders are looked at.
const folderInterval = 2 * time.Second

// folder is a watched folder and what was seen in it.
type folder struct {
	cfg  config.Folder
	seen map[string]stamp // by path; files that were submitted or refused
}

// stamp tells whether a file changed.
type stamp struct {
	modified time.Time
	size     int64
}

// watchFolders submits what changes in the watched folders, and drops what is gone, until ctx ends.
func (r *Runtime) watchFolders(ctx context.Context) {
	var folders []*folder
	for _, f := range r.cfg.Documents.Watch {
		folders = append(folders, &folder{f, map[string]stamp{}})
	}
	tick := time.NewTicker(folderInterval)
	defer tick.Stop()
	for {
		for _, f := range folders {
			if err := r.lookInto(ctx, f); err != nil && ctx.Err() == nil {
				r.log.Error("watched folder", "folder", f.cfg.Path, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookInto compares a folder with what was seen in it and with the documents that came from it.
func (r *Runtime) lookInto(ctx context.Context, f *folder) error {
	tenant := f.cfg.Tenant
	origin := "folder:" + f.cfg.Path
	rule := search.Rule{Classification: f.cfg.Classification, Groups: f.cfg.Groups, Purposes: f.cfg.Purposes, Approved: true}
	present := map[string]bool{}
	complete := true // whether every folder could be read: what was not seen may be there
	var batch []ingest.Source
	size := 0
	submit := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := r.ingest.Submit(tenant, batch)
		batch, size = nil, 0
		return err
	}
	err := filepath.WalkDir(f.cfg.Path, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			complete = false
			if path == f.cfg.Path {
				return err
			}
			return nil
		}
		hidden := strings.HasPrefix(d.Name(), ".") && path != f.cfg.Path
		if d.IsDir() {
			if hidden {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || hidden || !info.Mode().IsRegular() || extract.TypeOf(path, nil) == "" {
			return nil
		}
		rel, err := filepath.Rel(f.cfg.Path, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(filepath.Join(filepath.Base(f.cfg.Path), rel))
		present[name] = true
		now := stamp{info.ModTime(), info.Size()}
		// A file that is still being written comes with a later look.
		if f.seen[path] == now || time.Since(now.modified) < folderInterval/2 {
			return nil
		}
		if doc, err := r.library.Get(tenant, name); err == nil && doc.Modified.Equal(now.modified) && doc.Bytes == now.size {
			f.seen[path] = now
			return nil
		}
		if now.size > extract.MaxFile {
			f.seen[path] = now
			r.log.Warn("watched folder: the file is too large", "file", path, "bytes", now.size)
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil // gone, or not ours to read; the next look tells
		}
		batch = append(batch, ingest.Source{Name: name, Rule: rule, Owner: f.cfg.Owner, Origin: origin, Modified: now.modified, Data: data})
		f.seen[path] = now
		if size += len(data); size > 16<<20 || len(batch) >= 1000 {
			return submit()
		}
		return nil
	})
	if err = errors.Join(err, submit()); err != nil || !complete {
		return err
	}
	docs, err := r.library.List(tenant)
	if err != nil {
		return err
	}
	for i := range docs {
		if docs[i].Origin == origin && !present[docs[i].Name] {
			if _, err := r.library.Delete(tenant, docs[i].ID); err != nil && !errors.Is(err, search.ErrNotFound) {
				return err
			}
			r.log.Info("document removed with its file", "tenant", tenant, "document", docs[i].Name)
		}
	}
	return nil
}
