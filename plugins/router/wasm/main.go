//go:build wasip1

package main

import (
	"github.com/ledge-run/ledge/plugins/router"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport route
func route() int32 {
	return sdk.HandleRoute(func(req *sdk.RouteRequest) (sdk.RouteDecision, error) {
		r, err := router.New(sdk.Config)
		if err != nil {
			return sdk.RouteDecision{}, err
		}
		return r.Route(req), nil
	})
}
