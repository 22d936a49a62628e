package wasm

import "fmt"

// Code is the stable name of what went wrong; operators look it up and metrics count by it.
type Code string

// The codes. A code never changes its meaning.
const (
	CodeTrap             Code = "trap"              // the guest executed an illegal operation
	CodeDeadline         Code = "deadline"          // the time limit of the call or the context's deadline passed
	CodeFuelExhausted    Code = "fuel_exhausted"    // the fuel budget was used up
	CodeMemoryLimit      Code = "memory_limit"      // the guest failed after it was refused memory, or starts with more than allowed
	CodeStackOverflow    Code = "stack_overflow"    // calls nested too deep
	CodeOutputLimit      Code = "output_limit"      // the output is larger than allowed
	CodeLogLimit         Code = "log_limit"         // the guest logged more than allowed
	CodeHostCallLimit    Code = "host_call_limit"   // too many calls into the host
	CodeKVLimit          Code = "kv_limit"          // the call moved more bytes through the key-value store than allowed
	CodeTokenLimit       Code = "token_limit"       // the call used more tokens of models than allowed
	CodeHTTPLimit        Code = "http_limit"        // a request or response of the guest is larger than allowed, or redirected too often
	CodeHTTPFailed       Code = "http_failed"       // an HTTP request that was allowed did not succeed
	CodeBreakerOpen      Code = "breaker_open"      // the plugin failed too often and is left alone for a while
	CodeGuestError       Code = "guest_error"       // the guest reported an error of its own
	CodeNoExport         Code = "no_export"         // the module has no such export, or not with the calling convention's signature
	CodeBadModule        Code = "bad_module"        // not a valid core module
	CodeUnsupportedABI   Code = "unsupported_abi"   // a valid module for another kind of host
	CodeUnknownImport    Code = "unknown_import"    // the module imports what this host does not have
	CodeCapabilityDenied Code = "capability_denied" // the module needs what it was not granted
	CodeExited           Code = "exited"            // the guest called proc_exit with a status other than 0
	CodePoolExhausted    Code = "pool_exhausted"    // no instance became free in time
	CodeClosed           Code = "closed"            // the plugin or host is closed
	CodeCanceled         Code = "canceled"          // the caller's context was canceled
	CodeInternal         Code = "internal"          // the host failed: a full disk, no address space, a bug
)

// Error is every error that this package returns for a plugin. Use errors.As.
type Error struct {
	Code    Code
	Plugin  string // name given at load
	Export  string // empty when loading
	Message string // one line, for an operator; may quote the guest
	Err     error  // cause, if any

	caller bool // the caller's doing: says nothing about the plugin
}

func (e *Error) Error() string {
	where := e.Plugin
	if e.Export != "" {
		where += "." + e.Export
	}
	if where != "" {
		where = "plugin " + where + ": "
	}
	return fmt.Sprintf("%s%s: %s", where, e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

func errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Code: code, Message: err.Error()}
	if u, ok := err.(interface{ Unwrap() error }); ok {
		e.Err = u.Unwrap()
	}
	return e
}
