//go:build wasip1

package sdk

import (
	"errors"

	pdk "github.com/extism/go-pdk"
)

// Config returns a value of the plugin's configuration: the site's, else the default of plugin.yaml. A key that is
// absent and one that is empty look the same.
func Config(key string) (string, bool) { return pdk.GetConfig(key) }

// Level says how much a log line matters.
type Level int

// Levels of [Log].
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log writes a line to the host's log. Do not log the text of requests.
func Log(level Level, msg string) {
	switch level {
	case Debug:
		pdk.Log(pdk.LogDebug, msg)
	case Warn:
		pdk.Log(pdk.LogWarn, msg)
	case Error:
		pdk.Log(pdk.LogError, msg)
	default:
		pdk.Log(pdk.LogInfo, msg)
	}
}

// Errors of the key-value store. A plugin that uses the store asks for it: capabilities: [kv] in plugin.yaml.
var (
	ErrQuota    = errors.New("kv: the plugin's quota is used up")
	ErrTooLarge = errors.New("kv: key or value is too large")
	ErrKV       = errors.New("kv: the store failed")
)

//go:wasmimport extism:host/user ledge_kv_get
func kvGet(key uint64) uint64

//go:wasmimport extism:host/user ledge_kv_set
func kvSet(key, value, ttlSeconds uint64) uint64

//go:wasmimport extism:host/user ledge_kv_delete
func kvDelete(key uint64) uint64

// KVGet reads a value that this plugin stored for this tenant, and says whether there is one. An empty value cannot
// be told from none.
func KVGet(key string) ([]byte, bool) {
	k := newBlock([]byte(key))
	defer k.free()
	v := block(kvGet(uint64(k)))
	if v == 0 {
		return nil, false
	}
	defer v.free()
	return v.read(), true
}

// KVSet stores a value for ttlSeconds, 0 for good. It fails with [ErrQuota], [ErrTooLarge] or [ErrKV].
func KVSet(key string, value []byte, ttlSeconds int) error {
	k, v := newBlock([]byte(key)), newBlock(value)
	defer k.free()
	defer v.free()
	switch kvSet(uint64(k), uint64(v), uint64(max(ttlSeconds, 0))) {
	case 0:
		return nil
	case 1:
		return ErrQuota
	case 2:
		return ErrTooLarge
	}
	return ErrKV
}

// KVDelete removes a value. To remove what is not there is no error.
func KVDelete(key string) error {
	k := newBlock([]byte(key))
	defer k.free()
	if kvDelete(uint64(k)) != 0 {
		return ErrKV
	}
	return nil
}
