package gguf

import "golang.org/x/sys/unix"

func populate(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_READ) } // only advice; not before Linux 5.14
