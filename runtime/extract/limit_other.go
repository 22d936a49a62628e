//go:build !linux

package extract

func limitMemory() {}
