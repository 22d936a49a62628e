package search

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ledge-run/ledge/runtime/state"
)

// Reindexed counts documents of an index that is made anew.
type Reindexed struct {
	Documents int `json:"documents"` // made anew
	Unchanged int `json:"unchanged"` // that the embedder in use had made already
	Chunks    int `json:"chunks"`    // of the former
}

// Reindex makes a tenant's index anew with the embedder in use, from the texts and chunks that are stored. Until it
// returns nothing is found and nothing is indexed. When it was ended before, it goes on where it was.
func (l *Library) Reindex(ctx context.Context, tenantName string, progress func(Reindexed)) (r Reindexed, err error) {
	b, ok, err := l.o.Store.Get(tenantName, []byte{recordConfig})
	if err != nil || !ok {
		return r, err
	}
	var was config
	if err := json.Unmarshal(b, &was); err != nil {
		return r, fmt.Errorf("%w: %w", errRecord, err)
	}
	docs, err := l.List(tenantName)
	if err != nil {
		return r, err
	}
	if was == l.config() {
		return Reindexed{Unchanged: len(docs)}, nil
	}
	// The dimensions of then stay on record: documents that are still of then are read with them.
	was.Making = true
	if err := l.writeConfig(tenantName, was); err != nil {
		return r, err
	}
	l.Unload(tenantName)
	for i := range docs {
		d := &docs[i]
		if d.Embedder == l.o.Embedder.Digest() {
			r.Unchanged++
			continue
		}
		text, err := l.Text(tenantName, d, 0, -1)
		if err != nil {
			return r, err
		}
		chunks, err := l.chunksOf(tenantName, d, was.Dimensions)
		if err != nil {
			return r, fmt.Errorf("document %s: %w", d.Name, err)
		}
		if err := l.replace(ctx, tenantName, d, text, chunks, true); err != nil {
			return r, err
		}
		r.Documents++
		r.Chunks += len(chunks)
		if progress != nil {
			progress(r)
		}
	}
	if err := l.writeConfig(tenantName, l.config()); err != nil {
		return r, err
	}
	l.Unload(tenantName)
	return r, nil
}

func (l *Library) writeConfig(tenant string, c config) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return l.o.Store.Commit(tenant, []state.Pair{{Name: []byte{recordConfig}, Value: b}}, nil)
}

// chunksOf reads the chunks of a document that was indexed with vectors of so many values.
func (l *Library) chunksOf(tenant string, d *Document, dims int) ([]Chunk, error) {
	var out []Chunk
	var row indexed
	err := l.o.Store.Scan(tenant, append(versionName(recordIndex, d.ID, d.Version), '/'), func(_, b []byte) (err error) {
		for len(b) > 0 {
			if b, err = cutIndexed(b, dims, &row); err != nil {
				return err
			}
			out = append(out, Chunk{Start: row.start, End: row.end})
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	names := make([][]byte, len(out))
	for i := range names {
		names[i] = partName(recordVector, d.ID, d.Version, i)
	}
	err = l.o.Store.GetMany(tenant, names, func(i int, b []byte) (err error) {
		out[i].Heading, out[i].Parent, _, err = cutPlace(b)
		return err
	})
	if err == nil && len(out) != d.Chunks {
		err = errRecord
	}
	return out, err
}
