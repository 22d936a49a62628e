// Command pack straightens and compresses built modules for the binary that embeds them: go run ./plugins/pack -o DIR FILE.wasm...
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/ledge-run/ledge/runtime/wasm/straighten"
)

func main() {
	dir := flag.String("o", ".", "where FILE.wasm.zst is put")
	flag.Parse()
	if err := run(*dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(dir string, files []string) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	defer enc.Close()
	for _, f := range files {
		module, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if module, err = straighten.Module(module); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		packed, to := enc.EncodeAll(module, nil), filepath.Join(dir, filepath.Base(f)+".zst")
		if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, packed) {
			continue
		}
		if err := os.WriteFile(to, packed, 0o644); err != nil {
			return err
		}
	}
	return nil
}
