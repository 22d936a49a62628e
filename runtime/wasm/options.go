package wasm

import (
	"context"
	"log/slog"
	"runtime"
	"time"
)

// Options configure a [Host]. The zero value works: code is compiled at load and kept in memory.
type Options struct {
	// CacheDir holds compiled native code between runs. Empty: no cache, and plugins stay resident once loaded,
	// because making them resident again would mean compiling them again. The directory is created with mode 0700.
	CacheDir string
	// CacheKey authenticates the entries of CacheDir (HMAC-SHA256). It must be secret from whoever may write there;
	// 32 random bytes, kept outside the directory. Required with CacheDir.
	CacheKey []byte
	// Logger takes what an operator should know: poisoned cache entries, instances that could not be restored.
	// nil: slog.Default().
	Logger *slog.Logger
}

// Limits bound one call (Instances: one plugin). A zero field takes its default.
type Limits struct {
	Timeout     time.Duration // wall-clock time in the guest, host functions included; default [DefaultTimeout]
	Fuel        uint64        // units, about one per instruction; default [DefaultFuel]
	MemoryBytes uint64        // linear memory and ABI blocks together; default [DefaultMemoryBytes]
	OutputBytes int           // default [DefaultOutputBytes]
	LogBytes    int           // log lines, standard output and standard error together; default [DefaultLogBytes]
	HostCalls   int           // calls into the host; default [DefaultHostCalls]
	Instances   int           // live instances of the plugin; default min(4, 2*GOMAXPROCS)
}

// Defaults of [Limits].
const (
	DefaultTimeout     = 100 * time.Millisecond
	DefaultFuel        = 20_000_000_000 // far above what fits into the default timeout: time decides, unless asked otherwise
	DefaultMemoryBytes = 32 << 20
	DefaultOutputBytes = 4 << 20
	DefaultLogBytes    = 64 << 10
	DefaultHostCalls   = 4_000_000 // the Extism ABI moves 8 bytes a call: 4 million are 32 MB
)

// initTimeout bounds what a module may do before its first call (start function, _initialize). It is apart from
// Limits.Timeout because it is paid once per instance, outside any request's budget.
const initTimeout = 5 * time.Second

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if l.Timeout <= 0 {
		l.Timeout = DefaultTimeout
	}
	if l.Fuel == 0 {
		l.Fuel = DefaultFuel
	}
	l.Fuel = min(l.Fuel, 1<<62)
	if l.MemoryBytes == 0 {
		l.MemoryBytes = DefaultMemoryBytes
	}
	l.MemoryBytes = min(l.MemoryBytes, 4<<30)
	def(&l.OutputBytes, DefaultOutputBytes)
	def(&l.LogBytes, DefaultLogBytes)
	def(&l.HostCalls, DefaultHostCalls)
	def(&l.Instances, min(4, 2*runtime.GOMAXPROCS(0)))
	return l
}

// PluginOptions say what a plugin gets. Everything that is absent is denied.
type PluginOptions struct {
	Name      string            // for errors, logs and host functions; should be unique on the host
	Limits    Limits            // zero fields take their defaults
	Config    map[string]string // what the guest reads by config_get; copied
	Functions []HostFunction    // importable from "extism:host/user"
	Preload   bool              // make code resident and start one instance in Load, instead of at the first call
}

// ValueType is a WebAssembly number type.
type ValueType byte

// The types that a host function may take and return.
const (
	I32 ValueType = 0x7f
	I64 ValueType = 0x7e
)

// HostFunction is a function that a guest may import from "extism:host/user".
//
// Func gets the parameters in stack and leaves the results there, both from index 0; stack has room for the longer of
// the two. An error stops the guest: an *[Error] keeps its code, any other becomes a trap. ctx ends at the call's
// deadline; a function that blocks must watch it. Func runs on the caller's goroutine, and concurrently for different
// instances; call is valid until it returns.
type HostFunction struct {
	Name            string
	Params, Results []ValueType
	Func            func(ctx context.Context, call *HostCall, stack []uint64) error
}

// Call names an export and its input.
type Call struct {
	Export string
	Input  []byte // read during the call only
	Tenant string // on whose behalf; handed to host functions, never to the guest
	// Timeout shortens the plugin's limit for this call; 0 or anything longer leaves Limits.Timeout in force. The
	// context's deadline applies as well. Time starts when the call has its instance.
	Timeout time.Duration
}

// Result is what a call left behind. On an error it is filled as far as known.
type Result struct {
	Output     []byte        // owned by the caller
	Duration   time.Duration // in the guest
	Fuel       uint64        // units used
	MemoryPeak uint64        // bytes of linear memory and ABI blocks
	Logs       []LogLine
}

// LogLine is one line that the guest logged. Text is cut into lines and may hold any bytes.
type LogLine struct {
	Level  slog.Level
	Source string // "log", "stdout" or "stderr"
	Text   string
}

// LevelTrace is the level of the Extism function log_trace.
const LevelTrace = slog.LevelDebug - 4

// Import is one thing that a module imports.
type Import struct {
	Module string
	Name   string
	Kind   string // "func", "table", "memory", "global"
}

// Stats count what a plugin did since it was loaded, and what it holds now.
type Stats struct {
	Live, Idle, Waiting int             // instances; calls waiting for one
	Calls               uint64          // finished calls, failed ones included
	Errors              map[Code]uint64 // failed calls
	Restores, Discards  uint64          // instances restored to their first state; instances thrown away
	MemoryBytes         uint64          // linear memory of the live instances, as the guests see it
	Resident            bool            // native code is in memory
}
