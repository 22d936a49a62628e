package cli

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/search"
)

// shelf is where documents are: a running appliance, or the state directory while none runs.
type shelf interface {
	Add(ctx context.Context, docs []edge.NewDocument) (*ingest.Job, error)
	Wait(ctx context.Context, job string, progress func(*ingest.Job)) (*ingest.Job, error)
	Jobs(ctx context.Context) ([]ingest.Job, error)
	List(ctx context.Context) ([]search.Document, error)
	Remove(ctx context.Context, doc string) (*search.Document, error)
	Search(ctx context.Context, req *edge.SearchRequest) ([]search.Hit, error)
	Reindex(ctx context.Context, progress func(search.Reindexed)) (search.Reindexed, error)
	Erase(ctx context.Context, req runtime.EraseRequest) (*runtime.EraseReport, error)
	Close() error
}

// open finds the running appliance, else opens the state.
func (f *docsFlags) open(ctx context.Context) (shelf, error) {
	cfg, err := f.site.appliance(ctx, f.admin)
	if err != nil {
		return nil, err
	}
	err = askAdmin(ctx, cfg, "GET", "/admin/v1/status", nil, &struct{}{})
	if err == nil {
		return &remoteShelf{cfg, f.tenant}, nil
	}
	if !errors.Is(err, errNotRunning) || f.admin != "" {
		return nil, err
	}
	cfg.Model.File = "" // documents need no model
	cfg.Documents.Watch = nil
	rt, err := runtime.New(ctx, cfg, runtime.Options{})
	if err != nil {
		return nil, err
	}
	return &localShelf{rt, f.tenant}, nil
}

// remoteShelf is a running appliance.
type remoteShelf struct {
	cfg    *config.Config
	tenant string
}

func (s *remoteShelf) path(p string) string {
	return "/admin/v1/documents" + p + "?tenant=" + url.QueryEscape(s.tenant)
}

func (s *remoteShelf) Add(ctx context.Context, docs []edge.NewDocument) (*ingest.Job, error) {
	job := &ingest.Job{}
	return job, askAdmin(ctx, s.cfg, "POST", s.path(""), map[string]any{"documents": docs}, job)
}

func (s *remoteShelf) Wait(ctx context.Context, id string, progress func(*ingest.Job)) (*ingest.Job, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		job := &ingest.Job{}
		if err := askAdmin(ctx, s.cfg, "GET", s.path("/jobs/"+url.PathEscape(id)), nil, job); err != nil {
			return nil, err
		}
		progress(job)
		if job.Finished {
			return job, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *remoteShelf) Jobs(ctx context.Context) ([]ingest.Job, error) {
	var out struct{ Jobs []ingest.Job }
	err := askAdmin(ctx, s.cfg, "GET", s.path("/jobs"), nil, &out)
	return out.Jobs, err
}

func (s *remoteShelf) List(ctx context.Context) ([]search.Document, error) {
	var out struct{ Documents []search.Document }
	err := askAdmin(ctx, s.cfg, "GET", s.path(""), nil, &out)
	return out.Documents, err
}

func (s *remoteShelf) Remove(ctx context.Context, doc string) (*search.Document, error) {
	out := &search.Document{}
	return out, askAdmin(ctx, s.cfg, "DELETE", s.path("/"+(&url.URL{Path: doc}).EscapedPath()), nil, out)
}

func (s *remoteShelf) Search(ctx context.Context, req *edge.SearchRequest) ([]search.Hit, error) {
	var out struct{ Hits []search.Hit }
	err := askAdmin(ctx, s.cfg, "POST", s.path("/search"), req, &out)
	return out.Hits, err
}

func (s *remoteShelf) Erase(ctx context.Context, req runtime.EraseRequest) (*runtime.EraseReport, error) {
	out := &runtime.EraseReport{}
	return out, askAdmin(ctx, s.cfg, "POST", "/admin/v1/erase", req, out)
}

func (s *remoteShelf) Close() error { return nil }

// localShelf is the state directory, opened by this process.
type localShelf struct {
	rt     *runtime.Runtime
	tenant string
}

func (s *localShelf) Add(_ context.Context, docs []edge.NewDocument) (*ingest.Job, error) {
	return s.rt.Ingest().Submit(s.tenant, edge.Sources(docs, s.rt.DefaultRule()))
}

func (s *localShelf) Wait(ctx context.Context, id string, progress func(*ingest.Job)) (*ingest.Job, error) {
	return s.rt.Ingest().Wait(ctx, s.tenant, id, progress)
}

func (s *localShelf) Jobs(context.Context) ([]ingest.Job, error) { return s.rt.Ingest().Jobs(s.tenant) }

func (s *localShelf) List(context.Context) ([]search.Document, error) {
	return s.rt.Library().List(s.tenant)
}

func (s *localShelf) Remove(_ context.Context, doc string) (*search.Document, error) {
	return s.rt.Library().Delete(s.tenant, doc)
}

func (s *localShelf) Search(ctx context.Context, req *edge.SearchRequest) ([]search.Hit, error) {
	r, err := s.rt.Library().Search(ctx, req.For(s.tenant))
	if err != nil {
		return nil, err
	}
	return r.Hits, nil
}

func (s *localShelf) Erase(ctx context.Context, req runtime.EraseRequest) (*runtime.EraseReport, error) {
	return s.rt.Erase(ctx, req)
}

func (s *localShelf) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	return s.rt.Close(ctx)
}
