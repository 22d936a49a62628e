// Package sdk holds what a plugin's author in C, Rust or AssemblyScript copies beside the source, one file for each
// language, and the templates of new plugins, for ledge plugin new. The SDK for Go is the package sdk/go.
package sdk

import "embed"

// Files are c/ledge.h, rust/ledge.rs, assemblyscript/ledge.ts and templates/, in which {{NAME}} and {{MEMORY}} are to be
// replaced.
//
//go:embed c/ledge.h rust/ledge.rs assemblyscript/ledge.ts templates
var Files embed.FS
