package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/extract"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/search"
)

// ingest makes a document of one file.
func (q *Queue) ingest(ctx context.Context, tenant, job string, n int, item *Item) error {
	data, err := readSource(q.o.Store, tenant, job, n, item.Bytes)
	if err != nil {
		return err
	}
	digest := q.digest(item, data)
	item.Document = search.DocumentID(item.Name)
	old, err := q.o.Library.Get(tenant, item.Document)
	if err != nil && !errors.Is(err, search.ErrNotFound) {
		return err
	}
	if old != nil && old.Digest == digest {
		item.State, item.Chunks = Unchanged, old.Chunks
		if sameRule(&old.Rule, &item.Rule) && old.Modified.Equal(item.Modified) {
			return nil
		}
		_, err := q.o.Library.SetRule(tenant, item.Document, item.Rule)
		return err
	}
	text, mediaType, err := extract.Text(ctx, item.Name, item.MediaType, data)
	if err != nil {
		return err
	}
	chunks, err := q.cut(ctx, &hook.Document{Name: item.Name, MediaType: mediaType, Text: text, Strategy: item.Cut.Strategy, Size: item.Cut.Size, Overlap: item.Cut.Overlap}, item.Cut.Unit)
	if err != nil {
		return err
	}
	doc := &search.Document{Name: item.Name, Digest: digest, Owner: item.Owner, Origin: item.Origin, Rule: item.Rule, MediaType: mediaType, Modified: item.Modified, Bytes: int64(len(data))}
	if err := q.o.Library.Put(ctx, tenant, doc, text, chunks); err != nil {
		return err
	}
	item.State, item.Chunks = Done, len(chunks)
	return nil
}

func sameRule(a, b *search.Rule) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// digest identifies content and settings.
func (q *Queue) digest(item *Item, data []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %+v\n", q.o.Settings(), item.MediaType, item.Owner, item.Origin, item.Cut)
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// cut cuts a text. Chunks of nothing but spaces are none.
func (q *Queue) cut(ctx context.Context, doc *hook.Document, unit string) ([]search.Chunk, error) {
	c, err := q.o.Cutter(doc, unit)
	if err != nil {
		return nil, err
	}
	var out []search.Chunk
	err = c.Cut(ctx, strings.NewReader(doc.Text), *doc, func(k hook.Chunk, text string) error {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		chunk := search.Chunk{Start: k.Start, End: k.End, Heading: slices.Clone(k.Heading)}
		if p := k.Parent; p != nil {
			chunk.Parent = &search.Parent{ID: p.ID, Start: p.Start, End: p.End}
		}
		out = append(out, chunk)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("chunker: %w", err)
	}
	return out, nil
}
