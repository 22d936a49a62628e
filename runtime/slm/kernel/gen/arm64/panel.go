package main

// Products of a panel, 16 rows whose blocks are interleaved by four elements (kernel/panel.go draws it), with one row of
// activations: each instruction multiplies four elements of four rows with the same four activations. A block's integer
// product is exact; blocks are added up in order.
//
// Registers: 0 to 3 and 4 to 7 hold the integers and floats of rows 0-3, 4-7, 8-11 and 12-15.

var panelParameters = []parameter{{"w", "*byte", "R0"}, {"q", "*int8", "R1"}, {"scale", "*float32", "R2"}, {"totals", "*int32", "R3"}, {"blocks", "int", "R4"}, {"dst", "*float32", "R5"}}

const (
	sums   = 0 // of integers
	floats = 4
	act    = 8 // activations
	temp   = 10
	mask   = 30
	high   = 31
)

// aheadOf is how far ahead of their use panels are fetched.
const aheadOf = 1536

// panelBlocks lays out the loop of formats with 32 elements a block: less times the activations' sum is subtracted.
func (a *assembly) panelBlocks(name string, bytes, scaleAt int, less int, block func()) {
	a.function("panel"+name+"NEON", "multiplies 16 interleaved rows of "+name+" blocks.", "", panelParameters...)
	for i := range 4 {
		a.put(clear(floats + i))
	}
	a.put(splatByte(mask, 15), splatByte(high, 1))
	a.label("block")
	for line := 0; line < bytes; line += 64 {
		a.put(fetch(rw, aheadOf+line))
	}
	a.put(loadQ(act, rq, 0), loadQ(act+1, rq, 16))
	if less == 0 {
		for i := range 4 {
			a.put(clear(sums + i))
		}
	} else {
		a.line("MOVW (R3), R6")
		a.line("LSL $%d, R6", less)
		a.line("NEG R6, R6")
		for i := range 4 {
			a.put(splatFrom(sums+i, rtemp))
		}
		a.line("ADD $4, R3")
	}
	block()
	a.put(loadS(temp+1, rscale, 0))
	for i := range 4 {
		a.put(loadD(temp, rw, scaleAt+i*8), fromHalf(temp, temp), fmulBy(temp, temp, temp+1), toFloat(sums+i, sums+i), fmla(floats+i, sums+i, temp))
	}
	a.line("ADD $%d, R0", bytes)
	a.line("ADD $32, R1")
	a.line("ADD $4, R2")
	a.line("SUBS $1, R4")
	a.line("BNE block")
	for i := range 4 {
		a.put(storeQ(floats+i, rdst, i*16))
	}
	a.line("RET")
}

// group multiplies the register with the g-th four activations of 32 and adds to row group i.
func group(i, v, g int) word { return sdot(sums+i, v, act+g/4, g%4) }

func (a *assembly) panelQ8_0() {
	a.panelBlocks("Q8_0", 544, 512, 0, func() {
		for g := range 8 {
			for i := range 4 {
				v := temp + (g*4+i)%8
				a.put(loadQ(v, rw, g*64+i*16), group(i, v, g))
			}
		}
	})
}

func (a *assembly) panelQ4_0() {
	a.panelBlocks("Q4_0", 288, 256, 3, func() {
		for g := range 4 {
			for i := range 4 {
				v := temp + i*2
				a.put(loadQ(v, rw, g*64+i*16), rightBytes(v+1, v, 4), and(v, v, mask), group(i, v, g), group(i, v+1, g+4))
			}
		}
	})
}

func (a *assembly) panelQ5_0() {
	a.panelBlocks("Q5_0", 352, 320, 4, func() {
		for i := range 4 {
			a.put(loadQ(24+i, rw, 256+i*16))
		}
		for g := range 4 {
			for i := range 4 {
				v := temp + i*3
				a.put(loadQ(v, rw, g*64+i*16), rightBytes(v+1, v, 4), and(v, v, mask))
				for k := range 2 {
					a.put(a.bit(v+2, 24+i, g+k*4), insertLeft(v+k, v+2, 4), group(i, v+k, g+k*4))
				}
			}
		}
	})
}

// bit writes what takes a bit of every byte down to bit 0, and returns the last instruction of it.
func (a *assembly) bit(d, n, at int) word {
	if at > 0 {
		a.put(rightBytes(d, n, at))
		n = d
	}
	return and(d, n, high)
}

// kFormat is where things are in a panel's block of Q4_K or Q5_K.
type kFormat struct {
	name                string
	high, quants, bytes int // high 0: there are no fifth bits
}

var (
	q4K = kFormat{"Q4_K", 0, 256, 2304}
	q5K = kFormat{"Q5_K", 256, 768, 2816}
)

const (
	kScales = 64
	total   = 16 // of a superblock's integers
	lows    = 20 // floats of the minimums
	factor  = 24 // four registers of factors
	six     = 29 // 63 in every byte
)

// scaleMin unpacks the j-th scale or minimum of 16 rows, in bytes, to register factor.
func (a *assembly) scaleMin(j int, minimum bool) {
	if j < 4 {
		i := j
		if minimum {
			i += 4
		}
		a.put(loadQ(factor, rw, kScales+i*16), and(factor, factor, six))
		return
	}
	i := j - 4
	if minimum {
		i = j
	}
	a.put(loadQ(factor, rw, kScales+(j+4)*16), loadQ(factor+1, rw, kScales+i*16), rightBytes(factor+1, factor+1, 6))
	if minimum {
		a.put(rightBytes(factor, factor, 4))
	} else {
		a.put(and(factor, factor, mask))
	}
	a.put(insertLeft(factor, factor+1, 4))
}

