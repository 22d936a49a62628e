package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/erasure"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/review"
	"github.com/ledge-run/ledge/runtime/search"
)

// EraseRequest names what is to be erased: all documents of a subject, or one document. Exactly one is given.
type EraseRequest struct {
	Tenant   string `json:"tenant"`
	Subject  string `json:"subject,omitempty"`
	Document string `json:"document,omitempty"` // id or name
}

// EraseReport tells what was erased, and what a look through every file found of it afterwards.
type EraseReport struct {
	ID        string       `json:"id"`
	Documents []string     `json:"documents"` // names
	Traces    int          `json:"traces"`    // whose texts were removed
	Reviews   int          `json:"reviews"`   // of what guards stopped, that were removed
	Pairs     int          `json:"pairs"`     // of plugins, that held erased text and were removed
	Windows   int          `json:"windows"`   // different runs of 64 bytes of the erased text
	Shared    int          `json:"shared"`    // of these, in documents that stay
	Scan      erasure.Scan `json:"scan"`
	Erased    bool         `json:"erased"` // no file holds any of them
}

// eraseLog is the log of erasures: beside the data directory, so that putting back a backup of it does not put back an
// older log.
func (r *Runtime) eraseLog() erasure.Log {
	if p := r.cfg.Documents.Erasures; p != "" {
		return erasure.Log{Path: p}
	}
	return erasure.Log{Path: filepath.Clean(r.dir) + ".erasures"}
}

// Erase removes documents and everything that was made of them: index, vectors, cached answers, texts in traces, and the
// bytes in the files. Then it reads every file of the data directory to see that nothing is left.
func (r *Runtime) Erase(ctx context.Context, req EraseRequest) (*EraseReport, error) {
	if req.Tenant == "" || (req.Subject == "") == (req.Document == "") {
		return nil, errors.New("erase: name a tenant, and either a subject or a document")
	}
	r.erasing.Lock() // what is being answered from a text that goes comes to its end first
	defer r.erasing.Unlock()
	defer r.ingest.Pause()()
	docs, err := r.library.List(req.Tenant)
	if err != nil {
		return nil, err
	}
	goes := func(d *search.Document) bool {
		if req.Subject != "" {
			return d.Owner == req.Subject
		}
		return d.ID == req.Document || d.Name == req.Document
	}
	var ids []string
	report := &EraseReport{Documents: []string{}}
	for i := range docs {
		if goes(&docs[i]) {
			ids = append(ids, docs[i].ID)
			report.Documents = append(report.Documents, docs[i].Name)
		}
	}
	if len(ids) == 0 && req.Document != "" {
		return nil, fmt.Errorf("%q: %w", req.Document, search.ErrNotFound)
	}
	windows, err := r.windowsOf(req.Tenant, goes)
	if err != nil {
		return nil, err
	}
	report.Windows, report.Shared = windows.Len(), windows.Shared()
	e := erasure.NewEntry(time.Now(), req.Tenant, req.Subject, ids)
	report.ID = e.ID
	if err := r.eraseLog().Append(e); err != nil {
		return nil, err
	}
	if report.Traces, report.Pairs, report.Reviews, err = r.applyErasure(ctx, &e, windows); err != nil {
		return nil, err
	}
	if err := r.store.Rewrite(ctx); err != nil {
		return nil, err
	}
	if report.Scan, err = windows.ScanFolder(ctx, r.dir); err != nil {
		return nil, err
	}
	report.Erased = len(report.Scan.Found) == 0
	if !report.Erased {
		return report, nil
	}
	return report, r.markErased(ctx, []erasure.Entry{e})
}

// windowsOf returns the windows of a tenant's documents that go, without those that documents which stay have as well.
func (r *Runtime) windowsOf(tenant string, goes func(*search.Document) bool) (*erasure.Windows, error) {
	var texts []string
	err := r.eachText(func(text string) { texts = append(texts, text) }, func(t string, d *search.Document) bool { return t == tenant && goes(d) })
	if err != nil {
		return nil, err
	}
	windows := erasure.NewWindows(texts)
	if windows.Len() == 0 {
		return windows, nil
	}
	return windows, r.eachText(windows.Except, func(t string, d *search.Document) bool { return t != tenant || !goes(d) })
}

// eachText reads the texts of the documents of all tenants that which picks.
func (r *Runtime) eachText(each func(text string), which func(tenant string, d *search.Document) bool) error {
	tenants, err := r.store.Documents().Tenants()
	if err != nil {
		return err
	}
	for _, t := range tenants {
		docs, err := r.library.List(t)
		if err != nil {
			return err
		}
		for i := range docs {
			if !which(t, &docs[i]) {
				continue
			}
			text, err := r.library.Text(t, &docs[i], 0, -1)
			if err != nil {
				return err
			}
			each(text)
		}
	}
	return nil
}

// erases says whether an erasure is about a document of its tenant.
func erases(e *erasure.Entry, id, owner string) bool {
	return slices.Contains(e.Documents, id) || e.Subject != "" && owner != "" && erasure.SubjectHash(e.Tenant, owner) == e.Subject
}

