package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/ledongthuc/pdf"
)

// Bounds of the process that reads a PDF.
const (
	pdfTime   = 60 * time.Second
	pdfMemory = 1 << 30 // bytes of address space beyond what Go itself reserves; a soft limit where there is none
	pdfPages  = 20000
)

// childVariable is set in the environment of a process that is to read a PDF.
const childVariable = "LEDGE_EXTRACT_CHILD"

var childReady atomic.Bool

// Child must be called first in main by a program that reads PDF files: in the process of its own that reads one, it
// does that and ends the process. Elsewhere it returns at once.
func Child() {
	childReady.Store(true)
	if os.Getenv(childVariable) != "pdf" {
		return
	}
	debug.SetMemoryLimit(pdfMemory)
	limitMemory()
	data, err := io.ReadAll(io.LimitReader(os.Stdin, MaxFile+1))
	if err == nil {
		err = readPDF(data, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fromPDF reads a PDF in a process of its own, which is ended when it takes too long.
func fromPDF(ctx context.Context, data []byte) (string, error) {
	if !childReady.Load() {
		return "", errors.New("extract: PDF files need extract.Child to be called first in main")
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, pdfTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{childVariable + "=pdf", "GOMAXPROCS=1", "GOTRACEBACK=none"}
	cmd.Stdin = bytes.NewReader(data)
	out, complaint := &capped{limit: MaxText}, &capped{limit: 4096}
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return "", fmt.Errorf("%w: PDF: not read within %v", ErrDamaged, pdfTime)
	case ctx.Err() != nil:
		return "", ctx.Err()
	case out.full:
		return "", fmt.Errorf("%w: it gives more than %d bytes of text", ErrTooLarge, MaxText)
	case err != nil:
		why, _, _ := strings.Cut(strings.TrimSpace(complaint.b.String()), "\n")
		if why == "" {
			why = err.Error()
		}
		return "", fmt.Errorf("%w: PDF: %s", ErrDamaged, strings.ToValidUTF8(why, "\ufffd"))
	}
	text := strings.ToValidUTF8(out.b.String(), "\ufffd")
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("%w: PDF: it has no text; a scan needs text recognition first", ErrDamaged)
	}
	return text, nil
}

// capped takes up to limit bytes; more is an error, which ends the process that writes.
type capped struct {
	b     bytes.Buffer
	limit int
	full  bool
}

func (c *capped) Write(p []byte) (int, error) {
	if c.b.Len()+len(p) > c.limit {
		c.full = true
		return 0, ErrTooLarge
	}
	return c.b.Write(p)
}

// readPDF writes the text page by page, lines as they stand on the page.
func readPDF(data []byte, w io.Writer) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
	}()
	r, err := pdf.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	pages := r.NumPage()
	if pages > pdfPages {
		return fmt.Errorf("%d pages, at most %d", pages, pdfPages)
	}
	for n := 1; n <= pages; n++ {
		p := r.Page(n)
		if p.V.IsNull() {
			continue
		}
		if err := writePage(w, p); err != nil {
			return err
		}
	}
	return nil
}

// writePage writes a page's lines, in the order of the page's own program. Glyphs are set apart by a space where the
// page sets them apart.
func writePage(w io.Writer, p pdf.Page) error {
	var line strings.Builder
	flush := func() error {
		s := strings.TrimSpace(line.String())
		line.Reset()
		if s == "" {
			return nil
		}
		_, err := io.WriteString(w, s+"\n")
		return err
	}
	var before pdf.Text
	for i, t := range p.Content().Text {
		size := max(t.FontSize, 1)
		if i > 0 {
			down := before.Y - t.Y
			switch gap := t.X - (before.X + before.W); {
			case max(down, -down) > size*0.5:
				if err := flush(); err != nil {
					return err
				}
				if max(down, -down) > size*2 { // a paragraph, a column
					if _, err := io.WriteString(w, "\n"); err != nil {
						return err
					}
				}
			case gap > size*0.15 && !strings.HasSuffix(line.String(), " ") && t.S != " ":
				line.WriteByte(' ')
			}
		}
		for _, c := range t.S {
			if c != unicode.ReplacementChar && unicode.IsPrint(c) {
				line.WriteRune(c)
			}
		}
		before = t
	}
	if err := flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
