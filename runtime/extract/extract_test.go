package extract

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

func text(t *testing.T, name string, data []byte) string {
	t.Helper()
	s, _, err := Text(t.Context(), name, "", data)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// word packs a document.xml as a Word file.
func word(t testing.TB, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("word/document.xml")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(w, `<?xml version="1.0"?><w:document xmlns:w="x"><w:body>%s</w:body></w:document>`, body)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func paragraph(style, text string) string {
	return `<w:p><w:pPr><w:pStyle w:val="` + style + `"/></w:pPr><w:r><w:t>` + text + `</w:t></w:r></w:p>`
}

// onePage makes a PDF with one page of that content.
func onePage(content string) []byte {
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

func TestText_ReadsEveryType(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"a.txt":      {[]byte("\xef\xbb\xbfone\r\ntwo\rthree"), "one\ntwo\nthree"},
		"latin.txt":  {[]byte("Stra\xdfe \x80 5"), "Straße € 5"},
		"utf16.txt":  {[]byte("\xff\xfeH\x00\xe9\x00"), "Hé"},
		"utf16b.txt": {[]byte("\xfe\xff\x00H\x00\xe9"), "Hé"},
		"a.html": {[]byte(`<html><head><title>Manual</title><style>p{}</style></head><body><h2>Battery</h2><p>Replace &amp; <b>recycle</b>
			it.</p><script>no()</script><ul><li>one<li>two</ul><table><tr><th>a<th>b<tr><td>1</td><td>2</td></tr></table><pre>x
  y</pre></body></html>`), "# Manual\n\n## Battery\n\nReplace & recycle it.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx\n  y\n```\n"},
		"a.docx": {word(t, paragraph("Heading1", "Warranty")+paragraph("Normal", "It ends &amp; stops.")+paragraph("berschrift2", "Teil")+
			"<w:tbl><w:tr><w:tc>"+paragraph("", "a")+"</w:tc><w:tc>"+paragraph("", "b")+"</w:tc></w:tr></w:tbl>"),
			"# Warranty\n\nIt ends & stops.\n\n## Teil\n\n| a | b |\n|---|---|\n\n"},
		"a.csv":    {[]byte("name;price\n\"Pump; large\";400\nValve;\n"), "name: Pump; large\nprice: 400\n\nname: Valve\n\n"},
		"bare.csv": {[]byte("1,2\n3,4\n"), "1\n2\n\n3\n4\n\n"},
		"a.jsonl": {[]byte(`{"id":7,"text":"The text.","meta":{"tags":["a","b"]}}` + "\n\n" + `{"title":"T","n":null}` + "\n"),
			"id: 7\nThe text.\nmeta.tags: a\nmeta.tags: b\n\ntitle: T\n\n"},
		"a.pdf": {onePage("BT /F1 12 Tf 72 720 Td (The turbine is) Tj ( inspected.) Tj 0 -14 Td (Second line.) Tj 0 -40 Td (Far below.) Tj ET"),
			"The turbine is inspected.\nSecond line.\n\nFar below.\n\n"},
	} {
		if got := text(t, name, c.data); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestText_ReportsWhatItCannotRead(t *testing.T) {
	deep := strings.Repeat("<w:a>", 10000)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"a.exe": {[]byte("MZ\x00\x01"), ErrType}, "zero.txt": {[]byte("a\x00b"), ErrDamaged}, "a.docx": {[]byte("PK\x03\x04 no"), ErrDamaged},
		"deep.docx": {word(t, deep), ErrDamaged}, "cut.docx": {word(t, "<w:p>"), ErrDamaged}, "a.pdf": {[]byte("%PDF-1.4 no"), ErrDamaged},
		"scan.pdf": {onePage("q Q"), ErrDamaged}, "a.jsonl": {[]byte("{\"a\":1}\n{oops\n"), ErrDamaged}, "open.jsonl": {[]byte(`{"a":[1`), ErrDamaged},
		"deep.jsonl": {[]byte(strings.Repeat("[", 5000)), ErrDamaged},
		"bomb.docx":  {word(t, "<w:p><w:r><w:t>"+strings.Repeat("a", MaxText+1)+"</w:t></w:r></w:p>"), ErrTooLarge},
	} {
		if _, _, err := Text(t.Context(), name, "", c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestText_PDFEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := Text(ctx, "a.pdf", "", onePage("BT (x) Tj ET")); err == nil {
		t.Error("it was read in a millisecond")
	}
}

func FuzzText(f *testing.F) {
	f.Add(uint8(0), []byte("<html><table><tr><td>a<li>"))
	f.Add(uint8(1), word(f, paragraph("Heading1", "x")))
	f.Add(uint8(2), []byte("a;b\n\"1\n"))
	f.Add(uint8(3), []byte(`{"a":[{"b":null}],"text":"x"}`))
	f.Add(uint8(4), []byte("\xff\xfea\x00"))
	names := []string{"a.html", "a.docx", "a.csv", "a.jsonl", "a.txt", "a.tsv"}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		s, _, err := Text(t.Context(), names[int(kind)%len(names)], "", data)
		if err == nil && !utf8.ValidString(s) && utf8.Valid(data) {
			t.Fatalf("%q is not UTF-8", s)
		}
	})
}

// FuzzPDF: whatever the bytes, the process that reads them ends, and this one goes on.
func FuzzPDF(f *testing.F) {
	f.Add(onePage("BT /F1 12 Tf (x) Tj ET"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := Text(ctx, "a.pdf", PDF, data)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooLarge) && ctx.Err() == nil {
			t.Fatal(err)
		}
	})
}
