package ingest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/ledge-run/ledge/runtime/state"
)

// maxName bounds a file's name, in bytes.
const maxName = 1024

// Submit accepts files. When it returns they are on the disk and will be worked off. A file that cannot be one, by its
// name or its rule, is an item of the job that failed; where every file is such, nothing is accepted.
func (q *Queue) Submit(tenant string, files []Source) (*Job, error) {
	if tenant == "" {
		return nil, errors.New("documents need a tenant")
	}
	if len(files) == 0 || len(files) > MaxItems {
		return nil, fmt.Errorf("a job has 1 to %d files, not %d", MaxItems, len(files))
	}
	total, refused := 0, make([]error, len(files))
	var reasons []error
	for i := range files {
		if refused[i] = files[i].check(); refused[i] != nil {
			reasons = append(reasons, refused[i])
		} else {
			total += len(files[i].Data)
		}
	}
	if len(reasons) == len(files) {
		return nil, fmt.Errorf("file 0: %w", reasons[0])
	}
	if total > MaxJob {
		return nil, fmt.Errorf("the files of one job have %d bytes, at most %d; send them in several", total, MaxJob)
	}
	var random [4]byte
	rand.Read(random[:])
	// Ids are in the order of submission.
	job := &Job{ID: fmt.Sprintf("job_%012x%x", q.o.Now().UnixMilli(), random), Tenant: tenant, Created: q.o.Now().UTC(), Total: len(files), Failed: len(reasons)}
	for i := range files {
		if err := q.store(tenant, job.ID, i, &files[i], refused[i]); err != nil {
			return nil, errors.Join(err, q.drop(tenant, job.ID))
		}
	}
	p, err := pair(jobName(job.ID), job)
	if err == nil {
		err = q.o.Store.Commit(tenant, []state.Pair{p}, nil)
	}
	if err != nil {
		return nil, errors.Join(err, q.drop(tenant, job.ID))
	}
	q.poke()
	return job, nil
}

// check says why a file cannot become a document, whatever is in it.
func (f *Source) check() error {
	if f.Fault != nil {
		return f.Fault
	}
	if f.Name == "" || len(f.Name) > maxName || strings.ContainsRune(f.Name, 0) {
		return fmt.Errorf("a name of 1 to %d bytes without NUL is needed", maxName)
	}
	return f.Rule.Check()
}

// store writes an item, and its source unless it was refused.
func (q *Queue) store(tenant, job string, n int, f *Source, refused error) error {
	item := Item{Source: *f, Bytes: len(f.Data), State: Pending}
	data := f.Data
	if refused != nil {
		item.State, item.Error, data = Failed, refused.Error(), nil
		item.Name = item.Name[:min(len(item.Name), maxName)]
	}
	p, err := pair(itemName(job, n), &item)
	if err != nil {
		return err
	}
	pairs := []state.Pair{p}
	for b := 0; b*sourceBlock < len(data); b++ {
		pairs = append(pairs, state.Pair{Name: sourceName(job, n, b), Value: data[b*sourceBlock : min(len(data), (b+1)*sourceBlock)]})
	}
	return q.o.Store.Put(tenant, pairs)
}
