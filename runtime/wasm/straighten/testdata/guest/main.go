// A program whose output tells whether its control flow is what the compiler meant.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
)

type node struct{ left, right *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// deep grows the stack in the middle of a loop: the frames above are entered again after a call.
func deep(n int) (sum int) {
	var pad [64]int
	for i := range 3 {
		pad[i] = n + i
		if n > 0 && i == 1 {
			sum += deep(n-1) % 1000003
		}
		for j := range pad {
			sum += pad[j] * (j + 1)
		}
	}
	return sum
}

func collatz(limit int) (best, steps int) {
outer:
	for i := 1; i < limit; i++ {
		n, s := i, 0
		for n != 1 {
			if n%2 == 0 {
				n /= 2
			} else {
				n = 3*n + 1
			}
			if s++; s > 200 {
				continue outer
			}
		}
		if s > steps {
			best, steps = i, s
		}
	}
	return
}

func words(s string) map[string]int {
	m := map[string]int{}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\n':
			i++
			continue
		case c >= '0' && c <= '9':
			j := i
			for j < len(s) && s[j] >= '0' && s[j] <= '9' {
				j++
			}
			m["#"]++
			i = j
		default:
			j := i
			for j < len(s) && s[j] != ' ' && s[j] != '\n' {
				j++
			}
			m[s[i:j]]++
			i = j
		}
	}
	return m
}

func guarded(list []int, at int) (v int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	for i := range at {
		v += list[i]
	}
	return v, nil
}

func pipeline(n int) int {
	in, out := make(chan int), make(chan int)
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for v := range in {
				for k := range w + 1 {
					v += k
				}
				out <- v
			}
		}()
	}
	go func() {
		for i := range n {
			in <- i
		}
		close(in)
		wg.Wait()
		close(out)
	}()
	count := 0
	for range out {
		count++
	}
	return count
}

func main() {
	primes := make([]bool, 2000)
	for i := 2; i < len(primes); i++ {
		if primes[i] {
			continue
		}
		for j := i * i; j < len(primes); j += i {
			primes[j] = true
		}
	}
	n := 0
	for _, composite := range primes {
		if !composite {
			n++
		}
	}
	fmt.Println("primes", n)
	fmt.Println("tree", tree(10).count())
	fmt.Println("deep", deep(500))
	fmt.Println(collatz(3000))
	m := words(strings.Repeat("one 22 three\nfour 5 one ", 50))
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		fmt.Print(k, "=", m[k], " ")
	}
	fmt.Println()
	fmt.Println(guarded([]int{1, 2, 3}, 3))
	fmt.Println(guarded([]int{1, 2, 3}, 4))
	fmt.Println("pipeline", pipeline(300))
	sorted := make([]int, 500)
	for i := range sorted {
		sorted[i] = i * 7919 % 501
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	fmt.Println(sort.IntsAreSorted(sorted), sorted[:5])
	if len(os.Args) > 1 {
		panic("end")
	}
}
