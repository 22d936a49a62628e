package kernel

import (
	"encoding/binary"
	"time"
)

// readBuffer is what each thread reads when bandwidth is measured: more than caches hold.
const readBuffer = 96 << 20

// ReadSpeed measures how fast the pool's threads together read memory with a loop that does nothing else, in bytes a
// second: the best of several rounds of some tens of milliseconds. It takes 96 MiB a thread while it runs.
func ReadSpeed(p *Pool) float64 {
	const parts = 64
	data := make([]byte, readBuffer*p.Threads())
	part := len(data) / (parts * p.Threads())
	p.Run(parts*p.Threads(), func(i int) {
		for k := i * part; k < (i+1)*part; k += 4096 {
			data[k] = 1 // so that every page is there
		}
	})
	best := 0.0
	for range 7 {
		begin := time.Now()
		p.Run(parts*p.Threads(), func(i int) { active.read(data[i*part : (i+1)*part]) })
		best = max(best, float64(len(data))/time.Since(begin).Seconds())
	}
	return best
}

func readGo(data []byte) (x uint64) {
	for ; len(data) >= 32; data = data[32:] {
		x |= binary.LittleEndian.Uint64(data) | binary.LittleEndian.Uint64(data[8:]) | binary.LittleEndian.Uint64(data[16:]) | binary.LittleEndian.Uint64(data[24:])
	}
	return x
}
