// Package modelstore keeps the models of an appliance in its data directory: files by their digest, and a manifest for each
// name that says which file it is and how it answers. It knows nothing of engines and requests. Start reading at
// [Store.Import].
//
//	models/blobs/sha256-HEX      a GGUF file, never changed
//	models/manifests/NAME.json   a Manifest
package modelstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
)

// Errors of the store.
var (
	ErrNotFound = errors.New("no such model is installed")
	ErrInUse    = errors.New("the model is in use")
	ErrExists   = errors.New("a model of that name is installed")
)

// Manifest is an installed model.
type Manifest struct {
	Name         string     `json:"name"`
	Digest       string     `json:"digest"` // sha256:HEX of the model file
	Bytes        int64      `json:"bytes"`
	Architecture string     `json:"architecture"`
	Source       string     `json:"source"` // the file it was imported from
	Imported     time.Time  `json:"imported"`
	System       string     `json:"system,omitempty"`
	Template     string     `json:"template,omitempty"`
	Adapter      string     `json:"adapter,omitempty"` // digest of the adapter file
	Parameters   Parameters `json:"parameters"`
}

// Store is the models below a data directory. It holds nothing open; several processes may use one directory.
type Store struct{ dir string }

// New names the store of a data directory. Nothing is made until a model is imported.
func New(data string) *Store { return &Store{filepath.Join(data, "models")} }

// names are those of files on every system, and no path.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckName says whether a name can be given to a model.
func CheckName(name string) error {
	if !names.MatchString(name) || strings.HasSuffix(name, ".gguf") {
		return fmt.Errorf("%q is no name for a model: use a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, at most 64, and not ending in .gguf", clip(name))
	}
	return nil
}

// Import says what to import.
type Import struct {
	Path     string // a GGUF file, or a Modelfile
	Name     string // empty: made from the file's name
	Replace  bool
	Progress func(done, total int64) // bytes
}

// Import verifies a model file, puts it into the store, by a hard link where the file system can and by a copy else, and
// gives it a name. The source stays. Nothing is left of an import that fails.
func (s *Store) Import(ctx context.Context, r Import) (*Manifest, error) {
	file := &Modelfile{From: r.Path}
	isGGUF, err := hasMagic(r.Path)
	if err != nil {
		return nil, err
	}
	if !isGGUF {
		if file, err = readModelfile(r.Path); err != nil {
			return nil, err
		}
	}
	if r.Name == "" {
		r.Name = nameOf(file.From)
	}
	if err := CheckName(r.Name); err != nil {
		return nil, fmt.Errorf("%w; choose one with --name", err)
	}
	for _, dir := range []string{"blobs", "manifests"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	done, err := s.change()
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := s.Get(r.Name); !errors.Is(err, ErrNotFound) {
		if !r.Replace {
			return nil, fmt.Errorf("%w: %s; choose another one with --name, or replace it with --force", ErrExists, r.Name)
		}
		release, err := s.alone(r.Name)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	m := &Manifest{Name: r.Name, Imported: time.Now().UTC(), System: file.System, Template: file.Template, Parameters: file.Parameters}
	if m.Source, err = filepath.Abs(file.From); err != nil {
		return nil, err
	}
	if m.Architecture, err = verify(file.From); err != nil {
		return nil, err
	}
	if m.Digest, m.Bytes, err = s.addBlob(ctx, file.From, r.Progress); err != nil {
		return nil, err
	}
	if file.Adapter != "" {
		if _, err = verify(file.Adapter); err == nil {
			m.Adapter, _, err = s.addBlob(ctx, file.Adapter, nil)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("adapter: %w", err), s.sweep())
		}
	}
	doc, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = replaceFile(s.manifest(r.Name), func(w io.Writer) error { _, err := w.Write(doc); return err })
	}
	if err != nil {
		return nil, errors.Join(err, s.sweep())
	}
	return m, s.sweep() // of a model that was replaced
}

func hasMagic(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return false, err
	} else if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is no regular file", path)
	}
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return false, fmt.Errorf("%s is neither a GGUF file nor a Modelfile: it has fewer than 4 bytes", path)
	}
	return string(magic[:]) == "GGUF", nil
}

// readModelfile reads a Modelfile. Its paths are relative to it.
func readModelfile(path string) (*Modelfile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxModelfile+1))
	if err != nil {
		return nil, err
	}
	m, err := ParseModelfile(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s is no GGUF file, and as a Modelfile: %w", path, err)
	}
	for _, p := range []*string{&m.From, &m.Adapter} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return m, nil
}

// nameOf makes a name from a file's.
func nameOf(path string) string {
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	return strings.Trim(regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(name, "-"), "-._")
}

// verify reads the header of a model file: every tensor must lie inside it.
func verify(path string) (architecture string, err error) {
	f, err := gguf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	architecture, ok := f.String("general.architecture")
	if !ok {
		return "", fmt.Errorf("%s: it names no general.architecture", path)
	}
	if count, ok := f.Uint("split.count"); ok && count > 1 {
		return "", fmt.Errorf("%s is one of %d parts; a store holds single files", path, count)
	}
	return architecture, nil
}

