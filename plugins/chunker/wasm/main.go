//go:build wasip1

package main

import (
	"github.com/ledge-run/ledge/plugins/chunker"
	sdk "github.com/ledge-run/ledge/sdk/go"
)

//go:wasmexport chunk
func chunk() int32 { return sdk.HandleChunk(cut) }

//go:wasmexport chunk_text
func chunkText() int32 { return sdk.HandleChunkText(cut) }

func cut(doc *sdk.Document) (sdk.ChunkList, error) {
	c, err := chunker.New(sdk.Config)
	if err != nil {
		return sdk.ChunkList{}, err
	}
	return c.Chunk(doc)
}
