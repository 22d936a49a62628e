package main

// dotLoop lays out the product of n elements of some width with n floats: sixteen at a time, then what is left.
func (a *assembly) dotLoop(name, doc string, width int, load func(v, offset int)) {
	a.function(name, doc, " float32", parameter{"w", "*byte", "R0"}, parameter{"x", "*float32", "R1"}, parameter{"n", "int", "R2"})
	for i := range 4 {
		a.put(clear(i))
	}
	a.label("sixteen")
	for i := range 4 {
		load(8+i, i*4*width)
		a.put(loadQ(16+i, 1, i*16), fmla(i, 8+i, 16+i))
	}
	a.line("ADD $%d, R0", 16*width)
	a.line("ADD $64, R1")
	a.line("SUBS $16, R2")
	a.line("BNE sixteen")
	a.put(fadd(0, 0, 2), fadd(1, 1, 3), fadd(0, 0, 1), addPairs(0, 0, 0), addPairs(0, 0, 0))
	a.line("FMOVS F0, ret+24(FP)")
	a.line("RET")
}

func (a *assembly) dotF32() {
	a.dotLoop("dotF32NEON", "is the product of n float32, a multiple of 16 above 0, with n activations.", 4, func(v, offset int) { a.put(loadQ(v, 0, offset)) })
}

func (a *assembly) dotF16() {
	a.dotLoop("dotF16NEON", "is the product of n half floats, a multiple of 16 above 0, with n activations.", 2, func(v, offset int) {
		a.put(loadD(v, 0, offset), fromHalf(v, v))
	})
}

func (a *assembly) axpy() {
	a.function("axpyNEON", "adds a*x to dst, n elements of each, a multiple of 4 above 0.", "",
		parameter{"dst", "*float32", "R0"}, parameter{"a", "float32", "F0"}, parameter{"x", "*float32", "R1"}, parameter{"n", "int", "R2"})
	a.label("four")
	a.put(loadQ(1, 0, 0), loadQ(2, 1, 0), fmlaBy(1, 2, 0), storeQ(1, 0, 0))
	a.line("ADD $16, R0")
	a.line("ADD $16, R1")
	a.line("SUBS $4, R2")
	a.line("BNE four")
	a.line("RET")
}
