//go:build !amd64 && !arm64

package kernel

// available are the paths that this machine can run, the fastest one last.
func available() []path { return []path{goPath} }
