package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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
	cr   bool // the last line ended in CR: an LF right after it belongs to it
}

func newEventReader(r io.Reader) *eventReader { return &eventReader{r: bufio.NewReaderSize(r, 16<<10)} }

// next returns the data of the next event that has any; it is valid until the following call. At the end of the stream
// it returns io.EOF, and what stands of an unfinished event is dropped.
func (e *eventReader) next() ([]byte, error) {
	e.data = e.data[:0]
	has := false
	var line []byte
	for {
		var err error
		if line, err = e.line(line[:0]); err != nil {
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

// line appends the next line without its ending to dst.
func (e *eventReader) line(dst []byte) ([]byte, error) {
	for {
		c, err := e.r.ReadByte()
		if err != nil {
			return dst, err
		}
		e.read++
		after := e.cr
		e.cr = c == '\r'
		switch {
		case c == '\n' && after:
			continue
		case c == '\n' || c == '\r':
			return dst, nil
		}
		if dst = append(dst, c); len(dst) > maxEvent {
			return dst, errEventSize
		}
	}
}
