// Package policies holds what a site is allowed by default: the shipped configuration, as data.
package policies

import _ "embed"

// Default is the built-in configuration. Its comments are the reference for every key.
//
//go:embed default.yaml
var Default []byte
