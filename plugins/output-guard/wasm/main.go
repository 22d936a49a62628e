//go:build wasip1

package main

import (
	outputguard "github.com/ledge-run/ledge/plugins/output-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var serve = sdk.NewGuard(outputguard.New)

//go:wasmexport guard
func guard() int32 { return serve() }
