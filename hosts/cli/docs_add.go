package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime/extract"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/search"
)

// Bounds of one submission; more files go in several.
const (
	submissionBytes = 16 << 20
	submissionFiles = 500
)

func newDocsAddCommand() *cobra.Command {
	var f docsFlags
	var meta edge.NewDocument
	var expires, as string
	var retention time.Duration
	var unapproved, background bool
	c := &cobra.Command{
		Use:   "add FILE|FOLDER ...",
		Short: "Add files, or every supported file of a folder",
		Long: "Add files (- for standard input) as documents: text, Markdown, HTML, PDF, DOCX, CSV and JSON lines.\n" +
			"A document is known by its path as given; adding it again replaces it, and does nothing when nothing changed.\n" +
			"A file that cannot be read is reported, and stops no other; the exit status is then 1.",
		Example: "  ledge docs add handbook.pdf policies/\n  ledge docs add --classification confidential --group board minutes.docx\n" +
			"  ledge docs add --as notes.md - < notes.md",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if expires != "" && retention > 0 {
				return usagef("give either --expires or --retention")
			}
			if retention > 0 {
				meta.Expires = time.Now().Add(retention)
			}
			if expires != "" {
				t, err := time.Parse(time.DateOnly, expires)
				if err != nil {
					if t, err = time.Parse(time.RFC3339, expires); err != nil {
						return usagef("--expires %q is neither 2006-01-02 nor 2006-01-02T15:04:05Z", expires)
					}
				}
				meta.Expires = t
			}
			if meta.Classification != "" && !slices.Contains(search.Classifications(), meta.Classification) {
				return usagef("--classification %q is not one of %s", meta.Classification, strings.Join(search.Classifications(), ", "))
			}
			approved := !unapproved
			meta.Approved = &approved
			return addDocuments(c, &f, &meta, args, as, background)
		},
	}
	f.register(c)
	fl := c.Flags()
	fl.StringVar(&meta.Classification, "classification", "", "public, internal, confidential or secret (default: documents.classification of the configuration)")
	fl.StringSliceVar(&meta.Groups, "group", nil, "only callers in this `GROUP` may read it; may be repeated")
	fl.StringSliceVar(&meta.Purposes, "purpose", nil, "only for this `PURPOSE`; may be repeated")
	fl.StringVar(&meta.Owner, "owner", "", "whose data it is; ledge erase --subject finds it")
	fl.StringVar(&expires, "expires", "", "from this `DATE` on nobody reads it")
	fl.DurationVar(&retention, "retention", 0, "nobody reads it after this time, such as 720h")
	fl.BoolVar(&unapproved, "unapproved", false, "nobody reads it until it is approved")
	fl.StringVar(&meta.MediaType, "type", "", "media type (default: by name and content)")
	fl.StringVar(&meta.Cut.Strategy, "strategy", "", "chunking strategy (default: by kind of file)")
	fl.IntVar(&meta.Cut.Size, "size", 0, "size of a chunk (default: documents.chunk of the configuration)")
	fl.IntVar(&meta.Cut.Overlap, "overlap", 0, "overlap of chunks")
	fl.StringVar(&meta.Cut.Unit, "unit", "", "what sizes are in: characters, or tokens of the model for embeddings, else of the model (default: documents.chunk)")
	fl.StringVar(&as, "as", "", "name of the document, for one file or standard input")
	fl.BoolVar(&background, "background", false, "do not wait for the files to be indexed; ledge docs status tells how far they are")
	return c
}

// addReport is what docs add prints as JSON.
type addReport struct {
	Files     int        `json:"files"`
	Added     int        `json:"added"`
	Unchanged int        `json:"unchanged"`
	Failed    int        `json:"failed"`
	Chunks    int        `json:"chunks"`
	Jobs      []string   `json:"jobs"`
	Errors    []addError `json:"errors"`
}

type addError struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func addDocuments(c *cobra.Command, f *docsFlags, meta *edge.NewDocument, args []string, as string, background bool) (err error) {
	a := &adder{f: f, background: background, progress: c.ErrOrStderr(), report: addReport{Jobs: []string{}, Errors: []addError{}}}
	files, err := expandFiles(args, &a.report)
	if err != nil {
		return err
	}
	if as != "" && len(files) != 1 {
		return usagef("--as names one document, and there are %d files", len(files))
	}
	if a.shelf, err = f.open(c.Context()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.shelf.Close()) }()
	a.report.Files = len(files) + len(a.report.Errors)
	a.report.Failed = len(a.report.Errors)
	for _, file := range files {
		doc := *meta
		doc.Name = filepath.ToSlash(filepath.Clean(file))
		if as != "" {
			doc.Name = as
		}
		if doc.Data, doc.Modified, err = readFile(file, c.InOrStdin()); err != nil {
			a.report.fail(file, err)
			continue
		}
		if file == "-" && as == "" {
			doc.Name = "stdin"
		}
		if err := a.add(c.Context(), doc); err != nil {
			return err
		}
	}
	if err := a.flush(c.Context()); err != nil {
		return err
	}
	return a.report.print(c.OutOrStdout(), c.ErrOrStderr(), f.json, background)
}

