package chunking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/ledge-run/ledge/plugins/chunker"
	"github.com/ledge-run/ledge/runtime/hook"
	"github.com/ledge-run/ledge/runtime/wasm"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// native cuts with the chunker outside the sandbox.
func native(_ context.Context, doc *hook.Document) ([]hook.Chunk, error) {
	c, err := chunker.New(func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	l, err := c.Chunk((*sdk.Document)(doc))
	return l.Chunks, err
}

func cutAll(t testing.TB, c *Cutter, text string, doc hook.Document) (out []hook.Chunk) {
	t.Helper()
	err := c.Cut(t.Context(), iotest.HalfReader(strings.NewReader(text)), doc, func(k hook.Chunk, part string) error {
		if got := strings.ToValidUTF8(text[k.Start:k.End], "?"); part != got && utf8.ValidString(text) {
			t.Fatalf("[%d, %d) comes as %q, and is %q", k.Start, k.End, part, got)
		}
		out = append(out, k)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// check holds chunks against the document: in order, whole, within size and overlap.
func check(t testing.TB, text string, chunks []hook.Chunk, size, overlap int, count func(string) int) {
	t.Helper()
	end := 0
	for i, k := range chunks {
		part := text[k.Start:k.End]
		if k.Start > end || k.End <= end {
			t.Fatalf("chunk %d [%d, %d) after %d", i, k.Start, k.End, end)
		}
		if n := count(part); n > size && utf8.RuneCountInString(part) > 1 {
			t.Fatalf("chunk %d has %d, more than %d", i, n, size)
		}
		if n := count(text[k.Start:end]); n > overlap {
			t.Fatalf("chunk %d repeats %d, more than %d", i, n, overlap)
		}
		if !utf8.RuneStart(part[0]) && utf8.ValidString(text) {
			t.Fatalf("chunk %d begins within a character", i)
		}
		end = k.End
	}
	if end != len(text) {
		t.Fatalf("%d of %d bytes", end, len(text))
	}
}

func manual(sections int) string {
	var b strings.Builder
	for i := range sections {
		fmt.Fprintf(&b, "%s Part %d\n\n", strings.Repeat("#", 1+i%3), i)
		for j := range 1 + i%4 {
			fmt.Fprintf(&b, "The pump no. %d is greased every %d hours; größere Pumpen öfter. Its valve is not. ", i, j+7)
			b.WriteString(strings.Repeat("More is said of it. ", i%7))
			b.WriteString("\n\n")
		}
		if i%5 == 0 {
			b.WriteString("- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n")
		}
	}
	return b.String()
}

func TestCut_PieceByPieceAsTheWhole(t *testing.T) {
	text := manual(400)
	for _, s := range []string{chunker.Fixed, chunker.Recursive, chunker.Sentence, chunker.Markdown} {
		for _, overlap := range []int{0, 30} {
			doc := hook.Document{Strategy: s, Size: 150, Overlap: overlap}
			whole := cutAll(t, &Cutter{Chunk: native, Piece: 1 << 30}, text, doc)
			pieces := cutAll(t, &Cutter{Chunk: native, Piece: 1}, text, doc)
			if !reflect.DeepEqual(pieces, whole) {
				for i := range whole {
					if i >= len(pieces) || !reflect.DeepEqual(pieces[i], whole[i]) {
						t.Errorf("%s, overlap %d: chunk %d of %d is %+v, in pieces %+v", s, overlap, i, len(whole), whole[i], pieces[min(i, len(pieces)-1)])
						break
					}
				}
			}
		}
	}
}

// halves counts two tokens for each word, one for each other character; three letters in a row that begin a text are one more.
func halves(text string) int {
	n, word := 0, false
	for _, r := range text {
		switch letter := r >= 'a' && r <= 'z'; {
		case letter && !word:
			n += 2
			word = true
		case !letter:
			word = false
			if r != ' ' {
				n++
			}
		}
	}
	if len(text) > 2 && text[0] >= 'a' && text[0] <= 'z' {
		n++
	}
	return n
}

func TestCut_CountsTokensAsAChunkHasThemAlone(t *testing.T) {
	text := manual(60)
	for _, s := range chunker.Strategies() {
		c := &Cutter{Chunk: native, Count: func(t string) (int, error) { return halves(t), nil }, Piece: 2000}
		chunks := cutAll(t, c, text, hook.Document{Strategy: s, Size: 40, Overlap: 9})
		check(t, text, chunks, 40, 12, halves)
		if most := len(text) / 20; len(chunks) > most {
			t.Errorf("%s: %d chunks of %d bytes", s, len(chunks), len(text))
		}
	}
	c := &Cutter{Chunk: native, Count: func(t string) (int, error) { return 10 * len(t), nil }}
	if err := c.Cut(t.Context(), strings.NewReader("ab cd"), hook.Document{Size: 2}, func(hook.Chunk, string) error { return nil }); err != nil && !errors.Is(err, ErrTokens) {
		t.Error(err)
	}
}

func TestCut_RefusesWhatLeavesBytesOut(t *testing.T) {
	for name, chunks := range map[string][]hook.Chunk{
		"none": nil, "the first": {{Start: 1, End: 4}}, "the last": {{Start: 0, End: 3}}, "between": {{Start: 0, End: 1}, {Start: 2, End: 4}},
	} {
		c := &Cutter{Chunk: func(context.Context, *hook.Document) ([]hook.Chunk, error) { return chunks, nil }}
		if err := c.Cut(t.Context(), strings.NewReader("abcd"), hook.Document{}, func(hook.Chunk, string) error { return nil }); err == nil {
			t.Errorf("%s missing, and no error", name)
		}
	}
}

// A gigabyte must not be held at once; here it is as many bytes as pieces can show.
func TestCut_HoldsNoMoreThanAPiece(t *testing.T) {
	most, total := 0, 0
	c := &Cutter{Piece: 1 << 14, Chunk: func(ctx context.Context, doc *hook.Document) ([]hook.Chunk, error) {
		most = max(most, len(doc.Text))
		return native(ctx, doc)
	}}
	in := io.LimitReader(endless{}, 20<<20)
	if err := c.Cut(t.Context(), in, hook.Document{Strategy: chunker.Recursive, Size: 100, Overlap: 10}, func(k hook.Chunk, _ string) error { total = k.End; return nil }); err != nil {
		t.Fatal(err)
	}
	if total != 20<<20 || most > 1<<15 {
		t.Errorf("%d bytes, at most %d at once", total, most)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = "a word, and more.\n"[i%18]
	}
	return len(b), nil
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("# a\n\nb c.\xff d\n日本"), uint8(2), uint8(5), uint8(2), true)
	f.Add([]byte(manual(8)), uint8(7), uint8(20), uint8(4), false)
	f.Fuzz(func(t *testing.T, in []byte, strategy, size, overlap uint8, tokens bool) {
		all := chunker.Strategies()
		doc := hook.Document{Strategy: all[int(strategy)%len(all)], Size: 1 + int(size), Overlap: int(overlap) % (1 + int(size))}
		text := bytes.Clone(in)
		plain(text)
		if len(text) != len(in) {
			t.Fatal("offsets moved")
		}
		c := &Cutter{Chunk: native, Piece: 1}
		count := utf8.RuneCountInString
		if tokens {
			count = func(s string) int { return len(strings.Fields(s)) }
			c.Count = func(s string) (int, error) { return count(s), nil }
		}
		var chunks []hook.Chunk
		err := c.Cut(t.Context(), bytes.NewReader(in), doc, func(k hook.Chunk, _ string) error { chunks = append(chunks, k); return nil })
		if errors.Is(err, ErrTokens) && tokens {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		check(t, string(text), chunks, doc.Size, max(doc.Overlap, 2*doc.Overlap*btoi(tokens)+2*btoi(tokens)), count)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// module offers the hook chunk with the exports it has; another module may take its place between two calls.
type module struct{ says, has []string }

func (m *module) Exports() []string { return m.says }

func (m *module) Call(ctx context.Context, c wasm.Call) (wasm.Result, error) {
	if !slices.Contains(m.has, c.Export) {
		return wasm.Result{}, &wasm.Error{Code: wasm.CodeNoExport, Export: c.Export}
	}
	var doc hook.Document
	parse := doc.ParseJSON
	if c.Export == hook.ExportChunkText {
		parse = doc.ParseWithText
	}
	if err := parse(c.Input); err != nil {
		return wasm.Result{}, err
	}
	chunks, err := native(ctx, &doc)
	return wasm.Result{Output: (&hook.ChunkList{Chunks: chunks}).AppendJSON(nil)}, err
}

func TestWith_CutsByTheExportThatIsThere(t *testing.T) {
	both := []string{hook.ExportChunk, hook.ExportChunkText}
	doc := &hook.Document{Text: manual(3), Strategy: "recursive", Size: 100}
	want, err := native(t.Context(), doc)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*module{"both": {both, both}, "json": {both[:1], both[:1]}, "text": {both, both[1:]}, "replaced": {both, both[:1]}} {
		if got, err := With(m)(t.Context(), doc); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d chunks, %v, want %d", name, len(got), err, len(want))
		}
	}
	if _, err := With(&module{})(t.Context(), doc); err == nil {
		t.Error("no export, no error")
	}
}
