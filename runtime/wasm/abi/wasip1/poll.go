package wasip1

import (
	"encoding/binary"
	"time"
)

const (
	subscriptionBytes = 48
	eventBytes        = 32
	maxSubscriptions  = 256

	eventClock = 0
)

// pollOneoff waits for the earliest clock among the subscriptions. Descriptors are never waited for: standard output
// is always ready, everything else is a bad descriptor at once.
func pollOneoff(h Host, m Memory, s []uint64) (uint32, error) {
	in, out, n, result := uint32(s[0]), uint32(s[1]), uint32(s[2]), uint32(s[3])
	if n == 0 || n > maxSubscriptions {
		return inval, nil
	}
	subs, ok := m.Read(in, n*subscriptionBytes)
	if !ok {
		return fault, nil
	}
	events, ok := m.Read(out, n*eventBytes)
	if !ok {
		return fault, nil
	}
	// Both lie in the guest's memory and may overlap.
	subs = append([]byte(nil), subs...)

	wait := maxSleep
	waits := make([]time.Duration, n) // 0 for descriptors
	for i := range n {
		if sub := subs[i*subscriptionBytes:]; sub[8] == eventClock {
			waits[i] = until(h, sub)
		}
		wait = min(wait, waits[i])
	}
	if wait > 0 {
		if err := h.Sleep(wait); err != nil {
			return success, err
		}
	}
	count := uint32(0)
	for i := range n {
		if waits[i] > wait {
			continue
		}
		sub := subs[i*subscriptionBytes:]
		errno := uint16(success)
		if sub[8] != eventClock && binary.LittleEndian.Uint32(sub[16:]) > 2 {
			errno = badf
		}
		e := events[count*eventBytes:][:eventBytes]
		clear(e)
		copy(e, sub[:8]) // user data
		binary.LittleEndian.PutUint16(e[8:], errno)
		e[10] = sub[8]
		count++
	}
	return wrote(m.WriteUint32Le(result, count))
}

// until is how long a clock subscription has to wait from now on; a relative one always its whole time.
func until(h Host, sub []byte) time.Duration {
	timeout := binary.LittleEndian.Uint64(sub[24:])
	if sub[40]&1 != 0 { // absolute
		wall, mono := h.Now()
		now := uint64(mono)
		if binary.LittleEndian.Uint32(sub[16:]) == 0 {
			now = uint64(wall.UnixNano())
		}
		if timeout <= now {
			return 0
		}
		timeout -= now
	}
	return time.Duration(min(timeout, uint64(maxSleep)))
}
