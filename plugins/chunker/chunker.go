// Package chunker cuts a document into chunks for retrieval: byte ranges in the order of the text, each at most a
// given number of Unicode code points or tokens, with the headings it stands under.
//
// Whatever the strategy, the chunks cover the document byte for byte: each starts at or before the end of the one
// before it (what it repeats is the overlap) and ends after it. Chunks never split a character; a byte that is not
// UTF-8 counts as one character. Where sizes are in tokens, chunks begin with tokens; tokens that share a character are
// not parted, even where they are more than the size.
//
// The package is pure logic and knows nothing of the guest it runs in (see wasm/). Start reading at [Chunker.Chunk].
package chunker

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

// Strategies.
const (
	Fixed     = "fixed"     // exactly size code points each, the last one shorter
	Recursive = "recursive" // at paragraphs, else lines, else sentences, else words, else code points
	Sentence  = "sentence"  // whole sentences, as many as fit
	Markdown  = "markdown"  // by heading; code, tables and lists whole where they fit
	HTML      = "html"      // the same of HTML
	Code      = "code"      // by function and method: Go, Python, JavaScript, Java
	Semantic  = "semantic"  // between sentences that have little in common

	// Small chunks to be found by, each within a larger one to be read: [sdk.Chunk.Parent].
	Hierarchical = "hierarchical"
)

// Strategies lists all strategies.
func Strategies() []string {
	return []string{Fixed, Recursive, Markdown, Sentence, HTML, Code, Semantic, Hierarchical}
}

// defaultPercentile is the share of sentence ends, the least alike, at which the semantic strategy cuts.
const defaultPercentile = 20

// parentSizes is how many sizes a parent has where a document does not say.
const parentSizes = 4

// Profile is a size and an overlap that suit a kind of text, in code points.
type Profile struct {
	Strategy      string // empty: by kind of document
	Size, Overlap int
}

// Profiles returns the profiles by their names.
func Profiles() map[string]Profile {
	return map[string]Profile{
		"legal":        {Size: 500, Overlap: 100},
		"general":      {Size: 1000, Overlap: 200},
		"conversation": {Strategy: Sentence, Size: 300, Overlap: 50},
		"code":         {Strategy: Code, Size: 1500},
	}
}

// maxSize bounds the size of a chunk in code points.
const maxSize = 1 << 20

// Chunker holds what a document that does not say gets.
type Chunker struct {
	Strategy string // empty: markdown for what looks like it by name or media type, else recursive
	Size     int    // code points, 1 to 1,048,576
	Overlap  int    // code points that a chunk repeats of the one before it, at most; less than Size
}

// New reads the configuration: strategy, size, overlap. Absent keys keep the defaults: by kind of document, 1000, 0.
func New(config func(key string) (string, bool)) (*Chunker, error) {
	c := &Chunker{Size: 1000}
	c.Strategy, _ = config("strategy")
	for key, dst := range map[string]*int{"size": &c.Size, "overlap": &c.Overlap} {
		if v, ok := config(key); ok && v != "" {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				return nil, errors.New("chunker: the setting " + key + " is not a whole number: " + strconv.Quote(v))
			}
			*dst = n
		}
	}
	return c, nil
}

