// Package wasip1 is the part of WASI preview 1 that a guest without files, environment, arguments and sockets needs:
// standard output and error, clocks, random numbers, a bounded sleep and exit. Every other function of preview 1 exists,
// so that modules link, and answers "bad file descriptor" or "not supported".
// See https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md.
//
// The package knows nothing of the engine; its caller lends it the guest's memory and a [Host]. Start at [Functions].
package wasip1

import (
	"encoding/binary"
	"time"
)

// Module is the name that guests import the functions from.
const Module = "wasi_snapshot_preview1"

// Memory is the guest's memory; api.Memory of wazero is one.
type Memory interface {
	Read(offset, n uint32) ([]byte, bool)
	WriteUint32Le(offset, v uint32) bool
	WriteUint64Le(offset uint32, v uint64) bool
}

// Host is what an instance gets from outside.
type Host interface {
	Write(stderr bool, p []byte) error         // an error stops the guest
	Random(p []byte) error                     // fills p
	Now() (wall time.Time, mono time.Duration) // mono counts from any fixed point
	Sleep(d time.Duration) error               // returns early, with an error, when the guest must stop
	Exit(code uint32) error                    // returns the error that stops the guest
}

// Function is one function of WASI.
type Function struct {
	Name            string
	Params, Results []byte // value types of the binary format
	// Call reads its parameters from stack and leaves its result there. An error stops the guest.
	Call func(h Host, m Memory, stack []uint64) error
}

// Error numbers of preview 1.
const (
	success  = 0
	badf     = 8
	fault    = 21
	inval    = 28
	nosys    = 52
	spipe    = 70
	maxIOVs  = 1024
	maxSleep = time.Duration(1<<63 - 1)
)

// signatures of all functions: i is i32, I is i64. All but proc_exit return an error number.
var signatures = map[string]string{
	"args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii",
	"clock_res_get": "ii", "clock_time_get": "iIi",
	"fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_get": "ii",
	"fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii", "fd_filestat_set_size": "iI",
	"fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii", "fd_prestat_dir_name": "iii",
	"fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi", "fd_renumber": "ii", "fd_seek": "iIii",
	"fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
	"path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
	"path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii", "path_remove_directory": "iii",
	"path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii",
	"poll_oneoff": "iiii", "proc_exit": "i", "proc_raise": "i", "sched_yield": "", "random_get": "ii",
	"sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
}

// served are the functions that do something. They return an error number, or an error that stops the guest.
var served = map[string]func(h Host, m Memory, s []uint64) (uint32, error){
	"args_sizes_get":      emptySizes,
	"args_get":            succeed,
	"environ_sizes_get":   emptySizes,
	"environ_get":         succeed,
	"sched_yield":         succeed,
	"clock_res_get":       clockRes,
	"clock_time_get":      clockTime,
	"random_get":          randomGet,
	"fd_write":            fdWrite,
	"fd_read":             fdRead,
	"fd_close":            onStandard(success),
	"fd_seek":             onStandard(spipe),
	"fd_tell":             onStandard(spipe),
	"fd_fdstat_set_flags": onStandard(success),
	"fd_fdstat_get":       fdStat,
	"poll_oneoff":         pollOneoff,
	"proc_raise":          func(Host, Memory, []uint64) (uint32, error) { return nosys, nil },
}

// Functions lists all functions of preview 1.
func Functions() []Function {
	var fs []Function
	for name, sig := range signatures {
		f := Function{Name: name, Results: []byte{0x7f}}
		for _, c := range sig {
			if c == 'i' {
				f.Params = append(f.Params, 0x7f)
			} else {
				f.Params = append(f.Params, 0x7e)
			}
		}
		if name == "proc_exit" {
			f.Results = nil
			f.Call = func(h Host, _ Memory, s []uint64) error { return h.Exit(uint32(s[0])) }
			fs = append(fs, f)
			continue
		}
		serve := served[name]
		if serve == nil { // there are no files and no sockets, so any descriptor is a bad one
			serve = func(Host, Memory, []uint64) (uint32, error) { return badf, nil }
		}
		f.Call = func(h Host, m Memory, s []uint64) error {
			if m == nil {
				s[0] = fault
				return nil
			}
			errno, err := serve(h, m, s)
			s[0] = uint64(errno)
			return err
		}
		fs = append(fs, f)
	}
	return fs
}

func succeed(Host, Memory, []uint64) (uint32, error) { return success, nil }

func onStandard(errno uint32) func(Host, Memory, []uint64) (uint32, error) {
	return func(_ Host, _ Memory, s []uint64) (uint32, error) {
		if uint32(s[0]) > 2 {
			return badf, nil
		}
		return errno, nil
	}
}

func emptySizes(_ Host, m Memory, s []uint64) (uint32, error) {
	return wrote(m.WriteUint32Le(uint32(s[0]), 0) && m.WriteUint32Le(uint32(s[1]), 0))
}

func wrote(ok bool) (uint32, error) {
	if !ok {
		return fault, nil
	}
	return success, nil
}

func clockRes(_ Host, m Memory, s []uint64) (uint32, error) {
	if uint32(s[0]) > 3 {
		return inval, nil
	}
	return wrote(m.WriteUint64Le(uint32(s[1]), 1))
}

func clockTime(h Host, m Memory, s []uint64) (uint32, error) {
	wall, mono := h.Now()
	now := uint64(wall.UnixNano())
	switch uint32(s[0]) {
	case 0:
	case 1, 2, 3: // monotonic; processor time is not told apart from it
		now = uint64(mono)
	default:
		return inval, nil
	}
	return wrote(m.WriteUint64Le(uint32(s[2]), now))
}

func randomGet(h Host, m Memory, s []uint64) (uint32, error) {
	p, ok := m.Read(uint32(s[0]), uint32(s[1]))
	if !ok {
		return fault, nil
	}
	return success, h.Random(p)
}

func fdWrite(h Host, m Memory, s []uint64) (uint32, error) {
	fd, iovs, n, result := uint32(s[0]), uint32(s[1]), uint32(s[2]), uint32(s[3])
	if fd != 1 && fd != 2 {
		return badf, nil
	}
	if n > maxIOVs {
		return inval, nil
	}
	list, ok := m.Read(iovs, n*8)
	if !ok {
		return fault, nil
	}
	total := uint32(0)
	for ; len(list) > 0; list = list[8:] {
		p, ok := m.Read(binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:]))
		if !ok {
			return fault, nil
		}
		if err := h.Write(fd == 2, p); err != nil {
			return success, err
		}
		total += uint32(len(p))
	}
	return wrote(m.WriteUint32Le(result, total))
}

// fdRead is at the end of standard input.
func fdRead(_ Host, m Memory, s []uint64) (uint32, error) {
	if uint32(s[0]) != 0 {
		return badf, nil
	}
	return wrote(m.WriteUint32Le(uint32(s[3]), 0))
}

func fdStat(_ Host, m Memory, s []uint64) (uint32, error) {
	fd, at := uint32(s[0]), uint32(s[1])
	if fd > 2 {
		return badf, nil
	}
	p, ok := m.Read(at, 24)
	if !ok {
		return fault, nil
	}
	clear(p)
	p[0] = 2 // character device
	rights := uint64(1 << 6)
	if fd == 0 {
		rights = 1 << 1
	}
	binary.LittleEndian.PutUint64(p[8:], rights)
	return success, nil
}
