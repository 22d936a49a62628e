package kernel

import (
	_ "embed"
	"encoding/binary"
	"math/bits"
	"sync"
)

// The formats whose blocks are words of a codebook: IQ1, IQ2 and IQ3. A word is 8 or 4 levels; a block has a scale for
// every 16 or 32 values, always odd, and signs beside the words or, in IQ1, shifts.

// codebooksPacked is ggml's codebooks (ggml-common.h), which the formats cannot be read without: a word in 16 bits, each
// level by its number in levels.
//
//go:embed codebooks.bin
var codebooksPacked []byte

// codebook is words of equal length, one after the other.
type codebook []int8

type codebooks struct {
	iq2xxs, iq2xs, iq2s, iq1 codebook // words of 8
	iq3xxs, iq3s             codebook // words of 4
}

var books = sync.OnceValue(func() *codebooks {
	rest := codebooksPacked
	next := func(words, length int, levels ...int8) codebook {
		width := bits.Len(uint(len(levels) - 1))
		out := make(codebook, 0, words*length)
		for i := range words {
			word := int(binary.LittleEndian.Uint16(rest[i*2:]))
			for j := range length {
				out = append(out, levels[word>>(width*j)&(1<<width-1)])
			}
		}
		rest = rest[words*2:]
		return out
	}
	var b codebooks
	b.iq2xxs = next(256, 8, 8, 25, 43)
	b.iq2xs = next(512, 8, 8, 25, 43)
	b.iq2s = next(1024, 8, 8, 25, 43)
	b.iq3xxs = next(256, 4, 4, 12, 20, 28, 36, 44, 52, 62)
	b.iq3s = next(512, 4, 1, 3, 5, 7, 9, 11, 13, 15)
	b.iq1 = next(2048, 8, -1, 0, 1)
	return &b
})

// put writes the i-th word at values from at on, negative where signs has a bit.
func (c codebook) put(q *[256]int8, at, length, i int, signs byte) {
	for j, v := range c[i*length : (i+1)*length] {
		if signs>>j&1 != 0 {
			v = -v
		}
		q[at+j] = v
	}
}

// seven is eight signs of which the last makes their number even.
func seven(n uint32) byte { return byte(n&127) | byte(bits.OnesCount32(n&127)&1)<<7 }

// coded is an unpacked block: values, a scale for every 16 of them, and in IQ1 a shift of an eighth for every 8, with its
// sign.
type coded struct {
	d      float32
	q      [256]int8
	scales [16]int32
	shifts [32]int32
}

// coding is one format of the kind.
type coding struct {
	bytes  int
	factor float32 // of all scales
	shift  bool
	unpack func(c *coded, b *codebooks, src []byte)
}

// codings lists the formats.
var codings = map[Type]*coding{
	IQ1_S:   {bytes: 50, factor: 1, shift: true, unpack: unpackIQ1S},
	IQ1_M:   {bytes: 56, factor: 1, shift: true, unpack: unpackIQ1M},
	IQ2_XXS: {bytes: 66, factor: 0.125, unpack: unpackIQ2XXS},
	IQ2_XS:  {bytes: 74, factor: 0.125, unpack: unpackIQ2XS},
	IQ2_S:   {bytes: 82, factor: 0.125, unpack: unpackIQ2S},
	IQ3_XXS: {bytes: 98, factor: 0.25, unpack: unpackIQ3XXS},
	IQ3_S:   {bytes: 110, factor: 1, unpack: unpackIQ3S},
}

// nibbles sets the scales of 32 values from two numbers below 16.
func (c *coded) nibbles(j int, s byte) {
	c.scales[j*2], c.scales[j*2+1] = 2*int32(s&15)+1, 2*int32(s>>4)+1
}

func unpackIQ2XXS(c *coded, b *codebooks, src []byte) {
	c.d = half(src)
	for j := range 8 {
		words, rest := src[2+j*8:6+j*8], binary.LittleEndian.Uint32(src[6+j*8:])
		for l, w := range words {
			b.iq2xxs.put(&c.q, j*32+l*8, 8, int(w), seven(rest>>(7*l)))
		}
		s := 2*int32(rest>>28) + 1
		c.scales[j*2], c.scales[j*2+1] = s, s
	}
}

func unpackIQ2XS(c *coded, b *codebooks, src []byte) {
	c.d = half(src)
	for j := range 8 {
		for l := range 4 {
			w := binary.LittleEndian.Uint16(src[2+j*8+l*2:])
			b.iq2xs.put(&c.q, j*32+l*8, 8, int(w&511), seven(uint32(w>>9)))
		}
		c.nibbles(j, src[66+j])
	}
}

