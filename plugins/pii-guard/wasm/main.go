//go:build wasip1

package main

import (
	piiguard "github.com/ledge-run/ledge/plugins/pii-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var serve = sdk.NewGuard(piiguard.New)

//go:wasmexport guard
func guard() int32 { return serve() }