// Chunk cuts doc. It fails when strategy, size or overlap are out of range; no text makes it fail.
func (c *Chunker) Chunk(doc *sdk.Document) (sdk.ChunkList, error) {
	strategy, size, overlap := doc.Strategy, doc.Size, doc.Overlap
	if strategy == "" {
		strategy = c.Strategy
	}
	if strategy == "" {
		strategy = guess(doc)
	}
	if size == 0 {
		size = c.Size
	}
	if overlap == 0 {
		overlap = min(c.Overlap, size-1)
	}
	if size < 1 || size > maxSize {
		return sdk.ChunkList{}, errors.New("chunker: size " + strconv.Itoa(size) + " is not between 1 and " + strconv.Itoa(maxSize))
	}
	if overlap < 0 || overlap >= size {
		return sdk.ChunkList{}, errors.New("chunker: overlap " + strconv.Itoa(overlap) + " is not between 0 and size - 1 (" + strconv.Itoa(size-1) + ")")
	}
	if doc.Percentile < 0 || doc.Percentile > 100 {
		return sdk.ChunkList{}, errors.New("chunker: percentile " + strconv.Itoa(doc.Percentile) + " is not between 0 and 100")
	}
	if doc.Repeat < 0 || doc.Repeat > len(doc.Text) {
		return sdk.ChunkList{}, errors.New("chunker: repeat " + strconv.Itoa(doc.Repeat) + " does not lie within the text")
	}
	if doc.ParentSize != 0 && (doc.ParentSize < size || doc.ParentSize > maxSize) {
		return sdk.ChunkList{}, errors.New("chunker: parent size " + strconv.Itoa(doc.ParentSize) + " is not between the size, " + strconv.Itoa(size) + ", and " + strconv.Itoa(maxSize))
	}
	p := &packer{ruler: newRuler(doc.Text), size: size, overlap: overlap}
	if doc.Tokens != nil {
		if err := p.tokens(doc.Tokens); err != nil {
			return sdk.ChunkList{}, err
		}
	}
	p.resume(doc.Repeat, doc.Heading)
	if strategy == Hierarchical {
		p.hierarchical(doc, cmp.Or(doc.ParentSize, min(parentSizes*size, maxSize)))
	} else if !p.cut(strategy, doc) {
		return sdk.ChunkList{}, errors.New("chunker: unknown strategy " + strconv.Quote(strategy) + "; there are " + strings.Join(Strategies(), ", "))
	}
	return sdk.ChunkList{Chunks: p.out}, nil
}

// cut fills p by a strategy; false means that there is none of that name.
func (p *packer) cut(strategy string, doc *sdk.Document) bool {
	switch strategy {
	case Fixed:
		p.fixed()
	case Recursive:
		p.add(block{start: 0, end: len(p.text)})
		p.flush()
	case Markdown:
		p.markdown()
	case Sentence:
		p.sentences()
	case HTML:
		p.html()
	case Code:
		p.code(languageOf(doc.Name, p.text))
	case Semantic:
		p.semantic(cmp.Or(doc.Percentile, defaultPercentile))
	default:
		return false
	}
	return true
}

// hierarchical cuts parents by the kind of document, without overlap, and each of them into chunks.
func (p *packer) hierarchical(doc *sdk.Document, parentSize int) {
	parents := &packer{ruler: p.ruler, size: parentSize}
	parents.resume(doc.Repeat, doc.Heading)
	parents.cut(guess(doc), doc)
	for id, k := range parents.out {
		p.section()
		p.heading = k.Heading
		first := len(p.out)
		p.add(block{start: k.Start, end: k.End})
		p.flush()
		for i := first; i < len(p.out); i++ {
			p.out[i].Parent = &sdk.Parent{ID: id, Start: k.Start, End: k.End}
		}
	}
}

// guess picks the strategy of a document that names none.
func guess(doc *sdk.Document) string {
	media, _, _ := strings.Cut(doc.MediaType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "text/markdown":
		return Markdown
	case "text/html", "application/xhtml+xml":
		if strings.Contains(doc.Text, "</") { // it is not the text that was taken out of it
			return HTML
		}
		return Recursive
	}
	name := strings.ToLower(doc.Name)
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "md", "markdown":
		return Markdown
	case "html", "htm", "xhtml":
		if strings.Contains(doc.Text, "</") {
			return HTML
		}
	case "go", "py", "pyi", "js", "jsx", "ts", "tsx", "mjs", "cjs", "java":
		return Code
	}
	return Recursive
}

// fixed cuts every size; each chunk after the first repeats overlap of the one before.
func (p *packer) fixed() {
	for p.fresh < len(p.text) {
		end, _ := p.forward(p.start, len(p.text), p.size)
		if end <= p.fresh { // a step that is longer than what is left
			p.start = p.fresh
			continue
		}
		p.out = append(p.out, sdk.Chunk{Start: p.start, End: end, Heading: p.heading})
		floor, _ := p.forward(p.start, end, 1)
		p.fresh = end
		p.start, _ = p.back(end, p.overlap, floor)
	}
}

// forward returns the offset n code points after i, at most end, and how many there were.
func forward(text string, i, end, n int) (offset, count int) {
	for count < n && i < end {
		if text[i] < utf8.RuneSelf {
			i++
		} else {
			_, w := utf8.DecodeRuneInString(text[i:end])
			i += w
		}
		count++
	}
	return i, count
}