func unpackIQ2S(c *coded, b *codebooks, src []byte) {
	c.d = half(src)
	for j := range 8 {
		high := int(src[66+j])
		for l := range 4 {
			b.iq2s.put(&c.q, j*32+l*8, 8, int(src[2+j*4+l])|high<<(8-2*l)&0x300, src[34+j*4+l])
		}
		c.nibbles(j, src[74+j])
	}
}

func unpackIQ3XXS(c *coded, b *codebooks, src []byte) {
	c.d = half(src)
	for j := range 8 {
		rest := binary.LittleEndian.Uint32(src[66+j*4:])
		for l := range 8 {
			signs := seven(rest>>(l/2*7)) >> (l & 1 * 4)
			b.iq3xxs.put(&c.q, j*32+l*4, 4, int(src[2+j*8+l]), signs)
		}
		s := 2*int32(rest>>28) + 1
		c.scales[j*2], c.scales[j*2+1] = s, s
	}
}

func unpackIQ3S(c *coded, b *codebooks, src []byte) {
	c.d = half(src)
	for j := range 8 {
		high := int(src[66+j])
		for l := range 8 {
			signs := src[74+j*4+l/2] >> (l & 1 * 4)
			b.iq3s.put(&c.q, j*32+l*4, 4, int(src[2+j*8+l])|high<<(8-l)&256, signs)
		}
		s := 2*int32(src[106+j/2]>>(j&1*4)&15) + 1
		c.scales[j*2], c.scales[j*2+1] = s, s
	}
}

func unpackIQ1S(c *coded, b *codebooks, src []byte) {
	c.d = half(src)
	for j := range 8 {
		high := binary.LittleEndian.Uint16(src[34+j*2:])
		for l := range 4 {
			b.iq1.put(&c.q, j*32+l*8, 8, int(src[2+j*4+l])|int(high>>(3*l)&7)<<8, 0)
			c.shifts[j*4+l] = 1 - 2*int32(high>>15)
		}
		s := 2*int32(high>>12&7) + 1
		c.scales[j*2], c.scales[j*2+1] = s, s
	}
}

func unpackIQ1M(c *coded, b *codebooks, src []byte) {
	scale := func(i int) uint16 { return binary.LittleEndian.Uint16(src[48+i*2:]) }
	c.d = F16ToF32(scale(0)>>12 | scale(1)>>8&0xf0 | scale(2)>>4&0xf00 | scale(3)&0xf000)
	for j := range 8 {
		for l := range 4 {
			high := int(src[32+j*2+l/2] >> (l & 1 * 4))
			b.iq1.put(&c.q, j*32+l*8, 8, int(src[j*4+l])|high&7<<8, 0)
			c.shifts[j*4+l] = 1 - 2*int32(high>>3&1)
		}
		s := scale(j/2) >> (j & 1 * 6)
		c.scales[j*2], c.scales[j*2+1] = 2*int32(s&7)+1, 2*int32(s>>3&7)+1
	}
}

// shiftBy is how far IQ1's values are moved.
const shiftBy = 0.125

func (f *coding) dequantize(dst []float32, src []byte) {
	var c coded
	for ; len(dst) > 0; dst, src = dst[256:], src[f.bytes:] {
		f.unpack(&c, books(), src[:f.bytes])
		for i, v := range c.q {
			scale, x := c.d*float32(c.scales[i/16])*f.factor, float32(v)
			if f.shift {
				x += shiftBy * float32(c.shifts[i/8])
			}
			dst[i] = scale * x
		}
	}
}

func (f *coding) dot(w []byte, a *activation) float32 {
	var c coded
	var sum lanes
	shift := float32(0)
	for b, d := range a.scale {
		f.unpack(&c, books(), w[b*f.bytes:(b+1)*f.bytes])
		q := a.q[b*256 : b*256+256]
		var total [8]int32
		for i := 0; i < 256; i += 4 {
			total[i/4%8] += c.scales[i/16] * dotInts(c.q[i:i+4], q[i:i+4])
		}
		sum.addFused(c.d*d, &total)
		if f.shift {
			shifted := int32(0)
			for i, way := range c.shifts {
				eight := int32(0)
				for _, v := range q[i*8 : i*8+8] {
					eight += int32(v)
				}
				shifted += c.scales[i/2] * way * eight
			}
			shift += float32(c.d * d * float32(shifted))
		}
	}
	return f.factor*sum.total() + shiftBy*shift
}
