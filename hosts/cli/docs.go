package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/extract"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/search"
)

// docsFlags are the flags of every docs verb.
type docsFlags struct {
	site   siteFlags
	admin  string
	tenant string
	json   bool
}

func (f *docsFlags) register(c *cobra.Command) {
	f.site.register(c)
	c.Flags().StringVar(&f.admin, "admin", "", "`ADDRESS` of the administration API (default 127.0.0.1:8081)")
	c.Flags().StringVar(&f.tenant, "tenant", "default", "whose documents")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document")
}

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

func newDocsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "docs",
		Short: "Manage the documents that routes answer from",
		Long: "Add, list, remove and search the documents that routes with `retrieve` answer from.\n" +
			"A running appliance is asked; when none runs, the state directory is used directly.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDocsAddCommand(), newDocsListCommand(), newDocsRemoveCommand(), newDocsStatusCommand(), newDocsSearchCommand(), newDocsReindexCommand())
	return c
}

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
	ctx, progress := c.Context(), c.ErrOrStderr()
	report := addReport{Jobs: []string{}, Errors: []addError{}}
	files, err := expandFiles(args, &report)
	if err != nil {
		return err
	}
	if as != "" && len(files) != 1 {
		return usagef("--as names one document, and there are %d files", len(files))
	}
	s, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	report.Files = len(files) + len(report.Errors)
	report.Failed = len(report.Errors)
	var batch []edge.NewDocument
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		job, err := s.Add(ctx, batch)
		batch, size = nil, 0
		if err != nil {
			return err
		}
		report.Jobs = append(report.Jobs, job.ID)
		if background {
			return nil
		}
		shown := time.Time{}
		done, err := s.Wait(ctx, job.ID, func(j *ingest.Job) {
			if !f.json && time.Since(shown) > time.Second && j.Total > 1 {
				shown = time.Now()
				fmt.Fprintf(progress, "%d of %d files, %d chunks, %d failed\n", j.Done+j.Failed, j.Total, j.Chunks, j.Failed)
			}
		})
		if err != nil {
			return fmt.Errorf("%w; what was accepted goes on when the appliance or another docs command runs", err)
		}
		report.Added += done.Done - done.Unchanged
		report.Unchanged += done.Unchanged
		report.Chunks += done.Chunks
		for _, item := range done.Items {
			if item.State == ingest.Failed {
				report.fail(item.Name, errors.New(item.Error))
			}
		}
		return nil
	}
	for _, file := range files {
		doc := *meta
		doc.Name = filepath.ToSlash(filepath.Clean(file))
		if as != "" {
			doc.Name = as
		}
		if doc.Data, doc.Modified, err = readFile(file, c.InOrStdin()); err != nil {
			report.fail(file, err)
			continue
		}
		if file == "-" && as == "" {
			doc.Name = "stdin"
		}
		batch = append(batch, doc)
		if size += len(doc.Data); size >= submissionBytes || len(batch) >= submissionFiles {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return report.print(c.OutOrStdout(), c.ErrOrStderr(), f.json, background)
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

func newDocsListCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "ls", Short: "List documents", Args: cobra.NoArgs, Example: "  ledge docs ls --json",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			docs, err := s.List(c.Context())
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), append([]search.Document{}, docs...))
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tCHUNKS\tBYTES\tCLASSIFICATION\tGROUPS\tAPPROVED\tEXPIRES\tINDEXED")
			for _, d := range docs {
				expires := "never"
				if !d.Expires.IsZero() {
					expires = d.Expires.Local().Format(time.DateOnly)
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%t\t%s\t%s\n", d.Name, d.Chunks, d.Bytes, d.Classification, strings.Join(d.Groups, ","), d.Approved, expires, d.Indexed.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}
	f.register(c)
	return c
}

func newDocsRemoveCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "rm DOCUMENT ...", Short: "Remove documents, by name or id",
		Long: "Remove documents, by name or id. The next search does not find them. Their bytes leave the disk with Badger's\n" +
			"compaction; ledge erase removes them at once and proves it.",
		Args: cobra.MinimumNArgs(1), Example: "  ledge docs rm handbook.pdf",
		RunE: func(c *cobra.Command, args []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			removed := []search.Document{}
			var errs []error
			for _, a := range args {
				doc, err := s.Remove(c.Context(), a)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				removed = append(removed, *doc)
				if !f.json {
					fmt.Fprintf(c.OutOrStdout(), "removed %s\n", doc.Name)
				}
			}
			if f.json {
				errs = append(errs, printJSON(c.OutOrStdout(), removed))
			}
			return errors.Join(errs...)
		},
	}
	f.register(c)
	return c
}