// addBlob puts a file into the store under its digest. A copy is hashed as it is written, so that the digest is that of
// what lies in the store.
func (s *Store) addBlob(ctx context.Context, path string, progress func(done, total int64)) (digest string, size int64, err error) {
	in, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", 0, err
	}
	sum := sha256.New()
	src := &reporter{ctx: ctx, r: in, total: info.Size(), report: progress}
	tmp := filepath.Join(s.dir, "blobs", fmt.Sprintf(".import-%d-%d", os.Getpid(), time.Now().UnixNano()))
	defer os.Remove(tmp)
	if os.Link(path, tmp) == nil {
		size, err = io.Copy(sum, src)
	} else {
		var out *os.File
		if out, err = os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return "", 0, err
		}
		size, err = io.Copy(io.MultiWriter(out, sum), src)
		err = errors.Join(err, out.Sync(), out.Close())
	}
	if err != nil {
		return "", 0, fmt.Errorf("import %s: %w", path, err)
	}
	digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if _, err := os.Stat(s.Blob(digest)); err == nil {
		return digest, size, nil // it is there already
	}
	return digest, size, os.Rename(tmp, s.Blob(digest))
}

// reporter passes bytes on until its context ends.
type reporter struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	report      func(done, total int64)
}

func (r *reporter) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	if r.done += int64(n); r.report != nil {
		r.report(r.done, r.total)
	}
	return n, err
}

// replaceFile writes a file beside its name and moves it there when it is on the disk.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Blob is where the file of a digest lies.
func (s *Store) Blob(digest string) string {
	return filepath.Join(s.dir, "blobs", strings.Replace(digest, ":", "-", 1))
}

func (s *Store) manifest(name string) string { return filepath.Join(s.dir, "manifests", name+".json") }

var digests = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Get returns the model of a name, or ErrNotFound.
func (s *Store) Get(name string) (*Manifest, error) {
	if CheckName(name) != nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, clip(name))
	}
	doc, err := os.ReadFile(s.manifest(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s; ledge model ls lists those that are", ErrNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(doc, m); err != nil || m.Name != name || !digests.MatchString(m.Digest) || m.Adapter != "" && !digests.MatchString(m.Adapter) {
		return nil, fmt.Errorf("the manifest of %s is damaged; remove it with ledge model rm %s and import the model again", name, name)
	}
	return m, nil
}

// List returns all models by name. One whose manifest is damaged is left out, and the error names it.
func (s *Store) List() ([]*Manifest, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "manifests"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*Manifest
	var errs []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		m, err := s.Get(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *Manifest) int { return cmp.Compare(a.Name, b.Name) })
	return out, errors.Join(errs...)
}

// Use marks a model as in use by this process until the function returned is called.
func (s *Store) Use(name string) (*Manifest, func(), error) {
	m, err := s.Get(name)
	if err != nil {
		return nil, nil, err
	}
	release, err := lock(s.manifest(name), false)
	if err != nil {
		return nil, nil, err
	}
	return m, release, nil
}

// Remove takes a name away, and the files that no other name has. A model that a process uses is ErrInUse.
func (s *Store) Remove(name string) error {
	if _, err := s.Get(name); errors.Is(err, ErrNotFound) {
		return err
	}
	done, err := s.change()
	if err != nil {
		return err
	}
	defer done()
	release, err := s.alone(name)
	if err != nil {
		return err
	}
	defer release()
	if err := os.Remove(s.manifest(name)); err != nil {
		return err
	}
	return s.sweep()
}

// alone locks a model that no process uses.
func (s *Store) alone(name string) (func(), error) {
	release, err := lock(s.manifest(name), true)
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%w: %s; stop the appliance that serves it first", ErrInUse, name)
	}
	return release, err
}

// change keeps other processes from changing the store until the function returned is called: a file that one has just
// added must not be swept away by another.
func (s *Store) change() (func(), error) {
	path := filepath.Join(s.dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	release, err := lock(path, true)
	if errors.Is(err, ErrInUse) {
		return nil, errors.New("another ledge model command is changing the models; try again when it is done")
	}
	return release, err
}

// sweep removes the files that no manifest names. While a manifest cannot be read nothing is removed.
func (s *Store) sweep() error {
	all, err := s.List()
	if err != nil {
		return nil
	}
	used := map[string]bool{}
	for _, m := range all {
		used[filepath.Base(s.Blob(m.Digest))] = true
		if m.Adapter != "" {
			used[filepath.Base(s.Blob(m.Adapter))] = true
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs"))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !used[e.Name()] && strings.HasPrefix(e.Name(), "sha256-") {
			errs = append(errs, os.Remove(filepath.Join(s.dir, "blobs", e.Name())))
		}
	}
	return errors.Join(errs...)
}
