//go:build wasip1

package main

import (
	groundingguard "github.com/ledge-run/ledge/plugins/grounding-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var serve = sdk.NewGuard(groundingguard.New)

//go:wasmexport guard
func guard() int32 { return serve() }
