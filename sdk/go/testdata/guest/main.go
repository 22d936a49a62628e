//go:build wasip1

// Command guest uses all that package sdk offers a guest; the tests of package sdk call it.
package main

import (
	"errors"
	"strings"

	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport guard
func guard() int32 {
	return sdk.HandleGuard(func(r *sdk.GuardRequest) (sdk.Verdict, error) {
		switch r.Text {
		case "error":
			return sdk.Verdict{}, errors.New("cannot judge this")
		case "panic":
			panic("lost the plot")
		case "index":
			return sdk.Verdict{Reason: r.Text[len(r.Text)+r.Start:]}, nil
		case "nil":
			var m map[string]int
			m["x"] = r.Start
		case "config":
			v, ok := sdk.Config("greeting")
			_, missing := sdk.Config("missing")
			if !ok || missing {
				return sdk.Verdict{}, errors.New("wrong configuration")
			}
			return sdk.Verdict{Verdict: sdk.Allow, Reason: v}, nil
		case "log":
			sdk.Log(sdk.Debug, "a detail")
			sdk.Log(sdk.Info, "a fact")
			sdk.Log(sdk.Warn, "a worry")
			sdk.Log(sdk.Error, "a fault")
		}
		return sdk.Verdict{Verdict: sdk.Allow}, nil
	})
}

// call drives the key-value store: get KEY, set KEY VALUE, delete KEY.
//
//go:wasmexport call
func call() int32 {
	return sdk.HandleCall(func(r *sdk.ToolRequest) (sdk.ToolResult, error) {
		f := strings.Split(r.Params.Name, " ")
		switch f[0] {
		case "get":
			v, ok := sdk.KVGet(f[1])
			if !ok {
				return sdk.ErrorResult("nothing there"), nil
			}
			return sdk.TextResult(string(v)), nil
		case "set":
			return sdk.TextResult("done"), sdk.KVSet(f[1], []byte(f[2]), 60)
		case "delete":
			return sdk.TextResult("done"), sdk.KVDelete(f[1])
		}
		return sdk.ToolResult{}, errors.New("unknown: " + f[0])
	})
}

func main() {}
