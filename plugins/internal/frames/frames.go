// Package frames reads the notation in which training texts are written: [a|b] is one of several, and they nest.
package frames

// Options splits the bracket that opens at t[i] into its alternatives, which may hold brackets themselves. After is where
// the text goes on. It returns false when the bracket is not closed.
func Options(t string, i int) (options []string, after int, ok bool) {
	depth, from := 0, i+1
	for j := i + 1; j < len(t); j++ {
		switch t[j] {
		case '[':
			depth++
		case ']':
			if depth == 0 {
				return append(options, t[from:j]), j + 1, true
			}
			depth--
		case '|':
			if depth == 0 {
				options = append(options, t[from:j])
				from = j + 1
			}
		}
	}
	return nil, 0, false
}
