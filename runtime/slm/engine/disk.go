package engine

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/model"
)

// disk keeps full pages of the prefix cache in files, so that they survive a restart and outlive their place in memory.
// A file's name is a keyed hash of everything that shapes the page: model, type of the cache, tenant, adapter, and all
// tokens up to its last. A file that is damaged, or that somebody without the key has put there, is not used.
//
// A file is: magic (8 bytes), HMAC-SHA256 of name and contents (32 bytes), the page.
type disk struct {
	dir   string
	limit int64
	key   []byte // secret of this store
	base  string // model digest and type of the cache
	log   *slog.Logger

	jobs    chan save
	done    sync.WaitGroup
	closing atomic.Pointer[time.Time] // nil: it is open; else, when to give up
	buffer  []byte                    // the writer's

	mu           sync.Mutex
	size         int64
	known        map[string]int64 // name -> size
	hits, writes int64
}

// save is a text whose full pages may be worth keeping.
type save struct {
	space  string
	tokens []int32
}

const (
	diskMagic   = "LEDGEKV1"
	diskSuffix  = ".kv"
	diskBacklog = 64              // texts that wait to be written; more are not kept
	diskDrain   = 3 * time.Second // how long closing goes on writing
	leastPages  = 2               // of a prompt, for it to be worth files
)

// openDisk opens or makes the store. The key lies beside the pages, readable by their owner only.
func openDisk(dir string, limit int64, base string, log *slog.Logger) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d := &disk{dir: dir, limit: limit, base: base, log: log, jobs: make(chan save, diskBacklog), known: map[string]int64{}}
	var err error
	if d.key, err = diskKey(filepath.Join(dir, "key")); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(e.Name(), ".tmp"): // of a process that died
			os.Remove(filepath.Join(dir, e.Name()))
		case strings.HasSuffix(e.Name(), diskSuffix):
			d.known[e.Name()] = info.Size()
			d.size += info.Size()
		}
	}
	return d, nil
}

func diskKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == 32 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key = make([]byte, 32)
	rand.Read(key) // never fails
	return key, os.WriteFile(path, key, 0o600)
}

func (d *disk) close() {
	end := time.Now().Add(diskDrain)
	d.closing.Store(&end)
	close(d.jobs)
	d.done.Wait()
}

// names returns the file names of all full pages of a text.
func (d *disk) names(space string, tokens []int32) []string {
	var out []string
	h := hmac.New(sha256.New, d.key)
	for _, part := range []string{d.base, space} {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		io.WriteString(h, part)
	}
	var b [4]byte
	for i, t := range tokens {
		binary.LittleEndian.PutUint32(b[:], uint32(t))
		h.Write(b[:])
		if (i+1)%model.PageTokens == 0 {
			out = append(out, hex.EncodeToString(h.Sum(nil))+diskSuffix) // Sum does not end the hash
		}
	}
	return out
}

func (d *disk) sum(name string, data []byte) []byte {
	h := hmac.New(sha256.New, d.key)
	io.WriteString(h, name)
	h.Write(data)
	return h.Sum(nil)
}

func (d *disk) has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.known[name]
	return ok
}

// load returns a page's bytes; nil if there is no such file or it is not whole.
func (d *disk) load(name string, size int64) []byte {
	if !d.has(name) {
		return nil
	}
	path := filepath.Join(d.dir, name)
	b, err := os.ReadFile(path)
	head := len(diskMagic) + sha256.Size
	if err == nil && int64(len(b)) == int64(head)+size && string(b[:len(diskMagic)]) == diskMagic &&
		hmac.Equal(b[len(diskMagic):head], d.sum(name, b[head:])) {
		now := time.Now()
		os.Chtimes(path, now, now) // for the order in which files go; if it fails, the file goes earlier
		d.mu.Lock()
		d.hits++
		d.mu.Unlock()
		return b[head:]
	}
	d.log.Warn("a page of the prefix cache on disk is not usable and is removed", "file", path, "error", err)
	d.forget(name)
	return nil
}

func (d *disk) forget(name string) {
	os.Remove(filepath.Join(d.dir, name))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size -= d.known[name]
	delete(d.known, name)
}

