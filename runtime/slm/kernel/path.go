package kernel

import "os"

//go:generate go -C gen run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg kernel

// path is a set of kernels. All paths agree with each other up to the order in which a row's products are added up;
// quantized activations are equal bit for bit.
type path struct {
	name         string
	dot          func(t Type, w []byte, a *activation) float32 // whole rows
	quantizeQ8_0 func(a *activation, x []float32)              // into a's grown buffers
	quantizeQ8_K func(a *activation, x []float32)
	product      func(a, b []float32) float32
	axpy         func(dst []float32, a float32, x []float32)
	read         func(data []byte) uint64 // all of it, and nothing else
}

var goPath = path{"go", dotGo, quantizeQ8_0Go, quantizeQ8_KGo, productGo, axpyGo, readGo}

// active is chosen once, before anything runs. LEDGE_KERNEL=go keeps plain Go where there is something faster.
var active = choose(os.Getenv("LEDGE_KERNEL"), fastest())

func choose(wanted string, best path) path {
	if wanted == goPath.name {
		return goPath
	}
	return best
}

// Path names the kernels that run on this machine.
func Path() string { return active.name }
