package kernel

import "golang.org/x/sys/unix"

func adviseLarge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) } // only advice
