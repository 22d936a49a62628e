//go:build !unix

package modelstore

import "os"

// lock keeps the file open, which is what keeps others from removing it on systems without advisory locks.
func lock(path string, _ bool) (func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}