func newDocsStatusCommand() *cobra.Command {
	var f docsFlags
	c := &cobra.Command{
		Use: "status [JOB]", Short: "Show how far files are on their way to being documents",
		Args: cobra.MaximumNArgs(1), Example: "  ledge docs status\n  ledge docs status job_0123456789ab --json",
		RunE: func(c *cobra.Command, args []string) (err error) {
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			jobs, err := s.Jobs(c.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				jobs = slices.DeleteFunc(jobs, func(j ingest.Job) bool { return j.ID != args[0] })
				if len(jobs) == 0 {
					return fmt.Errorf("%s: %w", args[0], ingest.ErrNoJob)
				}
			}
			if f.json {
				return printJSON(c.OutOrStdout(), append([]ingest.Job{}, jobs...))
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "JOB\tFILES\tDONE\tUNCHANGED\tFAILED\tCHUNKS\tSTATE\tCREATED")
			for _, j := range jobs {
				state := "working"
				if j.Finished {
					state = "finished"
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", j.ID, j.Total, j.Done, j.Unchanged, j.Failed, j.Chunks, state, j.Created.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}
	f.register(c)
	return c
}

func newDocsSearchCommand() *cobra.Command {
	var f docsFlags
	var req edge.SearchRequest
	c := &cobra.Command{
		Use: "search QUERY", Short: "Search documents as a caller would",
		Long: "Search documents. Without --as, --group, --clearance and --purpose the search has the rights of a caller who needs\n" +
			"no credential: every classification, no group and no purpose.",
		Example: "  ledge docs search 'notice period' -k 3 --json\n  ledge docs search 'merger' --as ann --group board --clearance confidential",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			req.Query = args[0]
			if !c.Flags().Changed("as") && !c.Flags().Changed("clearance") {
				req.As.Clearance = search.Secret
			}
			s, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			hits, err := s.Search(c.Context(), &req)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), append([]search.Hit{}, hits...))
			}
			if len(hits) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "the documents do not say")
				return nil
			}
			for i, h := range hits {
				fmt.Fprintf(c.OutOrStdout(), "[%d] %s %d-%d  %s  score %.4f\n    %s\n", i+1, h.Document, h.Start, h.End, strings.Join(h.Heading, " > "), h.Score, excerpt(h.Text))
			}
			return nil
		},
	}
	f.register(c)
	fl := c.Flags()
	fl.IntVarP(&req.K, "k", "k", search.DefaultK, "how many chunks at most")
	fl.StringVar(&req.Mode, "mode", "", "hybrid, bm25 or vector (default hybrid)")
	fl.Float64Var(&req.Floor, "floor", 0, "what a chunk must reach to be shown, 0 to 1; negative: everything (default 0.25)")
	fl.StringVar(&req.As.Subject, "as", "", "search with the rights of this `USER`: no group and public documents only, unless told")
	fl.StringSliceVar(&req.As.Groups, "group", nil, "`GROUP` the user is in; may be repeated")
	fl.StringVar(&req.As.Clearance, "clearance", "", "highest classification the user may read")
	fl.StringVar(&req.As.Purpose, "purpose", "", "what the user may use documents for")
	return c
}

func excerpt(text string) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) > 200 {
		return string(r[:200]) + "..."
	}
	return string(r)
}
