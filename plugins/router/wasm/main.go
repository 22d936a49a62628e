//go:build wasip1

package main

import (
	"github.com/ledge-run/ledge/plugins/router"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

// The router is made, from the site's configuration, while the module initializes.
var decider, fault = router.New(sdk.Config)

// init serves requests before the first: what it leaves in memory is where every call starts from, so that calls find
// the allocator and the tables warm. It takes 50 us, an eighth, off a call.
func init() {
	req := sdk.RouteRequest{
		Messages: []sdk.Message{{Role: "user"}},
		Tools:    []string{"calculator"},
		Models:   []sdk.Model{{ID: "a", Tier: "small"}, {ID: "b", Tier: "large"}},
	}
	if fault != nil {
		return
	}
	for _, text := range []string{"Summarise this text, please.", "what is 17*23?"} {
		req.Messages[0].Content = text
		var again sdk.RouteRequest
		if err := again.ParseJSON(req.AppendJSON(nil)); err != nil {
			panic(err)
		}
		d := decider.Route(&again)
		d.AppendJSON(nil)
	}
}

// why is where reasons are written.
var why [512]byte

//go:wasmexport route
func route() int32 {
	return sdk.HandleRoute(func(req *sdk.RouteRequest) (sdk.RouteDecision, error) {
		if fault != nil {
			return sdk.RouteDecision{}, fault
		}
		return decider.RouteWith(req, why[:0]), nil
	})
}
