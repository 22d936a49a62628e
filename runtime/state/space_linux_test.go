package state

import (
	"io/fs"
	"syscall"
)

// blocksOf is how many bytes a file takes on the disk.
func blocksOf(info fs.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks * 512 }
