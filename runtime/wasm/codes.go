package wasm

// Codes lists every code with what it means, for documentation and metrics.
var Codes = []struct {
	Code    Code
	Meaning string
}{
	{CodeTrap, "the guest executed an illegal operation"},
	{CodeDeadline, "the time limit of the call or the context's deadline passed"},
	{CodeFuelExhausted, "the fuel budget was used up"},
	{CodeMemoryLimit, "the guest failed after it was refused memory, or starts with more than allowed"},
	{CodeStackOverflow, "calls nested too deep"},
	{CodeOutputLimit, "the output is larger than allowed"},
	{CodeLogLimit, "the guest logged more than allowed"},
	{CodeHostCallLimit, "too many calls into the host"},
	{CodeKVLimit, "the call moved more bytes through the key-value store than allowed"},
	{CodeTokenLimit, "the call used more tokens of models than allowed"},
	{CodeHTTPLimit, "a request or response of the guest is larger than allowed, or redirected too often"},
	{CodeHTTPFailed, "an HTTP request that was allowed did not succeed"},
	{CodeBreakerOpen, "the plugin failed too often and is left alone for a while"},
	{CodeGuestError, "the guest reported an error of its own"},
	{CodeNoExport, "the module has no such export, or not with the calling convention's signature"},
	{CodeBadModule, "not a valid core module"},
	{CodeUnsupportedABI, "a valid module for another kind of host"},
	{CodeUnknownImport, "the module imports what this host does not have"},
	{CodeCapabilityDenied, "the module needs what it was not granted"},
	{CodeExited, "the guest called proc_exit with a status other than 0"},
	{CodePoolExhausted, "no instance became free in time"},
	{CodeClosed, "the plugin or host is closed"},
	{CodeCanceled, "the caller's context was canceled"},
	{CodeInternal, "the host failed: a full disk, no address space, a bug"},
}
