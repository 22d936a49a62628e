//go:build unix && !linux

package kernel

func adviseLarge([]byte) {}
