//go:build wasip1

package main

import (
	injectionguard "github.com/ledge-run/ledge/plugins/injection-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport guard
func guard() int32 {
	return sdk.HandleGuard(func(req *sdk.GuardRequest) (sdk.Verdict, error) {
		g, err := injectionguard.New(sdk.Config)
		if err != nil {
			return sdk.Verdict{}, err
		}
		return g.Judge(req), nil
	})
}
