package wasm

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero"

	"github.com/ledge-run/ledge/runtime/wasm/meter"
)

// cache keeps native code between runs. What the engine compiles is machine code that it loads and jumps into without
// a question, so a file that someone else wrote is the end of the sandbox. Therefore:
//
//   - the engine's own cache is a directory of this process alone, with a random name and mode 0700, which is empty
//     but while a module is being loaded;
//   - what lasts are entries: the engine's file with its name and a MAC over both and over everything that the code
//     depends on. The engine's name for the file is a hash over the metered module and the processor's features.
//   - an entry is read whole, verified, and the verified bytes are written into the engine's directory, in that order.
//
// An entry that is missing, truncated, altered, or made by another version is deleted and made again. Where nothing can be
// written, code is compiled and kept in memory.
type cache struct {
	dir     string
	key     []byte
	scratch string // parent of the engine's directories
	engine  string // the main engine's directory
	version string // engine, its version, architecture and system
}

const entryMagic = "LEDGEAOT1\n"

func openCache(dir string, key []byte) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	scratch, err := os.MkdirTemp(dir, ".run-")
	if err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	return &cache{dir: dir, key: key, scratch: scratch}, nil
}

func (c *cache) close() error { return os.RemoveAll(c.scratch) }

// newEngineCache makes an empty cache of the engine in a directory of its own, and returns where it puts its files.
func (c *cache) newEngineCache() (wazero.CompilationCache, string, error) {
	dir, err := os.MkdirTemp(c.scratch, "engine-")
	if err != nil {
		return nil, "", fmt.Errorf("code cache: %w", err)
	}
	ec, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, "", fmt.Errorf("code cache: %w", err)
	}
	sub, err := os.ReadDir(dir)
	if err != nil || len(sub) != 1 {
		return nil, "", fmt.Errorf("code cache: unexpected layout of the engine's directory (%v)", err)
	}
	if c.version == "" { // the first is made before anything runs at once, and all are the same
		c.version = sub[0].Name()
	}
	return ec, filepath.Join(dir, sub[0].Name()), nil
}

// path is where the entry for a module lies.
func (c *cache) path(digest string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d", digest, c.version, meter.Version))
	return filepath.Join(c.dir, hex.EncodeToString(h[:16])+".aot")
}

func (c *cache) has(digest string) bool {
	st, err := os.Stat(c.path(digest))
	return err == nil && st.Mode().IsRegular() && st.Size() > int64(len(entryMagic)+sha256.Size)
}

func (c *cache) mac(digest string, body []byte) []byte {
	m := hmac.New(sha256.New, c.key)
	fmt.Fprintf(m, "%s%s|%s|%s|%d|%d|", entryMagic, digest, c.version, runtime.GOARCH, meter.Version, len(body))
	m.Write(body)
	return m.Sum(nil)
}

// errUnwritable is wrapped when an entry cannot be written; the module may be fine.
var errUnwritable = errors.New("cannot write native code")

// place verifies the entry for a module and gives it to the engine. The engine's file must be removed once it is read.
// An entry that is not good is deleted.
func (c *cache) place(digest string) (file string, err error) {
	name, code, err := c.read(digest)
	if err != nil {
		_ = os.Remove(c.path(digest))
		return "", err
	}
	file = filepath.Join(c.engine, name)
	if err := os.WriteFile(file, code, 0o600); err != nil {
		_ = os.Remove(file)
		return "", fmt.Errorf("%w: %w", errUnwritable, err)
	}
	return file, nil
}

// read returns the engine's file that the entry for a module holds, and its name.
func (c *cache) read(digest string) (name string, code []byte, err error) {
	b, err := os.ReadFile(c.path(digest))
	if err != nil {
		return "", nil, err
	}
	head := len(entryMagic) + sha256.Size
	if len(b) < head+1 || string(b[:len(entryMagic)]) != entryMagic {
		return "", nil, errors.New("not a cache entry, or truncated")
	}
	body := b[head:]
	if !hmac.Equal(b[len(entryMagic):head], c.mac(digest, body)) {
		return "", nil, errors.New("not authentic: altered, truncated, or made with another key")
	}
	n := int(body[0])
	if len(body) < 1+n {
		return "", nil, errors.New("truncated")
	}
	name = string(body[1 : 1+n])
	if _, err := hex.DecodeString(name); err != nil {
		return "", nil, errors.New("strange file name")
	}
	return name, body[1+n:], nil
}

// store makes the entry for a module from the file that the engine wrote to dir.
func (c *cache) store(digest, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	name := ""
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".tmp") {
			name = f.Name()
		}
	}
	if name == "" || len(name) > 255 {
		return errors.New("the engine wrote no file")
	}
	code, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	body := append(append([]byte{byte(len(name))}, name...), code...)
	tmp, err := os.CreateTemp(c.dir, ".entry-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append([]byte(entryMagic), c.mac(digest, body)...))
	if err == nil {
		_, err = tmp.Write(body)
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), c.path(digest))
}

// nativeBytes is about how much native code a byte of a module becomes, with what the engine adds, at most.
const nativeBytes = 8

// room finds out whether there is room for n more bytes, before time is spent on compiling what cannot be stored.
func (c *cache) room(n int) error {
	f, err := os.CreateTemp(c.scratch, "room-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	chunk := make([]byte, 1<<20)
	for ; n > 0 && err == nil; n -= len(chunk) {
		_, err = f.Write(chunk[:min(n, len(chunk))])
	}
	return errors.Join(err, f.Close())
}

// compile makes the entry for a module in an engine of its own, which is gone afterwards. Several may run at once. The
// error wraps errUnwritable, or the module is to blame.
func (c *cache) compile(ctx context.Context, digest string, metered []byte) error {
	if err := c.room(nativeBytes * len(metered)); err != nil {
		return fmt.Errorf("%w: %w", errUnwritable, err)
	}
	ec, dir, err := c.newEngineCache()
	if err != nil {
		return fmt.Errorf("%w: %w", errUnwritable, err)
	}
	defer os.RemoveAll(filepath.Dir(dir))
	defer ec.Close(ctx)
	rt := wazero.NewRuntimeWithConfig(ctx, engineConfig().WithCompilationCache(ec))
	defer rt.Close(ctx)
	_, unwritten, err := compileTwice(ctx, rt, metered)
	if err != nil {
		return err
	}
	if unwritten == nil {
		unwritten = c.store(digest, dir)
	}
	if unwritten != nil {
		return fmt.Errorf("%w: %w", errUnwritable, unwritten)
	}
	return nil
}

// compileTwice compiles a module on an engine with a cache. The engine fails where it cannot write to the cache, but by
// then it holds the code in memory, where a second attempt finds it at once: so that one says what is wrong with the
// module, and the first, if it is alone, what is wrong with the cache.
func compileTwice(ctx context.Context, rt wazero.Runtime, metered []byte) (m wazero.CompiledModule, unwritten, err error) {
	if m, unwritten = rt.CompileModule(ctx, metered); unwritten == nil {
		return m, nil, nil
	}
	if m, err = rt.CompileModule(ctx, metered); err != nil {
		return nil, nil, err
	}
	_ = m.Close(ctx) // takes back the failed attempt's hold of the code; the second keeps its own
	return m, unwritten, nil
}
