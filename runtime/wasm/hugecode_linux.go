package wasm

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a huge page on the systems that this is for.
const hugePage = 2 << 20

// collapseCode asks the kernel to hold native code in huge pages. A standard-Go plugin has some 12 MiB of it, of which a
// call runs a little here and there: in small pages a good part of a call goes into finding them, more so on a virtual
// machine. The engine does not say where its code lies, so every private mapping without a file that may run and is
// large enough is taken to be code; for any other it would change nothing but the size of its pages. A kernel that cannot
// do it (before Linux 6.1) refuses, and everything stays as it was.
func collapseCode() {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var mode, offset, device, inode string
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %s", &from, &to, &mode, &offset, &device, &inode)
		if n < 6 || inode != "0" || !strings.HasSuffix(mode, "xp") || strings.HasSuffix(lines.Text(), "]") {
			continue
		}
		from, to = (from+hugePage-1)&^(hugePage-1), to&^(hugePage-1)
		if from < to {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_COLLAPSE)
		}
	}
}
