// Command tinymodel writes a small model with random weights, to try the appliance where no model is at hand.
//
//	go run ./bench/tinymodel -o tiny.gguf
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func main() {
	out := flag.String("o", "tiny.gguf", "file to write")
	seed := flag.Uint64("seed", 1, "seed of the weights")
	flag.Parse()
	if err := write(*out, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "tinymodel:", err)
		os.Exit(1)
	}
}

func write(path string, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	shape := slmtest.Tiny
	shape.Seed = seed
	return errors.Join(shape.Write(f), f.Close())
}
