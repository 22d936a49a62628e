package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 4 << 20

var errEventSize = errors.New("an event of the stream is too large")

// eventReader reads the data of server-sent events, as the WHATWG HTML standard defines their lines: fields other than
// data are passed over, lines end in LF, CRLF or CR, data lines of one event are joined by LF.
type eventReader struct {
	r    *bufio.Reader
	read int64 // bytes taken so far
	data []byte
	text []byte // of the line
	cr   bool   // the last line ended in CR: an LF right after it belongs to it
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

func newEventReader(r io.Reader) *eventReader {
	e := &eventReader{r: readers.Get().(*bufio.Reader)}
	e.r.Reset(r)
	return e
}

// close gives the buffer back. What next returned is valid no longer.
func (e *eventReader) close() {
	e.r.Reset(nil)
	readers.Put(e.r)
	e.r = nil
}

// next returns the data of the next event that has any; it is valid until the following call. At the end of the stream
// it returns io.EOF, and what stands of an unfinished event is dropped.
func (e *eventReader) next() ([]byte, error) {
	e.data = e.data[:0]
	has := false
	for {
		line, err := e.line()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			if has {
				return e.data, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			continue
		}
		if has {
			e.data = append(e.data, '\n')
		}
		has = true
		e.data = append(e.data, bytes.TrimPrefix(value, []byte(" "))...)
		if len(e.data) > maxEvent {
			return nil, errEventSize
		}
	}
}

// line returns the next line without its ending; it is valid until the following call.
func (e *eventReader) line() ([]byte, error) {
	e.text = e.text[:0]
	for {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		have, _ := e.r.Peek(e.r.Buffered())
		if e.cr && have[0] == '\n' {
			e.take(1)
			continue
		}
		end := bytes.IndexAny(have, "\r\n")
		if end < 0 {
			end = len(have)
		}
		e.text = append(e.text, have[:end]...)
		if len(e.text) > maxEvent {
			return nil, errEventSize
		}
		if end < len(have) {
			e.take(end)
			e.cr = have[end] == '\r'
			e.r.Discard(1)
			e.read++
			return e.text, nil
		}
		e.take(end)
	}
}

// take passes n buffered bytes, none of them a CR.
func (e *eventReader) take(n int) {
	_, _ = e.r.Discard(n) // they are there
	e.read += int64(n)
	e.cr = e.cr && n == 0
}