// spread widens the 16 bytes in register factor to four registers of integers; the bytes lie in the panel's order.
func (a *assembly) spread(signed bool) {
	a.put(widen(factor+3, factor, 8, signed, true), widen(factor+2, factor, 8, signed, false),
		widen(factor, factor+2, 16, signed, false), widen(factor+1, factor+3, 16, signed, false),
		widen(factor+2, factor+2, 16, signed, true), widen(factor+3, factor+3, 16, signed, true))
}

func (a *assembly) panelK(f kFormat) {
	a.function("panel"+f.name+"NEON", "multiplies 16 interleaved rows of "+f.name+" blocks; totals are sums of 32 activations.", "", panelParameters...)
	for i := range 4 {
		a.put(clear(floats+i), clear(lows+i))
	}
	a.put(splatByte(mask, 15), splatByte(high, 1), splatByte(six, 63))
	a.label("block")
	a.fetchAll(f.bytes)
	for i := range 4 {
		a.put(clear(total + i))
	}
	for j := range 8 {
		a.scaleMin(j, true)
		a.spread(false)
		a.line("MOVW %d(R3), R6", j*4)
		a.put(splatFrom(temp, rtemp))
		for i := range 4 {
			a.put(multiplyAdd(total+i, factor+i, temp))
		}
	}
	a.put(loadS(temp+1, rscale, 0))
	a.accumulate(lows, 32)
	for i := range 4 {
		a.put(clear(total + i))
	}
	for c := range 4 {
		for k := range 2 {
			a.put(loadQ(act, rq, c*64+k*32), loadQ(act+1, rq, c*64+k*32+16))
			for i := range 4 {
				a.put(clear(sums + i))
			}
			for g := range 8 {
				for i := range 4 {
					v := temp + (g*4+i)%2*3
					a.put(loadQ(v, rw, f.quants+c*512+g*64+i*16))
					if k == 0 {
						a.put(and(v, v, mask))
					} else {
						a.put(rightBytes(v, v, 4))
					}
					if f.high > 0 {
						a.put(loadQ(v+1, rw, f.high+g*64+i*16))
						a.put(a.bit(v+1, v+1, c*2+k), insertLeft(v, v+1, 4))
					}
					a.put(group(i, v, g))
				}
			}
			a.scaleMin(c*2+k, false)
			a.spread(false)
			for i := range 4 {
				a.put(multiplyAdd(total+i, factor+i, sums+i))
			}
		}
	}
	a.put(loadS(temp+1, rscale, 0))
	a.accumulate(floats, 0)
	a.superblockEnd(f.bytes, 32)
	for i := range 4 {
		a.put(fsub(floats+i, floats+i, lows+i), storeQ(floats+i, rdst, i*16))
	}
	a.line("RET")
}

func (a *assembly) fetchAll(bytes int) {
	for line := 0; line < bytes; line += 64 {
		a.put(fetch(rw, aheadOf*2+line))
	}
}

// accumulate adds the totals times the factors at an offset and the activations' scale, which is in temp+1.
func (a *assembly) accumulate(to, at int) {
	for i := range 4 {
		a.put(loadD(temp, rw, at+i*8), fromHalf(temp, temp), fmulBy(temp, temp, temp+1), toFloat(total+i, total+i), fmla(to+i, total+i, temp))
	}
}

func (a *assembly) superblockEnd(bytes, totals int) {
	a.line("ADD $%d, R0", bytes)
	a.line("ADD $256, R1")
	a.line("ADD $4, R2")
	a.line("ADD $%d, R3", totals)
	a.line("SUBS $1, R4")
	a.line("BNE block")
}

func (a *assembly) panelQ6_K() {
	const scales, low, upper = 32, 288, 2336
	a.function("panelQ6_KNEON", "multiplies 16 interleaved rows of Q6_K blocks; totals are not read.", "", panelParameters...)
	for i := range 4 {
		a.put(clear(floats + i))
	}
	a.put(splatByte(mask, 15), splatByte(high, 3), splatByte(six, 32))
	a.label("block")
	a.fetchAll(3360)
	for i := range 4 {
		a.put(clear(total + i))
	}
	for n := range 2 {
		for k := range 4 {
			a.put(loadQ(act, rq, n*128+k*32), loadQ(act+1, rq, n*128+k*32+16))
			for g := range 8 {
				if g%4 == 0 {
					for i := range 4 {
						a.put(clear(sums + i))
					}
				}
				for i := range 4 {
					v := temp + i%2*2
					a.put(loadQ(v, rw, low+(n*16+k%2*8+g)*64+i*16), loadQ(v+1, rw, upper+(n*8+g)*64+i*16))
					if k > 1 {
						a.put(rightBytes(v, v, 4))
					} else {
						a.put(and(v, v, mask))
					}
					a.put(a.bit(v+1, v+1, k*2), insertLeft(v, v+1, 4), subBytes(v, v, six), group(i, v, g))
				}
				if g%4 == 3 {
					a.put(loadQ(factor, rw, scales+(n*8+k*2+g/4)*16))
					a.spread(true)
					for i := range 4 {
						a.put(multiplyAdd(total+i, factor+i, sums+i))
					}
				}
			}
		}
	}
	a.put(loadS(temp+1, rscale, 0))
	a.accumulate(floats, 0)
	a.superblockEnd(3360, 32)
	for i := range 4 {
		a.put(storeQ(floats+i, rdst, i*16))
	}
	a.line("RET")
}
