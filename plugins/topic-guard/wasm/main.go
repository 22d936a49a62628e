//go:build wasip1

package main

import (
	topicguard "github.com/ledge-run/ledge/plugins/topic-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

var serve = sdk.NewGuard(topicguard.New)

//go:wasmexport guard
func guard() int32 { return serve() }
