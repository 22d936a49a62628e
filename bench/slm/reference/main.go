// Command reference writes the tiny models of slmtest.Architectures, for reference.py to ask llama.cpp about:
//
//	npm install @node-llama-cpp/linux-x64        # for its libllama; the build's version is in reference.py
//	go run ./bench/slm/reference -o DIR
//	python3 bench/slm/reference/reference.py LIBRARIES DIR > runtime/slm/model/testdata/architectures.json
//
// LIBRARIES is the folder with libllama and libggml. The models are the same each time, so the file with the results is
// all that the tests need.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

func main() {
	dir := flag.String("o", "", "folder to write the models to")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	if dir == "" {
		return fmt.Errorf("-o says where the models go")
	}
	type entry struct {
		Name   string  `json:"name"`
		Embeds bool    `json:"embeds"`
		Prompt []int32 `json:"prompt"`
		Rows   []int   `json:"rows"`
	}
	var list []entry
	for _, a := range slmtest.Architectures() {
		f, err := os.Create(filepath.Join(dir, a.Name+".gguf"))
		if err != nil {
			return err
		}
		if err := a.Write(f); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		list = append(list, entry{a.Name, a.Embeds(), a.Prompt(), slmtest.ArchRows})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "models.json"), b, 0o644)
}
