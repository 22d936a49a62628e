package wasm

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"github.com/ledge-run/ledge/runtime/wasm/abi/extism"
	"github.com/ledge-run/ledge/runtime/wasm/meter"
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
	// Timeout is wall-clock time in the guest, host functions included; default [DefaultTimeout]. Time for which a busy
	// machine did not run the guest is left out, up to nine times as much.
	Timeout     time.Duration
	Fuel        uint64 // units, about one per instruction; default [DefaultFuel]
	MemoryBytes uint64 // linear memory and ABI blocks together; default [DefaultMemoryBytes]
	StackBytes  int    // frames of nested calls, estimated; default and most [DefaultStackBytes]
	OutputBytes int    // default [DefaultOutputBytes]
	LogBytes    int    // log lines, standard output and standard error together; default [DefaultLogBytes]
	HostCalls   int    // calls into the host; default [DefaultHostCalls]
	KVBytes     int    // keys and values that pass between guest and store; default [DefaultKVBytes]
	VarBytes    int    // names and values of all Extism vars together; default [DefaultVarBytes], less than 0 for none
	HTTPBytes   int    // the body of one response to http_request; default what the host's HTTP allows, less than 0 for none
	Tokens      int    // of models that a call may use through host functions; default [DefaultTokens]
	Instances   int    // live instances of the plugin; default min(4, 2*GOMAXPROCS)
	// Wait is how long a call stands in line for an instance, apart from Timeout: on a busy device a burst should queue,
	// not fail. Default [DefaultWait], and no less than Timeout.
	Wait time.Duration
}

// Defaults of [Limits].
const (
	DefaultTimeout     = 100 * time.Millisecond
	DefaultWait        = 2 * time.Second
	DefaultFuel        = 1_000_000_000_000_000 // far above what fits into any timeout: time decides, unless asked otherwise
	DefaultMemoryBytes = 32 << 20
	DefaultStackBytes  = meter.StackBytes
	DefaultOutputBytes = 4 << 20
	DefaultKVBytes     = 16 << 20
	DefaultVarBytes    = 1 << 20
	DefaultLogBytes    = 64 << 10
	DefaultTokens      = 4096
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
	if l.Wait <= 0 {
		l.Wait = DefaultWait
	}
	l.Wait = max(l.Wait, l.Timeout)
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
	def(&l.KVBytes, DefaultKVBytes)
	def(&l.Tokens, DefaultTokens)
	if l.VarBytes == 0 {
		l.VarBytes = DefaultVarBytes
	}
	def(&l.StackBytes, DefaultStackBytes)
	l.StackBytes = min(l.StackBytes, DefaultStackBytes)
	def(&l.Instances, min(4, 2*runtime.GOMAXPROCS(0)))
	return l
}

// PluginOptions say what a plugin gets. Everything that is absent is denied.
type PluginOptions struct {
	Name      string            // for errors, logs and host functions; should be unique on the host
	Limits    Limits            // zero fields take their defaults
	Config    map[string]string // what the guest reads by config_get; copied
	Functions []HostFunction    // importable from "extism:host/user"
	Linked    []LinkedModule    // importable by their names; for filters there are none
	// HTTP serves the ABI's own http_request; nil refuses it. It gets the rules of [HostFunction.Func].
	HTTP func(ctx context.Context, call *HostCall, req *HTTPRequest) (*HTTPResponse, error)
	// PreciseClock lets the guest read the clocks to the nanosecond; else they tick every [CoarseClock], which is too
	// coarse to time a cache or a neighbour with.
	PreciseClock bool
	// Seed makes the guest's random numbers the same in every call; nil takes the system's.
	Seed *uint64
	// Reread returns the module again, byte for byte; nil keeps it in memory. It is asked whenever native code becomes
	// resident, and may be asked by several goroutines at once.
	Reread  func() ([]byte, error)
	Breaker Breaker // when to stop calling a plugin that fails; the zero value never does
	Preload bool    // make code resident and start one instance in Load, instead of at the first call
}

// CoarseClock is the grain of a guest's clocks without [PluginOptions.PreciseClock].
const CoarseClock = time.Millisecond

// HTTPRequest is what a guest asks of http_request.
type HTTPRequest struct {
	Method, URL string
	Headers     map[string]string
	Body        []byte // a view, valid during the call
}

// HTTPResponse answers it. Header names are in lower case.
type HTTPResponse struct {
	Status  int
	Headers map[string]string
	Body    []byte
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
// deadline. A function that goes on regardless is left behind: the guest is stopped, and call refuses everything. Func
// runs concurrently for different instances; call and stack are valid until it returns.
type HostFunction struct {
	Name            string
	Params, Results []ValueType
	// Quick says that Func never blocks. It then runs on the guest's goroutine, which saves a microsecond.
	Quick bool
	Func  func(ctx context.Context, call *HostCall, stack []uint64) error
}

// Vars are the variables of Extism plugins, for calls that have them in common. The zero value is empty.
type Vars = extism.Vars

// Call names an export and its input.
type Call struct {
	Export string
	Input  []byte // read during the call only
	Tenant string // on whose behalf; handed to host functions, never to the guest
	// Timeout shortens the plugin's limit for this call; 0 or anything longer leaves Limits.Timeout in force. The
	// context's deadline applies as well. Time starts when the call has its instance.
	Timeout time.Duration
	// Vars are the Extism vars that the call finds, and where it leaves those it sets, even if it fails. Two calls must
	// not have the same at once. nil: it finds none, and what it sets is forgotten.
	Vars *Vars
	// Untimed leaves Result.Duration 0. That saves two looks at the clock, which may cost more than a small call.
	Untimed bool
}

// Result is what a call left behind. On an error it is filled as far as known.
type Result struct {
	Output     []byte        // owned by the caller
	Duration   time.Duration // in the guest; 0 for an untimed call
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
	Breaker             string          // "closed", "open" or "probing"; "off" without one
	Opened              uint64          // how often the breaker opened
}
