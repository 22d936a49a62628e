package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// errDatabase means that files of the database are not those that were written.
var errDatabase = errors.New("the database is damaged")

// inspect looks at the files of a database before Badger does. Badger 4.9 ends the process at a table whose end is cut
// off, leaves one out whose index is not the one that was written, and removes those that its manifest does not name.
func inspect(dir string) error {
	present, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	manifest, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		if len(present) > 0 {
			return fmt.Errorf("%w: its MANIFEST is missing, and the %d tables beside it would be removed", errDatabase, len(present))
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer manifest.Close()
	info, err := manifest.Stat()
	if err != nil {
		return err
	}
	m, whole, err := badger.ReplayManifestFile(manifest, 0, badger.DefaultOptions(dir))
	if err != nil {
		return fmt.Errorf("%w: MANIFEST: %w", errDatabase, err)
	}
	if whole < info.Size() && len(present) > len(m.Tables) {
		return fmt.Errorf("%w: its MANIFEST is cut short, and %d tables that it does not name would be removed", errDatabase, len(present)-len(m.Tables))
	}
	for id, t := range m.Tables {
		if err := inspectTable(table.NewFilename(id, dir), table.Options{ReadOnly: true, Compression: t.Compression}); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(table.NewFilename(id, dir)), err)
		}
	}
	return nil
}

// inspectTable opens a table as Badger would, where a panic can be caught.
func inspectTable(path string, o table.Options) error {
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: %w", errDatabase, err)
	} else if info.Size() == 0 {
		return fmt.Errorf("%w: it is empty", errDatabase)
	}
	file, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil && !errors.Is(err, z.NewFile) {
		return err
	}
	return caught(func() error {
		t, err := table.OpenTable(file, o)
		if err != nil {
			return fmt.Errorf("%w: %w", errDatabase, err)
		}
		return t.Close(-1)
	})
}

// caught runs what reads tables; a table that is not one makes Badger panic.
func caught(read func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			first, _, _ := strings.Cut(strings.TrimSpace(fmt.Sprint(r)), "\n")
			if strings.HasPrefix(first, "==") { // a heading of Badger's
				first = "a table cannot be read"
			}
			err = fmt.Errorf("%w: %s", errDatabase, first)
		}
	}()
	return read()
}
