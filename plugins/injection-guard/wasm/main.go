//go:build wasip1

package main

import (
	injectionguard "github.com/ledge-run/ledge/plugins/injection-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var serve = sdk.NewGuard(injectionguard.New)

//go:wasmexport guard
func guard() int32 { return serve() }
