package main

import (
	"testing"

	"github.com/ledge-run/ledge/runtime/hook"
)

func BenchmarkNative(b *testing.B) {
	native, err := natives()
	if err != nil {
		b.Fatal(err)
	}
	for _, guard := range inputGuards {
		for name, text := range texts {
			b.Run(guard+"/"+name, func(b *testing.B) {
				req := &hook.GuardRequest{Stage: hook.StageInput, Text: text, Final: true}
				b.ReportAllocs()
				for b.Loop() {
					native[guard](req)
				}
			})
		}
	}
}
