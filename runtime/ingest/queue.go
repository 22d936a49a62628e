// Package ingest makes documents of files: it takes their text, cuts it into chunks, and gives them to the index, one
// after the other, in the background. What was accepted is on the disk before Submit returns, and is worked off after
// any kind of end of the process; a file that cannot be read is reported and stops no other.
//
// It knows nothing of HTTP and command lines. Start reading at [Queue.Submit] and [Queue.Run].
package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ledge-run/ledge/runtime/chunking"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/state"
)

// Bounds of a job.
const (
	MaxItems = 10000
	MaxJob   = 256 << 20 // bytes of its files together
	keepJobs = 100       // finished jobs that are kept for a look back
)

// Options configure a queue.
type Options struct {
	Store   *state.Documents
	Library *search.Library
	// Cutter returns what cuts a document whose sizes are in that unit, and fills in what doc leaves open. An empty unit
	// is the site's.
	Cutter func(doc *hook.Document, unit string) (*chunking.Cutter, error)
	// Settings identify the chunker and the embedder: with others a document is indexed again.
	Settings func() string
	Logger   *slog.Logger
	Now      func() time.Time
}

// Queue works off jobs. It is safe for concurrent use.
type Queue struct {
	o       Options
	wake    chan struct{}
	busy    sync.Mutex // held while a file becomes a document
	mu      sync.Mutex // held while a job's record changes
	changed chan struct{}
}

// Open returns the queue over a store, without what submissions that never came to their end left in it. Nothing is worked
// off before Run is called.
func Open(o Options) (*Queue, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	q := &Queue{o: o, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	tenants, err := o.Store.Tenants()
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		if err := q.sweep(t); err != nil {
			return nil, fmt.Errorf("jobs of %s: %w", t, err)
		}
	}
	return q, nil
}

// sweep drops items without a job, and sources of items that are settled.
func (q *Queue) sweep(tenant string) error {
	jobs, err := q.Jobs(tenant)
	if err != nil {
		return err
	}
	known, pending := map[string]bool{}, map[string]bool{}
	for _, j := range jobs {
		known[j.ID] = true
		if j.Finished {
			continue
		}
		whole, err := q.Job(tenant, j.ID)
		if err != nil {
			return err
		}
		for n := range whole.Items {
			if whole.Items[n].State == Pending {
				pending[string(sourcePrefix(j.ID, n))] = true
			}
		}
	}
	var drop [][]byte
	for _, kind := range []byte{recordItem, recordSource} {
		names, err := q.o.Store.Names(tenant, []byte{kind})
		if err != nil {
			return err
		}
		for _, name := range names {
			cut := 4
			if kind == recordSource {
				cut = 8
			}
			if len(name) <= cut || !known[string(name[1:len(name)-cut])] || kind == recordSource && !pending[string(name[:len(name)-4])] {
				drop = append(drop, name)
			}
		}
	}
	return q.o.Store.Delete(tenant, drop)
}

func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// drop removes everything of a job.
func (q *Queue) drop(tenant, job string) error {
	var all [][]byte
	for _, kind := range []byte{recordSource, recordItem} {
		names, err := q.o.Store.Names(tenant, append([]byte{kind}, job...))
		if err != nil {
			return err
		}
		all = append(all, names...)
	}
	return q.o.Store.Delete(tenant, append(all, jobName(job)))
}

// Pause waits until no file is on its way to being a document, and lets none begin before resume is called.
func (q *Queue) Pause() (resume func()) {
	q.busy.Lock()
	return q.busy.Unlock
}

// Forget drops the items, and their sources, of files submitted before a time that match their document's id and owner.
// A finished job that had one of them goes with them. The caller has paused the queue.
func (q *Queue) Forget(tenant string, before time.Time, match func(document, owner string) bool) error {
	jobs, err := q.Jobs(tenant)
	if err != nil {
		return err
	}
	for _, head := range jobs {
		j, err := q.Job(tenant, head.ID)
		if err != nil {
			return err
		}
		if j.Created.After(before) || !slices.ContainsFunc(j.Items, func(i Item) bool { return match(search.DocumentID(i.Name), i.Owner) }) {
			continue
		}
		if j.Finished {
			if err := q.drop(tenant, j.ID); err != nil {
				return err
			}
			continue
		}
		for n := range j.Items {
			item := &j.Items[n]
			if item.State != Pending || !match(search.DocumentID(item.Name), item.Owner) {
				continue
			}
			item.State, item.Error = Failed, "erased before it was indexed"
			if err := q.settle(tenant, &head, n, item); err != nil {
				return err
			}
		}
	}
	return nil
}

