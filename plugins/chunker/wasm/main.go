//go:build wasip1

package main

import (
	"github.com/ledge-run/ledge/plugins/chunker"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport chunk
func chunk() int32 {
	return sdk.HandleChunk(func(doc *sdk.Document) (sdk.ChunkList, error) {
		c, err := chunker.New(sdk.Config)
		if err != nil {
			return sdk.ChunkList{}, err
		}
		return c.Chunk(doc)
	})
}
