package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/chunking"
	"github.com/ledge-run/ledge/runtime/embedding"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/state"
)

var rule = search.Rule{Classification: search.Public, Approved: true}

// byLine cuts a text into lines.
func byLines(*hook.Document, string) (*chunking.Cutter, error) {
	return &chunking.Cutter{Chunk: byLine}, nil
}

func byLine(_ context.Context, doc *hook.Document) (out []hook.Chunk, err error) {
	at := 0
	for line := range strings.Lines(doc.Text) {
		out = append(out, hook.Chunk{Start: at, End: at + len(line)})
		at += len(line)
	}
	return out, nil
}

// desk is a queue with what is behind it.
type desk struct {
	*Queue
	library *search.Library
	store   *state.Store
}

func openDesk(dir string) (*desk, error) {
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		return nil, err
	}
	library, err := search.Open(search.Options{Store: store.Documents(), Embedder: embedding.Lexical{}})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	q, err := Open(Options{Store: store.Documents(), Library: library, Cutter: byLines, Settings: func() string { return "test" }})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &desk{q, library, store}, nil
}

// start opens a desk that works in the background until the test ends.
func start(t *testing.T, dir string) *desk {
	t.Helper()
	d, err := openDesk(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := d.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *desk) finish(t *testing.T, files ...Source) *Job {
	t.Helper()
	j, err := d.Submit("acme", files)
	if err == nil {
		j, err = d.Wait(t.Context(), "acme", j.ID, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func file(name, text string) Source { return Source{Name: name, Rule: rule, Data: []byte(text)} }

func TestQueue_OneBadFileStopsNoOther(t *testing.T) {
	d := start(t, t.TempDir())
	j := d.finish(t, file("a.txt", "alpha\nbeta\n"), file("bad.pdf", "%PDF-1.4"), file("zero.txt", "\x00"), file("b.txt", "gamma\n"), file("empty.txt", ""))
	if j.Done != 3 || j.Failed != 2 || j.Chunks != 3 || j.Items[1].State != Failed || j.Items[1].Error == "" || j.Items[3].State != Done {
		t.Errorf("%+v", j)
	}
	docs, err := d.library.List("acme")
	if err != nil || len(docs) != 3 {
		t.Errorf("%+v, %v", docs, err)
	}
}

func TestQueue_IndexesTheSameContentOnce(t *testing.T) {
	d := start(t, t.TempDir())
	d.finish(t, file("a.txt", "alpha\n"))
	before, _ := d.library.Get("acme", "a.txt")
	if j := d.finish(t, file("a.txt", "alpha\n")); j.Unchanged != 1 || j.Done != 1 {
		t.Errorf("%+v", j)
	}
	secret := file("a.txt", "alpha\n")
	secret.Rule.Classification = search.Secret
	d.finish(t, secret)
	after, err := d.library.Get("acme", "a.txt")
	if err != nil || after.Version != before.Version || after.Classification != search.Secret {
		t.Errorf("%+v, %v", after, err)
	}
	if j := d.finish(t, file("a.txt", "alpha\nbeta\n")); j.Unchanged != 0 || j.Chunks != 2 {
		t.Errorf("%+v", j)
	}
}

func TestQueue_RefusesWhatItCannotTake(t *testing.T) {
	d := start(t, t.TempDir())
	for name, files := range map[string][]Source{"none": nil, "no name": {file("", "x")}, "rule": {{Name: "a"}}, "zero": {file("a\x00", "x")}} {
		if _, err := d.Submit("acme", files); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	noRule := file("no-rule", "x")
	noRule.Rule.Classification = "cosmic"
	j := d.finish(t, file("good", "alpha"), file("", "x"), noRule, file(strings.Repeat("n", 2000), "x"), file("also good", "beta"))
	if j.Done != 2 || j.Failed != 3 || !strings.Contains(j.Items[1].Error, "name") || !strings.Contains(j.Items[2].Error, "cosmic") || j.Items[3].State != Failed {
		t.Errorf("bad files among good ones: %+v", j)
	}
	if _, err := d.Submit("", []Source{file("a", "x")}); err == nil {
		t.Error("a job without a tenant was taken")
	}
	if _, err := d.Job("acme", "job_x"); !errors.Is(err, ErrNoJob) {
		t.Error(err)
	}
}

func TestCut_GoesPieceByPiece(t *testing.T) {
	d := start(t, t.TempDir())
	const n = 3 * chunking.DefaultPiece / 23
	text := strings.Repeat("A paragraph of words.\n\n", n)
	chunks, err := d.cut(t.Context(), &hook.Document{Text: text}, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range chunks {
		if got := text[c.Start:c.End]; got != "A paragraph of words.\n" {
			t.Fatalf("chunk %d: %q", i, got)
		}
	}
	if len(chunks) != n {
		t.Errorf("%d chunks", len(chunks))
	}
}

const childVariable = "LEDGE_INGEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const linesPerDocument = 5

func documentText(i, round int) string {
	var b strings.Builder
	for n := range linesPerDocument {
		fmt.Fprintf(&b, "Document %d of round %d says unique%dx%d in line %d of its text.\n", i, round, i, round, n)
	}
	return b.String()
}

// child submits all documents unless that was done, and works them off.
func child(dir string) error {
	docs, _ := strconv.Atoi(os.Getenv("LEDGE_INGEST_DOCS"))
	round, _ := strconv.Atoi(os.Getenv("LEDGE_INGEST_ROUND"))
	d, err := openDesk(dir)
	if err != nil {
		return err
	}
	fmt.Println("open")
	jobs, err := d.Jobs("acme")
	if err != nil {
		return err
	}
	var job *Job
	if len(jobs) > round {
		job = &jobs[round]
	} else {
		files := make([]Source, docs)
		for i := range files {
			files[i] = file(fmt.Sprintf("doc%d.txt", i), documentText(i, round))
		}
		if job, err = d.Submit("acme", files); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go d.Run(ctx)
	done, err := d.Wait(ctx, "acme", job.ID, nil)
	if err != nil {
		return err
	}
	if done.Failed > 0 {
		return fmt.Errorf("%d failed", done.Failed)
	}
	return nil // and not closed: the process may end at any time
}

// TestIngest_SurvivesKills kills the process with SIGKILL at random moments of an ingest, and of one that replaces every
// document, and then finds every document once and whole. LEDGE_KILLS and LEDGE_KILL_DOCS make it larger.
func TestIngest_SurvivesKills(t *testing.T) {
	number := func(name string, fallback int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return fallback
	}
	kills, docs := number("LEDGE_KILLS", 8), number("LEDGE_KILL_DOCS", 60)
	dir := filepath.Join(t.TempDir(), "state")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range 2 {
		span := 300 * time.Millisecond
		for done, killed := false, 0; !done; {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"="+dir, fmt.Sprintf("LEDGE_INGEST_DOCS=%d", docs), fmt.Sprintf("LEDGE_INGEST_ROUND=%d", round))
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if killed < kills/2 {
				killed++
				bufio.NewScanner(out).Scan() // it is open: every run gets somewhere
				time.Sleep(time.Duration(rng.Int64N(int64(span))))
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				continue
			}
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v: %s", err, complaints.String())
			}
			done = true
		}
		checkWhole(t, dir, docs, round)
	}
}

// checkWhole finds each document by each of its lines, and nothing else in the store.
func checkWhole(t *testing.T, dir string, docs, round int) {
	t.Helper()
	d, err := openDesk(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.store.Close()
	if r, err := d.store.Check(t.Context()); err != nil || !r.OK() {
		t.Fatalf("%v, %v", r, err)
	}
	list, err := d.library.List("acme")
	if err != nil || len(list) != docs {
		t.Fatalf("%d documents, %v", len(list), err)
	}
	for i := range docs {
		r, err := d.library.Search(t.Context(), search.Query{Text: fmt.Sprintf("unique%dx%d", i, round), Mode: search.Keyword, K: 50, MMR: 1, Floor: -1,
			Access: search.Access{Tenant: "acme"}})
		if err != nil || len(r.Hits) != linesPerDocument {
			t.Fatalf("document %d: %d lines of %d, %v", i, len(r.Hits), linesPerDocument, err)
		}
		doc, err := d.library.Get("acme", fmt.Sprintf("doc%d.txt", i))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := d.library.Text("acme", doc, 0, -1); err != nil || text != documentText(i, round) {
			t.Fatalf("document %d: %q, %v", i, text, err)
		}
	}
	// Config, generation, and of each document: its record, a text block, an index block, a vector for each line.
	names, err := d.store.Documents().Names("acme", nil)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]int{}
	for _, n := range names {
		kinds[n[0]]++
	}
	if kinds['D'] != docs || kinds['T'] != docs || kinds['I'] != docs || kinds['V'] != docs*linesPerDocument || kinds['P'] != 0 || kinds['S'] != 0 {
		t.Errorf("records left behind: %v", kinds)
	}
}
