//go:build wasip1

package sdk

import "unsafe"

// Every call starts from the state that the module's initialization left. The allocator fetches the first piece of
// memory of each size, which takes microseconds each, when it is first asked for one; asked here, no call has to. The
// sizes are those of runtime/sizeclasses.go up to warmSize; others only mean that a class is missed.

const warmSize = 4096

var warm unsafe.Pointer

func init() {
	for size, step := 8, 8; size <= warmSize; size += step {
		warm = unsafe.Pointer(unsafe.SliceData(make([]byte, size)))
		warm = unsafe.Pointer(unsafe.SliceData(make([]*byte, size/8)))
		if size >= 16*step && size&(size-1) == 0 {
			step *= 2
		}
	}
	warm = nil
}
