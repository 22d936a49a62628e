//go:build !amd64

package kernel

func fastest() path { return goPath }
