//go:build !amd64

package vector

func dotRows(dst []int32, codes []int8, query []int16, width int) {
	dotRowsGo(dst, codes, query, width)
}
