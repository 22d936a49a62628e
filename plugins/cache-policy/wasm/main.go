//go:build wasip1

package main

import (
	cachepolicy "github.com/ledge-run/ledge/plugins/cache-policy"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// The policy is made, and used once, while the module initializes: every call starts from the state after that.
var policy, fault = cachepolicy.New(sdk.Config)

func init() {
	if fault == nil {
		req := sdk.CacheRequest{Route: "default", Model: "m", ModelDigest: "d", Messages: []sdk.Message{{Role: "user", Content: "hello"}}, Choices: 1}
		var again sdk.CacheRequest
		fault = again.ParseJSON(req.AppendJSON(nil))
		p := policy.Plan(&again)
		p.AppendJSON(nil)
	}
}

//go:wasmexport cache
func cache() int32 {
	return sdk.HandleCache(func(req *sdk.CacheRequest) (sdk.CachePlan, error) {
		if fault != nil {
			return sdk.CachePlan{}, fault
		}
		return policy.Plan(req), nil
	})
}
