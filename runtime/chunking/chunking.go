// Package chunking cuts documents of any length with a chunker that takes bounded ones: piece by piece, so that the
// chunks are those of the whole as far as the chunker tells where it stands (see [hook.Document]). It counts sizes in a
// model's tokens where asked to, and holds every answer against its size.
//
// It knows nothing of files and of where plugins come from. Start reading at [Cutter.Cut].
package chunking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
)

// Chunker cuts one piece of a document.
type Chunker func(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error)

// Plugin is a module that offers the hook chunk, in a sandbox.
type Plugin interface {
	Exports() []string
	Call(ctx context.Context, c wasm.Call) (wasm.Result, error)
}

// With cuts with a plugin: by its export chunk_text where it has one, else by chunk.
func With(p Plugin) Chunker {
	return func(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error) {
		var res wasm.Result
		err := error(&wasm.Error{Code: wasm.CodeNoExport})
		if slices.Contains(p.Exports(), hook.ExportChunkText) {
			res, err = p.Call(ctx, wasm.Call{Export: hook.ExportChunkText, Input: doc.AppendWithText(nil)})
		}
		var failed *wasm.Error
		if errors.As(err, &failed) && failed.Code == wasm.CodeNoExport { // as well for one that was replaced meanwhile
			res, err = p.Call(ctx, wasm.Call{Export: hook.ExportChunk, Input: doc.AppendJSON(nil)})
		}
		if err != nil {
			return nil, err
		}
		var list hook.ChunkList
		if err := list.ParseJSON(res.Output); err != nil {
			return nil, fmt.Errorf("the chunker's answer: %w", err)
		}
		return list.Chunks, nil
	}
}

// Cutter cuts documents. It is safe for concurrent use if Chunk and Count are.
type Cutter struct {
	Chunk Chunker
	// Count is the number of tokens of a text. Nil: sizes are in code points.
	Count func(text string) (int, error)
	// Piece is how many bytes are cut at once, nearly; 0: DefaultPiece.
	Piece int
}

// DefaultPiece is a length that guests cut in bounded memory and in which what a call costs hardly counts.
const DefaultPiece = 1 << 20

// chunksOfPiece is how many chunks, at least, a piece is long.
const chunksOfPiece = 16

