package kernel

import "os"

//go:generate go -C gen run ./arm64
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
	expSum       func(x []float32, top float32) float32
	siluMul      func(gate, up []float32)
	scores       func(dst, q, keys []float32, scale float32)
	weightedSum  func(dst, w, rows []float32)
	fromHalf     func(dst []float32, src []uint16)
	toHalf       func(dst []uint16, src []float32)
	read         func(data []byte) uint64 // all of it, and nothing else

	// Of panels, where there are kernels for them.
	panels     bool
	totals     func(a *activation)                                                           // of blocks of 32, into its buffer; Q8_K's too where panels need them
	panel      func(t Type, panel []byte, a *activation, dst []float32)                      // 16 products
	tiles      func(t tiles, s *slice)                                                       // nil: row by row
	interleave func(dst []byte, rows *[panelRows][]byte, to, from, size, chunks, blocks int) // of panels; see fours
}

var goPath = path{name: "go", dot: dotGo, quantizeQ8_0: quantizeQ8_0Go, quantizeQ8_K: quantizeQ8_KGo, product: productGo, axpy: axpyGo, read: readGo,
	expSum: expSumGo, siluMul: siluMulGo, scores: scoresGo, weightedSum: weightedSumGo, fromHalf: fromHalfGo, toHalf: toHalfGo}

// active is chosen once, before anything runs: the fastest, or the one that LEDGE_KERNEL names if the machine has it.
var active = choose(os.Getenv("LEDGE_KERNEL"), available())

// choose returns the path of the wanted name, else the last one.
func choose(wanted string, paths []path) path {
	for _, p := range paths {
		if p.name == wanted {
			return p
		}
	}
	return paths[len(paths)-1]
}

// Path names the kernels that run on this machine.
func Path() string { return active.name }

// Paths names the kernels that this machine can run, the fastest ones last; LEDGE_KERNEL chooses among them.
func Paths() []string {
	var out []string
	for _, p := range available() {
		out = append(out, p.name)
	}
	return out
}
