//go:build wasip1

package main

import (
	cachepolicy "github.com/ledge-run/ledge/plugins/cache-policy"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport cache
func cache() int32 {
	return sdk.HandleCache(func(req *sdk.CacheRequest) (sdk.CachePlan, error) {
		p, err := cachepolicy.New(sdk.Config)
		if err != nil {
			return sdk.CachePlan{}, err
		}
		return p.Plan(req), nil
	})
}
