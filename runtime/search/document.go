package search

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Document is what is known of a document beside its text.
type Document struct {
	ID     string `json:"id"`     // of its name: the same name in the same tenant is the same document
	Name   string `json:"name"`   // unique within the tenant, such as a path
	Digest string `json:"digest"` // of content and settings: an equal one is not indexed again
	Owner  string `json:"owner,omitempty"`
	Origin string `json:"origin,omitempty"` // the watched folder it came from
	Rule
	MediaType string    `json:"media_type,omitempty"`
	Modified  time.Time `json:"modified,omitzero"` // how fresh the content is
	Indexed   time.Time `json:"indexed"`
	Bytes     int64     `json:"bytes"`      // of the source
	TextBytes int       `json:"text_bytes"` // of its text; spans are offsets into it
	Chunks    int       `json:"chunks"`

	Embedder string `json:"embedder"` // digest of what made its vectors
	Version  string `json:"version"`  // of the indexed content; new with every change of it
}

// Chunk is a part of a document's text, the bytes [Start, End), and the headings that it stands under.
type Chunk struct {
	Start, End int
	Heading    []string
	Parent     *Parent // what is read in its place; nil: itself
}

// Parent is the larger part of a document that a chunk is in. IDs count within the document.
type Parent struct {
	ID    int    `json:"id"`
	Start int    `json:"start"`
	End   int    `json:"end"`
	Text  string `json:"text"` // of a hit's
}

// DocumentID returns the id of the document of that name.
func DocumentID(name string) string {
	sum := sha256.Sum256([]byte("ledge-document\x00" + name))
	return "doc_" + hex.EncodeToString(sum[:12])
}
