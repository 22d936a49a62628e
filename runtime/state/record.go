package state

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Kinds of records.
const (
	kindCache    = 'c'
	kindDocument = 'd'
	kindKV       = 'k'
	kindTrace    = 't'
	kindHead     = 'h'
	kindMeta     = 'm'
	kindIndex    = 'i'
	kindLimit    = 'l'
	kindAnswer   = 'a'
	kindUsage    = 'u'
	kindReview   = 'r'
	kindHandover = 'q'
)

// key is the parsed form of a record's key.
type key struct {
	tenant string
	kind   byte
	plugin string // kindKV
	rest   []byte
}

// owner is what a quota is counted for.
func (k key) owner() string { return string(kvPrefix(k.plugin, k.tenant)) }

func appendName(b []byte, name string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

func makeKey(tenant string, kind byte, rest []byte) []byte {
	b := make([]byte, 0, len(tenant)+len(rest)+4)
	return append(append(appendName(b, tenant), kind), rest...)
}

func seqKey(tenant string, seq uint64) []byte {
	return makeKey(tenant, kindTrace, binary.BigEndian.AppendUint64(nil, seq))
}

func kvPrefix(plugin, tenant string) []byte {
	return appendName(makeKey(tenant, kindKV, nil), plugin)
}

func cutName(b []byte) (string, []byte, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, false
	}
	return string(b[size : size+int(n)]), b[size+int(n):], true
}

func parseKey(b []byte) (k key, ok bool) {
	if k.tenant, b, ok = cutName(b); !ok || len(b) == 0 {
		return k, false
	}
	k.kind, k.rest = b[0], b[1:]
	host := k.kind == kindMeta || k.kind == kindIndex || k.kind == kindLimit
	switch k.kind {
	case kindCache, kindAnswer:
		ok = len(k.rest) == 32
	case kindKV:
		k.plugin, k.rest, ok = cutName(k.rest)
	case kindTrace:
		ok = len(k.rest) == 8
	case kindHead:
		ok = len(k.rest) == 0
	case kindUsage:
		_, ok = parseUsage(k)
	case kindMeta, kindIndex, kindDocument, kindLimit, kindHandover, kindReview:
	default:
		ok = false
	}
	return k, ok && host == (k.tenant == "")
}

// A value is a version, a checksum of key and payload, and the payload.
const (
	recordVersion = 1
	recordHeader  = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged means that a record's bytes are not those that were written.
var ErrDamaged = errors.New("the record is damaged")

func seal(key []byte, parts ...[]byte) []byte {
	n := recordHeader
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, recordHeader, n)
	sum := crc32.Update(0, castagnoli, key)
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
		b = append(b, p...)
	}
	b[0] = recordVersion
	binary.LittleEndian.PutUint32(b[1:], sum)
	return b
}

// unseal returns the payload of a value, or ErrDamaged.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < recordHeader || value[0] != recordVersion {
		return nil, ErrDamaged
	}
	payload := value[recordHeader:]
	if crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, payload) != binary.LittleEndian.Uint32(value[1:]) {
		return nil, ErrDamaged
	}
	return payload, nil
}

// fetch reads and verifies one record. A record that is absent has no error.
func fetch(txn *badger.Txn, key []byte) (payload []byte, ok bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, false, err
	}
	payload, err = unseal(key, value)
	return payload, err == nil, err
}

func appendTime(b []byte, t time.Time) []byte {
	var n int64
	if !t.IsZero() {
		n = t.UnixNano()
	}
	return binary.LittleEndian.AppendUint64(b, uint64(n))
}

func cutTime(b []byte) (time.Time, []byte, bool) {
	if len(b) < 8 {
		return time.Time{}, nil, false
	}
	n := int64(binary.LittleEndian.Uint64(b))
	if n == 0 {
		return time.Time{}, b[8:], true
	}
	return time.Unix(0, n), b[8:], true
}
