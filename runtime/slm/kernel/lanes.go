package kernel

import "math"

// lanes adds up products in the order of ggml's 8-lane code, so that sums of cancelling terms come out equal: lane l
// takes the elements 4l to 4l+3 of each block of 32. A product is rounded before it is added, on every platform.
type lanes [8]float32

// add adds d times the sums.
func (s *lanes) add(d float32, sums *[8]int32) {
	for l := range s {
		s[l] += float32(d * float32(sums[l]))
	}
}

// addFused is add with one rounding a lane.
func (s *lanes) addFused(d float32, sums *[8]int32) {
	for l := range s {
		s[l] = float32(math.FMA(float64(d), float64(sums[l]), float64(s[l])))
	}
}

// total adds the lanes pairwise.
func (s *lanes) total() float32 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}
