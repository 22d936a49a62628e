//go:build unix

package modelstore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes a shared or an exclusive advisory lock on a file, which ends with the process at the latest.
func lock(path string, exclusive bool) (func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