// write writes what is worth keeping of the text that a job names, a page at a time: the page is looked up when its turn
// comes, so that no copies wait in memory. What has left the prefix cache by then is not kept.
func (d *disk) write(job save, page func(job save, i int) *model.Page, done func()) {
	for i, name := range d.names(job.space, job.tokens) {
		if end := d.closing.Load(); end != nil && time.Now().After(*end) {
			return
		}
		if d.has(name) {
			continue
		}
		p := page(job, i)
		if p == nil {
			return
		}
		d.buffer = p.AppendBytes(d.buffer[:0])
		p.Release()
		done()
		size := int64(len(diskMagic) + sha256.Size + len(d.buffer))
		if !d.room(size) {
			return
		}
		if err := d.put(name, d.buffer); err != nil {
			d.log.Warn("a page of the prefix cache was not written to disk", "directory", d.dir, "error", err)
			return
		}
		d.mu.Lock()
		d.known[name] = size
		d.size += size
		d.writes++
		d.mu.Unlock()
	}
}

// put writes a file whole or not at all.
func (d *disk) put(name string, data []byte) error {
	f, err := os.CreateTemp(d.dir, "*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append([]byte(diskMagic), d.sum(name, data)...))
	if err == nil {
		_, err = f.Write(data)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// room removes the files that were not used for longest until size more bytes fit.
func (d *disk) room(size int64) bool {
	if size > d.limit {
		return false
	}
	d.mu.Lock()
	full := d.size+size > d.limit
	names := make([]string, 0, len(d.known))
	for n := range d.known {
		names = append(names, n)
	}
	d.mu.Unlock()
	if !full {
		return true
	}
	used := map[string]time.Time{}
	for _, n := range names {
		if info, err := os.Stat(filepath.Join(d.dir, n)); err == nil {
			used[n] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return used[a].Compare(used[b]) })
	for _, n := range names {
		d.mu.Lock()
		full := d.size+size > d.limit*9/10 // some at once: looking at all files is not for every page
		d.mu.Unlock()
		if !full {
			break
		}
		d.forget(n)
	}
	return true
}

// fetch brings pages of a prompt from disk into the prefix cache, where they are not already. It reads files without
// the lock.
func (s *scheduler) fetch(t *task) {
	d := s.disk
	if d == nil || !strings.HasPrefix(t.space, tenantSpace) || len(t.tokens) <= leastPages*model.PageTokens {
		return
	}
	names := d.names(t.space, t.tokens[:len(t.tokens)-1])
	s.mu.Lock()
	have := len(s.prefix.find(t.space, t.tokens).full)
	s.mu.Unlock()
	for i := have; i < len(names); i++ {
		data := d.load(names[i], s.kv.PageBytes())
		if data == nil || !s.insert(t, i, data) {
			return
		}
	}
}

// insert puts the i-th page of a task's prompt into the prefix cache, if the pages before it are there and there is room.
func (s *scheduler) insert(t *task, i int, data []byte) bool {
	page := s.kv.NewPage()
	defer page.Release()
	if page.SetBytes(data) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	f := s.prefix.find(t.space, t.tokens[:(i+1)*model.PageTokens])
	if len(f.full) > i {
		return true
	}
	for _, n := range f.full { // making room must not take what this page hangs on
		n.page.Retain()
	}
	ok := len(f.full) == i && s.makeRoom(1)
	if ok {
		at := s.prefix.root(t.space)
		if i > 0 {
			at = f.full[i-1]
		}
		s.prefix.add(at, t.tokens[i*model.PageTokens:(i+1)*model.PageTokens], page)
	}
	for _, n := range f.full {
		n.page.Release()
	}
	return ok
}

// persist has the full pages of a task that ends written to disk, some time, unless too many wait. The lock is held.
func (s *scheduler) persist(t *task) {
	n := min(t.seq.Len(), t.firm) / model.PageTokens
	if s.disk == nil || s.closed || !strings.HasPrefix(t.space, tenantSpace) || n < leastPages {
		return
	}
	select {
	case s.disk.jobs <- save{t.space, slices.Clone(t.tokens[:n*model.PageTokens])}:
	default:
	}
}

// keep writes pages of the prefix cache to disk until the store is closed.
func (s *scheduler) keep() {
	page := func(job save, i int) *model.Page {
		s.mu.Lock()
		defer s.mu.Unlock()
		f := s.prefix.find(job.space, job.tokens[:(i+1)*model.PageTokens])
		if len(f.full) <= i {
			return nil
		}
		return f.full[i].page.Retain()
	}
	done := func() { // while it was held it could not make room
		s.mu.Lock()
		defer s.mu.Unlock()
		s.admit()
		s.work.Signal()
	}
	for job := range s.disk.jobs {
		s.disk.write(job, page, done)
	}
}
