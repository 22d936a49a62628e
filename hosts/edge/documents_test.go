package edge

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/ingest"
	"github.com/ledge-run/ledge/runtime/search"
)

// manage sends a request to the administration and decodes its answer.
func (a *appliance) manage(method, path string, body, out any) reply {
	a.t.Helper()
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			a.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, a.admin.URL+path, &payload)
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	r := a.read(resp)
	if out != nil {
		if err := json.Unmarshal(r.body, out); err != nil {
			a.t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
		}
	}
	return r
}

// addDocuments submits documents and waits for them.
func (a *appliance) addDocuments(docs ...NewDocument) *ingest.Job {
	a.t.Helper()
	job := &ingest.Job{}
	if r := a.manage("POST", "/admin/v1/documents", map[string]any{"documents": docs}, job); r.status != 202 {
		a.t.Fatalf("%d %s", r.status, r.body)
	}
	for end := time.Now().Add(time.Minute); !job.Finished; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			a.t.Fatalf("not finished: %+v", job)
		}
		a.manage("GET", "/admin/v1/documents/jobs/"+job.ID, nil, job)
	}
	return job
}

func (a *appliance) searchAs(as SearchAs, query string) []search.Hit {
	a.t.Helper()
	var out struct{ Hits []search.Hit }
	if r := a.manage("POST", "/admin/v1/documents/search", SearchRequest{Query: query, As: as}, &out); r.status != 200 {
		a.t.Fatalf("%d %s", r.status, r.body)
	}
	return out.Hits
}

func TestDocuments_ComeAndGoThroughTheAdministration(t *testing.T) {
	a := open(t, dataDir(t))
	job := a.addDocuments(NewDocument{Name: "leave.md", Text: "# Leave\nStaff may take 25 days of leave."},
		NewDocument{Name: "board/minutes.txt", Data: []byte("The merger is planned for May."), Classification: "confidential", Groups: []string{"board"}},
		NewDocument{Name: "broken.pdf", Data: []byte("%PDF-")})
	if job.Done != 2 || job.Failed != 1 || job.Items[2].Error == "" {
		t.Errorf("%+v", job)
	}
	staff, board := SearchAs{Clearance: "internal"}, SearchAs{Clearance: "confidential", Groups: []string{"board"}}
	if hits := a.searchAs(staff, "days of leave"); len(hits) != 1 || hits[0].Document != "leave.md" || hits[0].Heading[0] != "Leave" {
		t.Errorf("%+v", hits)
	}
	if hits := a.searchAs(staff, "merger planned"); len(hits) != 0 {
		t.Errorf("staff sees %+v", hits)
	}
	if hits := a.searchAs(board, "merger planned"); len(hits) != 1 {
		t.Errorf("the board sees %+v", hits)
	}
	if r := a.manage("POST", "/admin/v1/documents/search", SearchRequest{Query: "x", As: SearchAs{Clearance: "cosmic"}}, nil); r.status != 403 || r.code() != "access_undecided" {
		t.Errorf("%d %s", r.status, r.body)
	}
	var doc search.Document
	if r := a.manage("PATCH", "/admin/v1/documents/board/minutes.txt", map[string]any{"approved": false}, &doc); r.status != 200 || doc.Approved || doc.Groups[0] != "board" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if hits := a.searchAs(board, "merger planned"); len(hits) != 0 {
		t.Errorf("without approval the board sees %+v", hits)
	}
	if r := a.manage("DELETE", "/admin/v1/documents/leave.md", nil, nil); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := a.manage("GET", "/admin/v1/documents/leave.md", nil, nil); r.status != 404 || r.code() != "document_not_found" {
		t.Errorf("%d %s", r.status, r.body)
	}
	var list struct{ Documents []search.Document }
	if a.manage("GET", "/admin/v1/documents", nil, &list); len(list.Documents) != 1 {
		t.Errorf("%+v", list)
	}
	if r := a.manage("POST", "/admin/v1/documents", map[string]any{"documents": []NewDocument{{Name: "a", Text: "x", Classification: "cosmic"}}}, nil); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestDocuments_FollowAWatchedFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "handbook")
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(-time.Minute) // it is not being written any more
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	write("leave.md", "Staff may take 25 days of leave.")
	write("sub/pump.txt", "The pump is greased every 400 hours.")
	write(".hidden.txt", "Nobody reads this leave.")
	a := open(t, dataDir(t), func(c *config.Config) {
		c.Documents.Watch = []config.Folder{{Path: folder, Tenant: "default", Classification: "public"}}
	})
	names := func() string {
		var list struct{ Documents []search.Document }
		a.manage("GET", "/admin/v1/documents", nil, &list)
		var out []string
		for _, d := range list.Documents {
			out = append(out, d.Name)
		}
		return strings.Join(out, " ")
	}
	until := func(want string) {
		t.Helper()
		end := time.Now().Add(30 * time.Second)
		for names() != want {
			if time.Now().After(end) {
				t.Fatalf("%q, not %q", names(), want)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	until("handbook/leave.md handbook/sub/pump.txt")
	if err := os.Remove(filepath.Join(folder, "sub/pump.txt")); err != nil {
		t.Fatal(err)
	}
	until("handbook/leave.md")
}
