package vector

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

// dotRowsAVX2 writes the inner product of the query with each of rows consecutive rows. width is a multiple of 32.
//
//go:noescape
func dotRowsAVX2(dst *int32, codes *int8, query *int16, rows, width int)

func dotRows(dst []int32, codes []int8, query []int16, width int) {
	if !hasAVX2 {
		dotRowsGo(dst, codes, query, width)
		return
	}
	if len(dst) == 0 {
		return
	}
	_, _ = codes[len(dst)*width-1], query[width-1]
	dotRowsAVX2(&dst[0], &codes[0], &query[0], len(dst), width)
}
