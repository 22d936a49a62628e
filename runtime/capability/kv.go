// Package capability holds what the host lends to a plugin beyond the guest ABI, as host functions for
// "extism:host/user". A plugin that was not given a capability's functions cannot load a module that imports them.
//
// Names follow ledge_<capability>_<verb>, so that the sandbox can say what to grant. Configuration, logs, time and
// random numbers need no grant and come with the ABI (config_get, log_*, WASI clocks and random_get).
//
// The package knows the sandbox and nothing of who calls plugins, nor where state is kept. Start at [KV].
package capability

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm"
)

// Store keeps the values of plugins, apart by plugin and tenant. Implementations are safe for concurrent use, bound
// what they hold, and return ErrQuota or ErrTooLarge when they refuse.
type Store interface {
	Get(ctx context.Context, plugin, tenant, key string) ([]byte, bool, error)
	// Set stores a value; ttl 0 is for good.
	Set(ctx context.Context, plugin, tenant, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, plugin, tenant, key string) error
	// CompareAndSet stores a value if old is what is stored now, which it says. Nothing stored and an empty value are the
	// same.
	CompareAndSet(ctx context.Context, plugin, tenant, key string, old, value []byte, ttl time.Duration) (bool, error)
}

// Errors of a Store that a plugin is told apart from failure.
var (
	ErrQuota    = errors.New("kv: quota is used up")
	ErrTooLarge = errors.New("kv: key or value is too large")
)

// Bounds on what passes the store's door; a store may be stricter.
const (
	MaxKeyBytes   = 512
	MaxValueBytes = 1 << 20
)

// What ledge_kv_set, ledge_kv_cas and ledge_kv_delete return.
const (
	kvOK       = 0
	kvQuota    = 1
	kvTooLarge = 2
	kvFailed   = 3
	kvChanged  = 4
)

// KV is the capability kv: a key-value store per plugin and tenant. Arguments and results are offsets of memory blocks.
//
//	ledge_kv_get(key i64) -> i64            a new block with the value; 0 when there is none or it is empty
//	ledge_kv_set(key, value, ttl_seconds i64) -> i64   0 stored, 1 quota, 2 too large, 3 failed; value 0 is empty, ttl 0 for good
//	ledge_kv_cas(key, old, value, ttl_seconds i64) -> i64   the same if old, 0 for none or empty, is what is stored; else 4
//	ledge_kv_delete(key i64) -> i64         0 gone, whether or not it was there; 3 failed
//
// A store that fails to read stops the guest, which could not tell failure from absence.
func KV(store Store) []wasm.HostFunction {
	k := kv{store}
	one := []wasm.ValueType{wasm.I64}
	return []wasm.HostFunction{
		{Name: "ledge_kv_get", Params: one, Results: one, Func: k.get},
		{Name: "ledge_kv_set", Params: []wasm.ValueType{wasm.I64, wasm.I64, wasm.I64}, Results: one, Func: k.set},
		{Name: "ledge_kv_cas", Params: []wasm.ValueType{wasm.I64, wasm.I64, wasm.I64, wasm.I64}, Results: one, Func: k.cas},
		{Name: "ledge_kv_delete", Params: one, Results: one, Func: k.delete},
	}
}

// Denied is what a plugin that can do without a capability gets in place of its functions: each fails the call that
// uses it.
func Denied(capability string, functions []wasm.HostFunction) []wasm.HostFunction {
	out := slices.Clone(functions)
	for i, f := range out {
		out[i].Quick = true
		out[i].Func = func(context.Context, *wasm.HostCall, []uint64) error {
			return &wasm.Error{Code: wasm.CodeCapabilityDenied, Message: f.Name + ": the plugin asks for " + capability + " and was not granted it"}
		}
	}
	return out
}

type kv struct{ store Store }

func (k kv) get(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
	key, err := call.Read(stack[0])
	if err != nil {
		return err
	}
	stack[0] = 0
	if len(key) > MaxKeyBytes {
		return nil // nothing can be stored there
	}
	value, ok, err := k.store.Get(ctx, call.Plugin(), call.Tenant(), string(key))
	if err != nil || !ok {
		return err
	}
	if err := call.SpendKV(len(key) + len(value)); err != nil {
		return err
	}
	stack[0], err = call.Write(value)
	return err
}

func (k kv) set(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
	return k.put(call, stack, stack[1], stack[2], 0, func(key string, value []byte, ttl time.Duration) (uint64, error) {
		return kvOK, k.store.Set(ctx, call.Plugin(), call.Tenant(), key, value, ttl)
	})
}

func (k kv) cas(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
	var old []byte
	if stack[1] != 0 {
		view, err := call.Read(stack[1])
		if err != nil {
			return err
		}
		old = append(old, view...)
	}
	return k.put(call, stack, stack[2], stack[3], len(old), func(key string, value []byte, ttl time.Duration) (uint64, error) {
		done, err := k.store.CompareAndSet(ctx, call.Plugin(), call.Tenant(), key, old, value, ttl)
		if err == nil && !done {
			return kvChanged, nil
		}
		return kvOK, err
	})
}

// put reads the key that the first parameter names and a value, and has them stored. more is what moves beside them.
func (k kv) put(call *wasm.HostCall, stack []uint64, block, seconds uint64, more int, store func(key string, value []byte, ttl time.Duration) (uint64, error)) error {
	key, err := call.Read(stack[0])
	if err != nil {
		return err
	}
	var value []byte
	if block != 0 {
		view, err := call.Read(block)
		if err != nil {
			return err
		}
		value = append(value, view...) // the store may keep it
	}
	if err := call.SpendKV(len(key) + len(value) + more); err != nil {
		return err
	}
	if len(key) > MaxKeyBytes || len(value) > MaxValueBytes {
		stack[0] = kvTooLarge
		return nil
	}
	ttl := time.Duration(min(seconds, uint64(math.MaxInt64/time.Second))) * time.Second
	if stack[0], err = store(string(key), value, ttl); err != nil {
		stack[0] = status(err)
	}
	return nil
}

func (k kv) delete(ctx context.Context, call *wasm.HostCall, stack []uint64) error {
	key, err := call.Read(stack[0])
	if err != nil {
		return err
	}
	stack[0] = kvOK
	if len(key) <= MaxKeyBytes {
		stack[0] = status(k.store.Delete(ctx, call.Plugin(), call.Tenant(), string(key)))
	}
	return nil
}

func status(err error) uint64 {
	switch {
	case err == nil:
		return kvOK
	case errors.Is(err, ErrQuota):
		return kvQuota
	case errors.Is(err, ErrTooLarge):
		return kvTooLarge
	}
	return kvFailed
}
