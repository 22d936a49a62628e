//go:build !amd64 && !arm64

package kernel

func fastest() path { return goPath }
