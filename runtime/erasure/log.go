package erasure

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Entry is an erasure. It holds no text and no name: documents by their ids, the subject by its hash.
type Entry struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Tenant    string    `json:"tenant"`
	Subject   string    `json:"subject,omitempty"` // SHA-256 of tenant and subject
	Documents []string  `json:"documents"`
}

// NewEntry returns an entry with a fresh id. subject may be empty.
func NewEntry(now time.Time, tenant, subject string, documents []string) Entry {
	var random [8]byte
	rand.Read(random[:])
	e := Entry{ID: "erasure_" + hex.EncodeToString(random[:]), Time: now.UTC(), Tenant: tenant, Documents: documents}
	if subject != "" {
		e.Subject = SubjectHash(tenant, subject)
	}
	return e
}

// SubjectHash stands for a subject in the log.
func SubjectHash(tenant, subject string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "ledge-subject\x00%d\x00%s%s", len(tenant), tenant, subject))
	return hex.EncodeToString(sum[:])
}

// Log is a file of entries, a line each. It lies outside of what is backed up, so that an older state that is put back
// meets a log that knows more.
type Log struct{ Path string }

// Append adds an entry and returns when it is on the disk.
func (l Log) Append(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(l.Path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("erasure log: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// Entries reads the log. A last line that was cut off is no entry: its erasure never began.
func (l Log) Entries() ([]Entry, error) {
	f, err := os.Open(l.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("erasure log: %w", err)
	}
	defer f.Close()
	var out []Entry
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	var broken error
	for n := 1; lines.Scan(); n++ {
		if broken != nil {
			return nil, broken
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			broken = fmt.Errorf("erasure log %s, line %d: %w", l.Path, n, err)
			continue
		}
		out = append(out, e)
	}
	return out, lines.Err()
}
