// Package extract takes the text out of files: plain text, Markdown, HTML, PDF, DOCX, CSV and JSON lines. What it gives
// is Markdown where the source has headings, lists or tables.
//
// Files come from outside: whatever their bytes, extraction ends within bounds of memory and time, with text or an
// error. PDF, whose library gives no such promise, is read in a process of its own. Start reading at [Text].
package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds, in bytes.
const (
	MaxFile = 64 << 20 // of a source
	MaxText = 64 << 20 // of what it gives
)

// Media types that are understood.
const (
	Plain    = "text/plain"
	Markdown = "text/markdown"
	HTML     = "text/html"
	PDF      = "application/pdf"
	DOCX     = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	CSV      = "text/csv"
	JSONL    = "application/jsonl"
)

// Errors that callers tell apart.
var (
	ErrType     = errors.New("the type of the file is not supported")
	ErrTooLarge = errors.New("the file is too large")
	ErrDamaged  = errors.New("the file is damaged")
)

// Types lists the media types that are understood.
func Types() []string { return []string{Plain, Markdown, HTML, PDF, DOCX, CSV, JSONL} }

var extensions = map[string]string{
	".txt": Plain, ".text": Plain, ".log": Plain, ".rst": Plain, ".tex": Plain, ".srt": Plain, ".md": Markdown, ".markdown": Markdown,
	".html": HTML, ".htm": HTML, ".xhtml": HTML, ".pdf": PDF, ".docx": DOCX, ".csv": CSV, ".tsv": CSV, ".jsonl": JSONL, ".ndjson": JSONL,
	".go": Plain, ".py": Plain, ".js": Plain, ".ts": Plain, ".jsx": Plain, ".tsx": Plain, ".java": Plain, ".c": Plain, ".h": Plain,
	".cc": Plain, ".cpp": Plain, ".rs": Plain, ".sh": Plain, ".sql": Plain, ".yaml": Plain, ".yml": Plain, ".toml": Plain, ".ini": Plain,
	".json": Plain, ".xml": Plain,
}

// TypeOf returns the media type of a file by its name, else by how it begins; empty for what is not understood.
func TypeOf(name string, data []byte) string {
	if t, ok := extensions[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	switch {
	case bytes.HasPrefix(data, []byte("%PDF-")):
		return PDF
	case bytes.HasPrefix(data, []byte("PK\x03\x04")) && bytes.Contains(data[:min(len(data), 4096)], []byte("word/")):
		return DOCX
	case bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(data[:min(len(data), 512)])), []byte("<!doctype html")),
		bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(data[:min(len(data), 512)])), []byte("<html")):
		return HTML
	case bytes.IndexByte(data[:min(len(data), 8192)], 0) < 0:
		return Plain
	}
	return ""
}

// Text returns the text of a file, valid UTF-8 with line ends of \n. mediaType may be empty: then [TypeOf] decides.
func Text(ctx context.Context, name, mediaType string, data []byte) (text, as string, err error) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if mediaType == "" || mediaType == "application/octet-stream" {
		mediaType = TypeOf(name, data)
	}
	if len(data) > MaxFile {
		return "", mediaType, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), MaxFile)
	}
	switch mediaType {
	case Plain, Markdown:
		text, err = decode(data)
	case HTML, "application/xhtml+xml":
		mediaType = HTML
		if text, err = decode(data); err == nil {
			text, err = fromHTML(text)
		}
	case PDF:
		text, err = fromPDF(ctx, data)
	case DOCX:
		text, err = fromDOCX(data)
	case CSV:
		if text, err = decode(data); err == nil {
			text, err = fromCSV(text, strings.HasSuffix(strings.ToLower(name), ".tsv"))
		}
	case JSONL, "application/x-ndjson":
		mediaType = JSONL
		if text, err = decode(data); err == nil {
			text, err = fromJSONL(text)
		}
	default:
		if strings.HasPrefix(mediaType, "text/") {
			mediaType = Plain
			text, err = decode(data)
			break
		}
		return "", mediaType, fmt.Errorf("%w: %s %s; supported are %s", ErrType, name, mediaType, strings.Join(Types(), ", "))
	}
	if err != nil {
		return "", mediaType, err
	}
	if len(text) > MaxText {
		return "", mediaType, fmt.Errorf("%w: it gives %d bytes of text, at most %d", ErrTooLarge, len(text), MaxText)
	}
	return text, mediaType, nil
}

// decode reads UTF-8, UTF-16 with a byte order mark, or else Windows-1252, and makes line ends \n.
func decode(data []byte) (string, error) {
	var text string
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		text = decodeUTF16(data[2:], 0)
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		text = decodeUTF16(data[2:], 1)
	default:
		data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		if bytes.IndexByte(data, 0) >= 0 {
			return "", fmt.Errorf("%w: it holds zero bytes, so it is no text", ErrDamaged)
		}
		if utf8.Valid(data) {
			text = string(data)
		} else {
			text = decode1252(data)
		}
	}
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return text, nil
}

func decodeUTF16(b []byte, high int) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+1-high])<<8 | uint16(b[2*i+high])
	}
	return strings.ReplaceAll(string(utf16.Decode(units)), "\x00", "")
}

// windows1252 are its characters from 0x80 to 0x9f; 0 where there is none.
var windows1252 = [32]rune{0x20ac, 0, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0, 0x17d, 0,
	0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0, 0x17e, 0x178}

func decode1252(data []byte) string {
	var b strings.Builder
	b.Grow(len(data) + len(data)/8)
	for _, c := range data {
		r := rune(c)
		if c >= 0x80 && c < 0xa0 {
			if r = windows1252[c-0x80]; r == 0 {
				r = utf8.RuneError
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}
