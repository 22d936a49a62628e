package ingest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ledge-run/ledge/runtime/search"
	"github.com/ledge-run/ledge/runtime/state"
)

// Source is a file that is to become a document.
type Source struct {
	Name      string      `json:"name"`
	MediaType string      `json:"media_type,omitempty"` // empty: by name and content
	Owner     string      `json:"owner,omitempty"`
	Origin    string      `json:"origin,omitempty"` // a watched folder, else empty
	Rule      search.Rule `json:"rule"`
	Modified  time.Time   `json:"modified,omitzero"`
	Cut       Cut         `json:"cut"`
	Data      []byte      `json:"-"`
	Fault     error       `json:"-"` // what is wrong with it already; nil: nothing
}

// Cut says how a text is cut into chunks. Zero values are the chunker's defaults.
type Cut struct {
	Strategy string `json:"strategy,omitempty"`
	Size     int    `json:"size,omitempty"`
	Overlap  int    `json:"overlap,omitempty"`
	Unit     string `json:"unit,omitempty"` // characters or tokens
}

// States of an item.
const (
	Pending   = "pending"
	Done      = "done"
	Unchanged = "unchanged" // the document is there with this content
	Failed    = "failed"
)

// Item is one file of a job.
type Item struct {
	Source
	Bytes    int    `json:"bytes"`
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`
	Document string `json:"document,omitempty"` // id
	Chunks   int    `json:"chunks,omitempty"`
}

// Job is a batch of files.
type Job struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant"`
	Created   time.Time `json:"created"`
	Total     int       `json:"total"`
	Done      int       `json:"done"` // of these, indexed, Unchanged included
	Unchanged int       `json:"unchanged"`
	Failed    int       `json:"failed"`
	Chunks    int       `json:"chunks"`
	Finished  bool      `json:"finished"`
	Items     []Item    `json:"items,omitempty"`
}

// Names of a tenant's records:
//
//	'J' | job                                     job, JSON
//	'N' | job | number (4, BE)                    item, JSON
//	'S' | job | number (4, BE) | block (4, BE)    source, sourceBlock bytes each
const (
	recordJob    = 'J'
	recordItem   = 'N'
	recordSource = 'S'
	sourceBlock  = 512 << 10
)

func jobName(job string) []byte { return append([]byte{recordJob}, job...) }

func itemName(job string, n int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{recordItem}, job...), uint32(n))
}

func sourcePrefix(job string, n int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{recordSource}, job...), uint32(n))
}

func sourceName(job string, n, block int) []byte {
	return binary.BigEndian.AppendUint32(sourcePrefix(job, n), uint32(block))
}

func pair(name []byte, v any) (state.Pair, error) {
	b, err := json.Marshal(v)
	return state.Pair{Name: name, Value: b}, err
}

// readSource returns the bytes of a source.
func readSource(store *state.Documents, tenant, job string, n, size int) ([]byte, error) {
	names := make([][]byte, (size+sourceBlock-1)/sourceBlock)
	for i := range names {
		names[i] = sourceName(job, n, i)
	}
	data := make([]byte, 0, size)
	err := store.GetMany(tenant, names, func(_ int, b []byte) error {
		data = append(data, b...)
		return nil
	})
	if err == nil && len(data) != size {
		err = fmt.Errorf("%d of its %d bytes are there", len(data), size)
	}
	return data, err
}