// Cut reads a document and calls each for its chunks, in order, with their texts. Offsets are those of what was read; bytes
// that are not UTF-8 count as one character each and come as question marks, so that offsets stay. doc says how to cut;
// its text is what is read.
func (c *Cutter) Cut(ctx context.Context, in io.Reader, doc hook.Document, each func(k hook.Chunk, text string) error) error {
	length := c.Piece
	if length == 0 {
		length = DefaultPiece
	}
	length = max(length, chunksOfPiece*utf8.UTFMax*max(doc.Size, doc.ParentSize, 4*doc.Size))
	s := source{in: in}
	parents := 0
	for base, repeat := 0, 0; ; {
		text, last, err := s.upTo(length + repeat)
		if err != nil {
			return err
		}
		piece := doc
		piece.Text, piece.Repeat = text, repeat
		chunks, err := c.cut(ctx, &piece)
		if err != nil {
			return err
		}
		keep := len(chunks)
		if !last {
			keep = settled(chunks, len(text))
			if keep == 0 {
				return fmt.Errorf("chunker: no chunk ends in %d bytes from %d on", len(text), base)
			}
		}
		if err := contiguous(chunks[:keep], repeat, len(text), last); err != nil {
			return err
		}
		first := parents
		for _, k := range chunks[:keep] {
			part := text[k.Start:k.End]
			k.Start, k.End = k.Start+base, k.End+base
			if k.Parent != nil {
				p := *k.Parent
				p.ID, p.Start, p.End = p.ID+first, p.Start+base, p.End+base
				k.Parent, parents = &p, max(parents, p.ID+1)
			}
			if err := each(k, part); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		end := chunks[keep-1].End
		doc.Heading = slices.Clone(chunks[keep-1].Heading)
		// The next piece needs as much of this one as its first chunk may repeat.
		from := max(chunks[keep-1].Start, 0)
		if doc.Overlap == 0 || chunks[keep-1].Parent != nil {
			from = end
		}
		base, repeat = base+from, end-from
		s.drop(from)
	}
}

// settled is the number of chunks that more text would not change: those well before the end. It rather ends with a chunk
// before which the next one starts a section near the top, whose place a chunker can find again.
func settled(chunks []hook.Chunk, length int) int {
	n := len(chunks) - 1
	for n > 1 && (chunks[n-1].End > length-length/8 || inside(chunks, n)) {
		n--
	}
	best := n
	for i := n; i > n/2 && i > 0; i-- {
		if inside(chunks, i) {
			continue
		}
		if !slices.Equal(chunks[i].Heading, chunks[i-1].Heading) && (best == n && slices.Equal(chunks[n].Heading, chunks[n-1].Heading) || len(chunks[i].Heading) < len(chunks[best].Heading)) {
			best = i
		}
	}
	return best
}

// inside says that chunk i goes on in the parent of the one before it.
func inside(chunks []hook.Chunk, i int) bool {
	a, b := chunks[i-1].Parent, chunks[i].Parent
	return a != nil && b != nil && a.ID == b.ID
}

// contiguous holds chunks against what every chunker must keep: no byte is left out.
func contiguous(chunks []hook.Chunk, at, length int, last bool) error {
	for i, k := range chunks {
		if k.Start > at {
			return fmt.Errorf("chunker: the bytes [%d, %d) are in no chunk", at, k.Start)
		}
		if k.End <= at {
			return fmt.Errorf("chunker: chunk %d has nothing that the one before it has not", i)
		}
		at = k.End
	}
	if last && at < length {
		return fmt.Errorf("chunker: the bytes [%d, %d) are in no chunk", at, length)
	}
	return nil
}

// maxRounds bounds how often a piece is cut again because a chunk has more tokens alone than in its place.
const maxRounds = 6

// ErrTokens means that chunks of so few tokens cannot be made.
var ErrTokens = errors.New("chunks of so few tokens cannot be made of this text; give a larger size")

// cut cuts a piece, by tokens where they count.
func (c *Cutter) cut(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error) {
	if doc.Text == "" {
		return nil, nil
	}
	if c.Count == nil {
		return c.call(ctx, doc)
	}
	want := doc.Size
	var err error
	if doc.Tokens, err = lengths(doc.Text, c.Count); err != nil {
		return nil, err
	}
	for range maxRounds {
		chunks, err := c.call(ctx, doc)
		if err != nil {
			return nil, err
		}
		over := 0
		for _, k := range chunks {
			text := doc.Text[k.Start:k.End]
			n, err := c.Count(text)
			if err != nil {
				return nil, err
			}
			if utf8.RuneCountInString(text) > 1 {
				over = max(over, n-want)
			}
		}
		if over == 0 {
			return chunks, nil
		}
		if doc.Size -= over; doc.Size < 1 {
			break
		}
		doc.Overlap = min(doc.Overlap, doc.Size-1)
	}
	return nil, fmt.Errorf("%w: %d", ErrTokens, want)
}

func (c *Cutter) call(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error) {
	chunks, err := c.Chunk(ctx, doc)
	if err != nil {
		return nil, err
	}
	return chunks, (&hook.ChunkList{Chunks: chunks}).Check(doc.Text)
}

// source reads a text whose beginning falls off.
type source struct {
	in   io.Reader
	held []byte // valid UTF-8 but for the last bytes, which may be a character's beginning
	end  bool
}

// upTo returns the text to n bytes, nearly, and whether it is all that is left.
func (s *source) upTo(n int) (text string, last bool, err error) {
	for !s.end && len(s.held) < n+utf8.UTFMax {
		from := len(s.held)
		s.held = slices.Grow(s.held, n+utf8.UTFMax-from)
		got, err := s.in.Read(s.held[from : n+utf8.UTFMax])
		s.held = s.held[:from+got]
		if err == io.EOF {
			s.end = true
		} else if err != nil {
			return "", false, err
		}
	}
	if s.end {
		n = len(s.held)
	}
	for n > 0 && n < len(s.held) && !utf8.RuneStart(s.held[n]) {
		n--
	}
	if n == 0 && len(s.held) > 0 {
		n = len(s.held) // nothing but continuation bytes
	}
	plain(s.held[:n])
	return string(s.held[:n]), s.end && n == len(s.held), nil
}

func (s *source) drop(n int) { s.held = slices.Delete(s.held, 0, n) }

// plain makes bytes that are not UTF-8 question marks.
func plain(b []byte) {
	if utf8.Valid(b) {
		return
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			b[i] = '?'
		}
		i += n
	}
}

// maxWord is the length in bytes from which on a word is counted part by part.
const maxWord = 48

// lengths takes a text apart into words, each with the space before it, and gives them the tokens that they have alone: a
// word's length, and a 0 for each token more than one.
func lengths(text string, count func(string) (int, error)) ([]int, error) {
	out := make([]int, 0, len(text)/4)
	seen := map[string]int{}
	for i := 0; i < len(text); {
		end := wordEnd(text, i)
		word := strings.TrimPrefix(text[i:end], " ")
		n, ok := seen[word]
		if !ok {
			var err error
			if n, err = count(word); err != nil {
				return nil, err
			}
			seen[strings.Clone(word)] = n
		}
		out = append(out, end-i)
		for range n - 1 {
			out = append(out, 0)
		}
		i = end
	}
	return out, nil
}

// wordEnd returns where the word ends that begins at i: a space at most, and letters and digits, or one other character, or
// a part of a word that is too long.
func wordEnd(text string, i int) int {
	j := i
	if text[j] == ' ' {
		j++
	}
	begin := j
	for j < len(text) && j-i < maxWord {
		c := text[j]
		if c >= utf8.RuneSelf {
			r, w := utf8.DecodeRuneInString(text[j:])
			if r >= 0x2e80 { // scripts without spaces: each character alone
				if j == begin {
					return j + w
				}
				return j
			}
			j += w
			continue
		}
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			j++
			continue
		}
		break
	}
	if j == begin && j < len(text) && text[j] != ' ' {
		j++
	}
	return max(j, i+1)
}
