//go:build linux

package extract

import "golang.org/x/sys/unix"

// limitMemory keeps a hostile file from taking the machine's memory: what goes beyond ends the process.
func limitMemory() {
	_ = unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: 2 * pdfMemory, Max: 2 * pdfMemory})
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
