//go:build !linux

package residency

// DeviceMemory is what this process may use at most, in bytes; 0: not known.
func DeviceMemory() int64 { return 0 }