// Jobs returns the tenant's jobs, oldest first, without their items.
func (q *Queue) Jobs(tenant string) ([]Job, error) {
	var jobs []Job
	err := q.o.Store.Scan(tenant, []byte{recordJob}, func(_, b []byte) error {
		var j Job
		if err := json.Unmarshal(b, &j); err != nil {
			return err
		}
		jobs = append(jobs, j)
		return nil
	}, func([]byte) {})
	return jobs, err
}

// ErrNoJob means that there is no such job.
var ErrNoJob = errors.New("there is no such job")

// Job returns a job with its items.
func (q *Queue) Job(tenant, id string) (*Job, error) {
	j, err := q.head(tenant, id)
	if err != nil {
		return nil, err
	}
	err = q.o.Store.Scan(tenant, append([]byte{recordItem}, id...), func(_, b []byte) error {
		var item Item
		if err := json.Unmarshal(b, &item); err != nil {
			return err
		}
		j.Items = append(j.Items, item)
		return nil
	}, func([]byte) {})
	return j, err
}

func (q *Queue) head(tenant, id string) (*Job, error) {
	b, ok, err := q.o.Store.Get(tenant, jobName(id))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", id, ErrNoJob)
	}
	j := &Job{}
	return j, json.Unmarshal(b, j)
}

// Wait returns the job once it is finished. progress, unless nil, sees it on the way.
func (q *Queue) Wait(ctx context.Context, tenant, id string, progress func(*Job)) (*Job, error) {
	for {
		q.mu.Lock()
		changed := q.changed
		q.mu.Unlock()
		j, err := q.head(tenant, id)
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(j)
		}
		if j.Finished {
			return q.Job(tenant, id)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// Run works off jobs until ctx ends, those of earlier processes first.
func (q *Queue) Run(ctx context.Context) {
	for {
		if err := q.workAll(ctx); err != nil && ctx.Err() == nil {
			q.o.Logger.Error("ingest", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		}
	}
}

func (q *Queue) workAll(ctx context.Context) error {
	tenants, err := q.o.Store.Tenants()
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		jobs, err := q.Jobs(tenant)
		if err != nil {
			return err
		}
		finished := 0
		for i := range jobs {
			if jobs[i].Finished {
				finished++
				continue
			}
			if err := q.work(ctx, tenant, jobs[i].ID); err != nil {
				return err
			}
		}
		for i := range jobs {
			if jobs[i].Finished && finished > keepJobs {
				finished--
				if err := q.drop(tenant, jobs[i].ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// work works off what is pending of a job.
func (q *Queue) work(ctx context.Context, tenant, id string) error {
	j, err := q.Job(tenant, id)
	if err != nil {
		return err
	}
	items := j.Items
	j.Items, j.Done, j.Unchanged, j.Failed, j.Chunks = nil, 0, 0, 0, 0
	for n := range items {
		j.Finished = n == len(items)-1
		if err := q.workItem(ctx, tenant, j, n, &items[n]); err != nil {
			return err
		}
	}
	return nil
}

// workItem makes a document of a file that is pending, and counts what became of it.
func (q *Queue) workItem(ctx context.Context, tenant string, j *Job, n int, item *Item) error {
	q.busy.Lock()
	defer q.busy.Unlock()
	b, ok, err := q.o.Store.Get(tenant, itemName(j.ID, n)) // it may have been forgotten meanwhile
	if err != nil {
		return err
	}
	if ok {
		*item = Item{}
		if err := json.Unmarshal(b, item); err != nil {
			return err
		}
	}
	if item.State == Pending {
		err := q.ingest(ctx, tenant, j.ID, n, item)
		if ctx.Err() != nil {
			return ctx.Err() // it stays pending
		}
		if err != nil {
			item.State, item.Error = Failed, err.Error()
			q.o.Logger.Warn("a file did not become a document", "tenant", tenant, "job", j.ID, "file", item.Name, "error", err)
		}
	}
	switch item.State {
	case Unchanged:
		j.Unchanged++
		j.Done++
	case Done:
		j.Done++
	case Failed:
		j.Failed++
	}
	j.Chunks += item.Chunks
	return q.settle(tenant, j, n, item)
}

// settle writes what became of an item, and drops its source.
func (q *Queue) settle(tenant string, j *Job, n int, item *Item) error {
	p, err := pair(itemName(j.ID, n), item)
	if err != nil {
		return err
	}
	head, err := pair(jobName(j.ID), j)
	if err != nil {
		return err
	}
	names, err := q.o.Store.Names(tenant, sourcePrefix(j.ID, n))
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.o.Store.Put(tenant, []state.Pair{p, head}); err != nil {
		return err
	}
	close(q.changed)
	q.changed = make(chan struct{})
	return q.o.Store.Delete(tenant, names)
}
