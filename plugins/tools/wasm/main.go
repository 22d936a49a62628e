//go:build wasip1

package main

import (
	"time"

	"github.com/ledge-run/ledge/plugins/tools"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport describe
func describe() int32 {
	return sdk.HandleDescribe(func() (sdk.ToolList, error) {
		s, err := tools.New(sdk.Config, time.Now)
		if err != nil {
			return sdk.ToolList{}, err
		}
		return s.Describe(), nil
	})
}

//go:wasmexport call
func call() int32 {
	return sdk.HandleCall(func(req *sdk.ToolRequest) (sdk.ToolResult, error) {
		s, err := tools.New(sdk.Config, time.Now)
		if err != nil {
			return sdk.ToolResult{}, err
		}
		return s.Call(req), nil
	})
}