// applyErasure removes from the store what an entry names, as far as it is older than the entry.
func (r *Runtime) applyErasure(ctx context.Context, e *erasure.Entry, windows *erasure.Windows) (traces, pairs, reviews int, err error) {
	docs, err := r.library.List(e.Tenant)
	if err != nil {
		return 0, 0, 0, err
	}
	for i := range docs {
		d := &docs[i]
		if !erases(e, d.ID, d.Owner) || d.Indexed.After(e.Time) {
			continue
		}
		if _, err := r.library.Delete(e.Tenant, d.ID); err != nil && !errors.Is(err, search.ErrNotFound) {
			return 0, 0, 0, err
		}
	}
	if err = r.ingest.Forget(e.Tenant, e.Time, func(document, owner string) bool { return erases(e, document, owner) }); err != nil {
		return 0, 0, 0, err
	}
	r.library.Unload(e.Tenant)
	r.pipe.Forget()
	if err := errors.Join(r.store.Cache().Purge(ctx, e.Tenant), r.store.Answers().Purge(ctx, e.Tenant), r.forgetPrefixes()); err != nil {
		return 0, 0, 0, err
	}
	pairs, err = r.store.KV().Forget(ctx, e.Tenant, func(name string, value []byte) bool {
		return windows.In(name) || windows.In(string(value))
	})
	if err != nil {
		return 0, pairs, 0, err
	}
	err = r.store.Handovers().Forget(ctx, e.Tenant, func(at time.Time, doc []byte) bool { return !at.After(e.Time) && concerns(doc, e, windows) })
	if err != nil {
		return 0, pairs, 0, err
	}
	traces, err = r.store.Traces().Redact(e.Tenant, func(doc []byte) ([]byte, bool) { return redactTrace(doc, e, windows) })
	if err != nil {
		return traces, pairs, 0, err
	}
	reviews, err = r.Reviews().Forget(e.Tenant, func(i *review.Item) bool {
		if i.Time.After(e.Time) {
			return false
		}
		if e.Subject != "" && i.Subject != "" && erasure.SubjectHash(e.Tenant, i.Subject) == e.Subject {
			return true
		}
		note := ""
		if i.Decision != nil {
			note = i.Decision.Note
		}
		return windows.In(i.Text) || windows.In(i.Reason) || windows.In(note)
	})
	return traces, pairs, reviews, err
}

// concerns says whether a request that a person is to answer has to do with an erasure.
func concerns(doc []byte, e *erasure.Entry, windows *erasure.Windows) bool {
	var h pipeline.Handover
	if json.Unmarshal(doc, &h) != nil {
		return true
	}
	if e.Subject != "" && h.Subject != "" && erasure.SubjectHash(e.Tenant, h.Subject) == e.Subject {
		return true
	}
	return windows.In(h.Attempt) || slices.ContainsFunc(h.Messages, func(m openai.Message) bool { return windows.In(string(m.Content)) })
}

// redactTrace takes the texts out of a trace that has to do with an erasure.
func redactTrace(doc []byte, e *erasure.Entry, windows *erasure.Windows) ([]byte, bool) {
	var t pipeline.Trace
	if json.Unmarshal(doc, &t) != nil || t.Time.After(e.Time) {
		return nil, false
	}
	quoted := windows.In(string(doc)) // by a plugin's reason or an error, if not in the texts
	if t.Text == nil && !quoted {
		return nil, false
	}
	concerned := quoted || e.Subject != "" && t.Subject != "" && erasure.SubjectHash(e.Tenant, t.Subject) == e.Subject
	for _, s := range t.Stages {
		for _, chunk := range s.Chunks {
			id, _, _ := strings.Cut(chunk, "-")
			concerned = concerned || slices.Contains(e.Documents, id)
		}
	}
	if !concerned && !t.Text.Any(windows.In) {
		return nil, false
	}
	t.Text = nil
	if out, err := json.Marshal(&t); err == nil && windows.In(string(out)) {
		t.Error = ""
		for _, s := range t.Stages {
			s.Reason, s.Error = "", nil
		}
	}
	out, err := json.Marshal(&t)
	return out, err == nil
}

// forgetPrefixes removes beginnings of prompts that are kept on disk: what was made of erased text may be in them.
func (r *Runtime) forgetPrefixes() error {
	return filepath.WalkDir(filepath.Join(r.dir, "prefix"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // none was ever kept, or the engine was faster: the others must go all the same
		}
		return err
	})
}

// erasedRecord lists, in the state, the erasures that it went through.
const erasedRecord = "erasures"

func (r *Runtime) erased(ctx context.Context) (map[string]bool, error) {
	b, ok, err := r.store.Meta().Get(ctx, erasedRecord)
	out := map[string]bool{}
	if err != nil || !ok {
		return out, err
	}
	return out, json.Unmarshal(b, &out)
}

func (r *Runtime) markErased(ctx context.Context, entries []erasure.Entry) error {
	done, err := r.erased(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		done[e.ID] = true
	}
	b, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return r.store.Meta().Put(ctx, erasedRecord, b)
}

// replayErasures goes through the erasures that this state did not see: it is a backup from before them, or the process
// ended within one.
func (r *Runtime) replayErasures(ctx context.Context) error {
	entries, err := r.eraseLog().Entries()
	if err != nil || len(entries) == 0 {
		return err
	}
	done, err := r.erased(ctx)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e erasure.Entry) bool { return done[e.ID] })
	if len(entries) == 0 {
		return nil
	}
	r.log.Warn("this state is from before erasures; they are made again", "erasures", len(entries))
	for i := range entries {
		e := &entries[i]
		windows, err := r.windowsOf(e.Tenant, func(d *search.Document) bool { return erases(e, d.ID, d.Owner) && !d.Indexed.After(e.Time) })
		if err == nil {
			_, _, _, err = r.applyErasure(ctx, e, windows)
		}
		if err != nil {
			return fmt.Errorf("erasure %s: %w", e.ID, err)
		}
	}
	if err := r.store.Rewrite(ctx); err != nil {
		return err
	}
	return r.markErased(ctx, entries)
}
