// Command ledge runs AI where the data is: an OpenAI-compatible appliance in one binary. See README.md.
package main

import (
	"os"

	"github.com/ledge-run/ledge/hosts/cli"
	"github.com/ledge-run/ledge/runtime/extract"
)

func main() {
	extract.Child() // in the process of its own that reads a PDF, this is all
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
