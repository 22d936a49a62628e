// Command ledge runs AI where the data is: an OpenAI-compatible appliance in one binary. See README.md.
package main

import (
	"os"

	"github.com/ledge-run/ledge/hosts/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
