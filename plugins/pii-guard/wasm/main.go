//go:build wasip1

package main

import (
	piiguard "github.com/ledge-run/ledge/plugins/pii-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport guard
func guard() int32 {
	return sdk.HandleGuard(func(req *sdk.GuardRequest) (sdk.Verdict, error) {
		g, err := piiguard.New(sdk.Config)
		if err != nil {
			return sdk.Verdict{}, err
		}
		return g.Judge(req), nil
	})
}
