package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func TestDisk_PrefixesSurviveARestart(t *testing.T) {
	path, dir := writeModel(t, slmtest.Tiny), t.TempDir()
	prompt := randomPrompt(1, 300)
	ask := func(tenant string) ([]int32, Result) {
		e, err := Open(path, Options{Threads: 1, PrefixDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		return answerOf(t, e, Request{Prompt: prompt, MaxTokens: 8, Tenant: tenant})
	}
	first, _ := ask("a")
	again, res := ask("a")
	if res.ReusedTokens != 288 || !slices.Equal(first, again) {
		t.Errorf("after a restart %d tokens were reused; answers %v and %v", res.ReusedTokens, first, again)
	}
	if other, res := ask("b"); res.ReusedTokens != 0 || !slices.Equal(first, other) {
		t.Errorf("another tenant reused %d tokens", res.ReusedTokens)
	}
	// Every file damaged in another way: none is used, all answers stay right.
	files, err := filepath.Glob(filepath.Join(dir, "*.kv"))
	if err != nil || len(files) != 18 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			b[len(b)/2] ^= 1
		case 1:
			b = b[:len(b)/2]
		case 2:
			b = nil
		}
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if last, res := ask("a"); res.ReusedTokens != 0 || !slices.Equal(first, last) {
		t.Errorf("%d tokens came from damaged files; answers %v and %v", res.ReusedTokens, first, last)
	}
}

// TestDisk_FilesOfOneTenantDoNotServeAnother puts one tenant's files in the places of another's.
func TestDisk_FilesOfOneTenantDoNotServeAnother(t *testing.T) {
	path, dir := writeModel(t, slmtest.Tiny), t.TempDir()
	e := open(t, path, Options{Threads: 1, PrefixDir: dir})
	prompt := randomPrompt(1, 100)
	answerOf(t, e, Request{Prompt: prompt, MaxTokens: 2, Tenant: "a"})
	d := e.sched.disk
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.kv")); len(files) >= 3 {
			break
		}
	}
	from, to := d.names(space("a", nil), prompt), d.names(space("b", nil), prompt)
	for i := range from {
		if err := os.Rename(filepath.Join(dir, from[i]), filepath.Join(dir, to[i])); err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		d.known[to[i]] = d.known[from[i]]
		d.mu.Unlock()
	}
	if _, res := answerOf(t, e, Request{Prompt: prompt, MaxTokens: 2, Tenant: "b"}); res.ReusedTokens != 0 {
		t.Errorf("%d tokens of another tenant's pages were used", res.ReusedTokens)
	}
}

func TestDisk_StaysWithinItsSize(t *testing.T) {
	path, dir := writeModel(t, slmtest.Tiny), t.TempDir()
	const limit = 100 << 10
	e, err := Open(path, Options{Threads: 1, PrefixDir: dir, PrefixBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		answerOf(t, e, Request{Prompt: randomPrompt(uint64(i), 200), MaxTokens: 2})
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > limit+32 || total < limit/2 {
		t.Errorf("%d bytes on disk, the limit is %d", total, limit)
	}
}
