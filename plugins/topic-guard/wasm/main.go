//go:build wasip1

package main

import (
	topicguard "github.com/ledge-run/ledge/plugins/topic-guard"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// The guard is made, and used once, while the module initializes: every call starts from the state after that.
var judge, fault = topicguard.New(sdk.Config)

func init() {
	if fault == nil {
		req := sdk.GuardRequest{Stage: sdk.StageInput, Role: "user", Text: "Write to nobody about nothing, on 2 of 3 days.", Final: true}
		var again sdk.GuardRequest
		fault = again.ParseJSON(req.AppendJSON(nil))
		v := judge.Judge(&again)
		v.AppendJSON(nil)
	}
}

//go:wasmexport guard
func guard() int32 {
	return sdk.HandleGuard(func(req *sdk.GuardRequest) (sdk.Verdict, error) {
		if fault != nil {
			return sdk.Verdict{}, fault
		}
		return judge.Judge(req), nil
	})
}
