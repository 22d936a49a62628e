//go:build amd64 || arm64

package kernel

// pause spins n times with the processor's hint for spinning. n must be above 0.
//
//go:noescape
func pause(n int)