// adder submits files in batches, and reports what became of them.
type adder struct {
	f          *docsFlags
	shelf      shelf
	background bool
	progress   io.Writer
	report     addReport
	batch      []edge.NewDocument
	bytes      int // of the batch
}

// add submits the document, once there are enough with it.
func (a *adder) add(ctx context.Context, doc edge.NewDocument) error {
	a.batch = append(a.batch, doc)
	if a.bytes += len(doc.Data); a.bytes >= submissionBytes || len(a.batch) >= submissionFiles {
		return a.flush(ctx)
	}
	return nil
}

// flush submits what is there, and waits for it unless it is to go on in the background.
func (a *adder) flush(ctx context.Context) error {
	if len(a.batch) == 0 {
		return nil
	}
	job, err := a.shelf.Add(ctx, a.batch)
	a.batch, a.bytes = nil, 0
	if err != nil {
		return err
	}
	r := &a.report
	r.Jobs = append(r.Jobs, job.ID)
	if a.background {
		return nil
	}
	shown := time.Time{}
	done, err := a.shelf.Wait(ctx, job.ID, func(j *ingest.Job) {
		if !a.f.json && time.Since(shown) > time.Second && j.Total > 1 {
			shown = time.Now()
			fmt.Fprintf(a.progress, "%d of %d files, %d chunks, %d failed\n", j.Done+j.Failed, j.Total, j.Chunks, j.Failed)
		}
	})
	if err != nil {
		return fmt.Errorf("%w; what was accepted goes on when the appliance or another docs command runs", err)
	}
	r.Added += done.Done - done.Unchanged
	r.Unchanged += done.Unchanged
	r.Chunks += done.Chunks
	for _, item := range done.Items {
		if item.State == ingest.Failed {
			r.fail(item.Name, errors.New(item.Error))
		}
	}
	return nil
}

func (r *addReport) fail(file string, err error) {
	r.Failed++
	r.Errors = append(r.Errors, addError{file, err.Error()})
}

func (r *addReport) print(w, complaints io.Writer, asJSON, background bool) error {
	if asJSON {
		if err := printJSON(w, r); err != nil {
			return err
		}
	} else {
		for _, e := range r.Errors {
			fmt.Fprintf(complaints, "%s: %s\n", e.File, e.Error)
		}
		if background {
			fmt.Fprintf(w, "accepted %d files as %s\n", r.Files-r.Failed, strings.Join(r.Jobs, ", "))
		} else {
			fmt.Fprintf(w, "%d added, %d unchanged, %d failed, %d chunks\n", r.Added, r.Unchanged, r.Failed, r.Chunks)
		}
	}
	if r.Failed > 0 {
		return exitError(1)
	}
	return nil
}

// expandFiles lists the files that are named, and those in the folders that are.
func expandFiles(args []string, report *addReport) (files []string, err error) {
	for _, a := range args {
		if a == "-" {
			files = append(files, a)
			continue
		}
		info, err := os.Stat(a)
		if err != nil {
			report.Errors = append(report.Errors, addError{a, err.Error()})
			continue
		}
		if !info.IsDir() {
			files = append(files, a)
			continue
		}
		err = filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
			hidden := strings.HasPrefix(d.Name(), ".") && path != a
			switch {
			case err != nil:
				report.Errors = append(report.Errors, addError{path, err.Error()})
			case hidden && d.IsDir():
				return fs.SkipDir
			case !hidden && d.Type().IsRegular() && extract.TypeOf(path, nil) != "":
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func readFile(file string, stdin io.Reader) ([]byte, time.Time, error) {
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, extract.MaxFile+1))
		return data, time.Time{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	if info.Size() > extract.MaxFile {
		return nil, time.Time{}, fmt.Errorf("%w: %d bytes, at most %d", extract.ErrTooLarge, info.Size(), extract.MaxFile)
	}
	data, err := os.ReadFile(file)
	return data, info.ModTime(), err
}
