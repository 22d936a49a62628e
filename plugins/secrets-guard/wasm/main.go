//go:build wasip1

package main

import (
	secretsguard "github.com/ledge-run/ledge/plugins/secrets-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var serve = sdk.NewGuard(secretsguard.New)

//go:wasmexport guard
func guard() int32 { return serve() }
