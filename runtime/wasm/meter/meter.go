// Package meter rewrites a WebAssembly module so that it can be stopped, accounted for and restored.
//
//   - Fuel. A private i64 global is charged at function entries and loop headers with the cost of the code that they
//     guard, and before each bulk operation by length. Below zero the guest calls the import [TickModule].[TickName],
//     (i64) -> i64: it gets the counter and returns the next one, or never returns.
//   - Stack depth. Functions through which calls may nest deep take their estimated frame from a second private global
//     while they call, and give it back; below zero the guest calls tick with [TickStackOverflow].
//   - State. It is found out which exports may lead to a write of anything that outlives the call, and the guest's own
//     mutable globals are exported under reserved names, so that a host can restore an instance.
//   - Data. The tens of thousands of data segments of a Go module are merged into a few.
//
// A guest cannot name any of it: indices outside the original module are refused, as are imports and exports with
// reserved names. The result computes what the original computes. The rewriting is deterministic.
//
// The package knows the binary format (https://www.w3.org/TR/wasm-core-2/binary/) and nothing of the engine that runs
// the result. It checks what it needs to be safe, not types: the result must be validated by the engine, and is valid
// exactly when the original is. Input that it does not understand is refused. Start reading at [Rewrite] and code.go.
package meter

import (
	"errors"
	"fmt"
	"math"
)

// Version changes when the output for some module changes; caches of compiled code are bound to it.
const Version = 8

// Names that a guest may not use: the import that the rewriting adds, and the prefix of its exports.
const (
	TickModule     = "ledge:meter"
	TickName       = "tick"
	ReservedPrefix = "ledge:meter/"
	FuelGlobal     = ReservedPrefix + "fuel"  // i64, counts down
	StackGlobal    = ReservedPrefix + "stack" // i32, bytes that frames may still take; starts with StackBytes
	globalPrefix   = ReservedPrefix + "global/"
)

// TickStackOverflow is the value that tick is called with when calls are nested too deep. No charge reaches it.
const TickStackOverflow = math.MinInt64

// StackBytes is what the frames of nested calls may take unless the host sets [StackGlobal], by the estimate of frameBytes. The engine's own stack grows
// by doubling and copying, so that what it holds may be a few times as much.
const StackBytes = 8 << 20

// ErrReserved is wrapped by the error for a module that uses a reserved name.
var ErrReserved = errors.New("reserved name")

// Output is a rewritten module and what a host needs to know of it.
type Output struct {
	Module []byte
	// Globals are the export names of the guest's mutable globals of number types. With the memory they are its state.
	Globals []string
	// Restorable: memory and Globals are all the state there is. Otherwise the module may change tables, drop
	// segments, or keep state in vector or reference globals.
	Restorable bool
	// Pure are the exported functions that leave memory and globals as they are, whatever they call.
	Pure map[string]bool
	// Data is what the host writes into the memory of a new instance before anything else, in place of the module's
	// active segments: an instance that gets a snapshot anyway need not have them copied first. It is empty where the
	// module keeps its own segments: its start function would run too early, or code names them.
	Data []Segment
	// Checks counts the places where fuel is charged; SegmentsIn and SegmentsOut the data segments before and after.
	Checks, SegmentsIn, SegmentsOut int
	// Jumps counts those that go straight to where they went through a loop's header.
	Jumps int
	// StandIns counts the functions that stand in for the table.
	StandIns int
}

// Segment is a piece of the initial memory.
type Segment struct {
	Offset uint32
	Bytes  []byte
}

// Rewrite meters module, which it does not change or keep.
func Rewrite(module []byte) (*Output, error) {
	m, err := parse(module)
	if err != nil {
		return nil, fmt.Errorf("meter: %w", err)
	}
	if err := m.refuseReserved(); err != nil {
		return nil, fmt.Errorf("meter: %w", err)
	}
	out, err := m.rewrite()
	if err != nil {
		return nil, fmt.Errorf("meter: %w", err)
	}
	return out, nil
}
