package vector

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func unit(rng *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	var sum float64
	for i := range v {
		x := rng.NormFloat64()
		v[i] = float32(x)
		sum += x * x
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

// filled returns a set and the floats in it; a few rows are near copies of others, so that order is a close call.
func filled(t testing.TB, seed uint64, rows, dims int) (*Set, [][]float32) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	s, all := NewSet(dims), make([][]float32, rows)
	for i := range all {
		all[i] = unit(rng, dims)
		if i > 0 && i%7 == 0 {
			all[i] = slices.Clone(all[i-1])
			all[i][rng.IntN(dims)] += 1e-4
		}
		if row, err := s.Append(all[i]); err != nil || row != i {
			t.Fatal(row, err)
		}
	}
	return s, all
}

func floats(all [][]float32) func([]int, func(int, []float32)) error {
	return func(rows []int, each func(int, []float32)) error {
		for _, r := range rows {
			each(r, all[r])
		}
		return nil
	}
}

// bruteForce scans the floats.
func bruteForce(all [][]float32, q []float32, k int, allowed func(int) bool) (out []Hit) {
	for i, v := range all {
		if allowed(i) {
			out = append(out, Hit{i, Dot(q, v)})
		}
	}
	slices.SortFunc(out, compareHits)
	return out[:min(k, len(out))]
}

func TestSearch_EqualsBruteForceOverFloats(t *testing.T) {
	for _, dims := range []int{1, 3, 32, 100, 384, 768} {
		s, all := filled(t, uint64(dims), 3000, dims)
		rng := rand.New(rand.NewPCG(7, uint64(dims)))
		allow := make([]uint64, 3000/64) // the last rows lie beyond its end
		for i := range allow {
			switch rng.IntN(3) {
			case 0:
				allow[i] = rng.Uint64() & rng.Uint64()
			case 1:
				allow[i] = ^uint64(0)
			}
		}
		for i := range 30 {
			q := unit(rng, dims)
			if i%3 == 0 {
				q = all[rng.IntN(len(all))]
			}
			for _, k := range []int{1, 10, 200, 5000} {
				for name, mask := range map[string][]uint64{"all": nil, "some": allow, "none": {}} {
					allowed := func(row int) bool {
						return mask == nil || row/64 < len(mask) && mask[row/64]>>(row%64)&1 == 1
					}
					got, err := s.Search(Query{Vector: q, K: k, Allow: mask, Exact: floats(all)})
					if err != nil {
						t.Fatal(err)
					}
					if want := bruteForce(all, q, k, allowed); !slices.Equal(got, want) {
						t.Fatalf("dims %d, k %d, allow %s:\n%v\n%v", dims, k, name, got[:min(5, len(got))], want[:min(5, len(want))])
					}
				}
			}
		}
	}
}

func TestSearch_LoadsFewFloats(t *testing.T) {
	s, all := filled(t, 1, 20000, 384)
	rng := rand.New(rand.NewPCG(2, 2))
	loaded := 0
	for range 20 {
		_, err := s.Search(Query{Vector: unit(rng, 384), K: 10, Exact: func(rows []int, each func(int, []float32)) error {
			loaded += len(rows)
			return floats(all)(rows, each)
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if loaded/20 > 200 {
		t.Errorf("%d rows of 20000 are loaded for 10", loaded/20)
	}
}

func TestSearch_WithoutFloatsIsNearlyRight(t *testing.T) {
	s, all := filled(t, 3, 5000, 384)
	q := all[4711]
	hits, err := s.Search(Query{Vector: q, K: 5})
	if err != nil || len(hits) != 5 || math.Abs(float64(hits[0].Score)-1) > 0.01 {
		t.Fatalf("%v, %v", hits, err)
	}
}

func TestSet_RefusesWhatItCannotHold(t *testing.T) {
	s := NewSet(4)
	nan := float32(math.NaN())
	for _, v := range [][]float32{{1, 2, 3}, {1, 2, 3, nan}, {1, 2, 3, float32(math.Inf(1))}} {
		if _, err := s.Append(v); err == nil {
			t.Errorf("%v was taken", v)
		}
		if _, err := s.Search(Query{Vector: v, K: 1}); err == nil && s.Len() > 0 {
			t.Errorf("%v was asked for", v)
		}
	}
	if _, err := s.AppendCode(Code{Values: make([]int8, 4), Scale: nan}); err == nil {
		t.Error("a code without a scale was taken")
	}
	if _, err := s.Append(make([]float32, 4)); err != nil { // a text without words
		t.Error(err)
	}
	if _, err := s.Search(Query{Vector: []float32{1, 2, 3, nan}, K: 1}); !errors.Is(err, ErrValues) {
		t.Error(err)
	}
	lost := errors.New("lost")
	if _, err := s.Search(Query{Vector: []float32{1, 0, 0, 0}, K: 1, Exact: func([]int, func(int, []float32)) error { return lost }}); !errors.Is(err, lost) {
		t.Error(err)
	}
	if _, err := s.Search(Query{Vector: []float32{1, 0, 0, 0}, K: 1, Exact: func([]int, func(int, []float32)) error { return nil }}); err == nil {
		t.Error("a candidate without floats was scored")
	}
}

func FuzzDotRows(f *testing.F) {
	f.Add([]byte{1, 2, 3, 128, 127, 255}, uint8(3), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, rows, columns uint8) {
		n, width := int(rows%70)+1, (int(columns%40)+1)*align
		codes, query := make([]int8, n*width), make([]int16, width)
		rng := rand.New(rand.NewPCG(uint64(len(raw)), 3))
		for i := range codes {
			codes[i] = int8(rng.Uint32())
			if len(raw) > 0 && rng.IntN(2) == 0 {
				codes[i] = int8(raw[i%len(raw)])
			}
		}
		limit := int32(min(16383, math.MaxInt32/128/width))
		for i := range query {
			query[i] = int16(rng.Int32N(2*limit+1) - limit)
			if rng.IntN(3) == 0 {
				query[i] = int16(limit)
			}
		}
		got, want := make([]int32, n), make([]int32, n)
		dotRows(got, codes, query, width)
		dotRowsGo(want, codes, query, width)
		if !slices.Equal(got, want) {
			t.Fatalf("%d rows of %d: %v, in plain Go %v", n, width, got, want)
		}
	})
}

func FuzzSearch(f *testing.F) {
	f.Add(uint64(1), uint16(100), uint8(16), uint8(3), float32(1))
	f.Fuzz(func(t *testing.T, seed uint64, rows uint16, dims, k uint8, stretch float32) {
		if stretch != stretch || stretch < -1e15 || stretch > 1e15 {
			return
		}
		d := int(dims)%64 + 1
		s, all := filled(t, seed, int(rows)%500+1, d)
		q := unit(rand.New(rand.NewPCG(seed, 9)), d)
		for i := range q {
			q[i] *= stretch
		}
		got, err := s.Search(Query{Vector: q, K: int(k), Exact: floats(all)})
		if err != nil {
			t.Fatal(err)
		}
		if want := bruteForce(all, q, int(k), func(int) bool { return true }); !slices.Equal(got, want) {
			t.Fatalf("%v\n%v", got, want)
		}
	})
}

// BenchmarkSearch compares the scan with one over floats in plain Go, over 100,000 x 384.
func BenchmarkSearch(b *testing.B) {
	const rows, dims = 100_000, 384
	s, all := filled(b, 1, rows, dims)
	q := unit(rand.New(rand.NewPCG(5, 5)), dims)
	half := make([]uint64, rows/64+1)
	for i := range half {
		half[i] = 0x5555555555555555
	}
	for name, allow := range map[string][]uint64{"all": nil, "half": half} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Search(Query{Vector: q, K: 10, Allow: allow, Exact: floats(all)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("floats", func(b *testing.B) {
		for b.Loop() {
			bruteForce(all, q, 10, func(int) bool { return true })
		}
	})
}
