// A program whose output tells whether its control flow is what the compiler meant.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
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

// always panics: nothing but the panic leads to its deferred call, and nothing to what follows.
func always(n int) (err error) {
	defer func() { err = fmt.Errorf("recovered %d: %v", n, recover()) }()
	if n%2 == 0 {
		panic(fmt.Sprint("even ", n))
	}
	var p *node
	p.left = nil
	return nil
}

// layered panics in a deferred call while another panic is on its way, in a loop whose defers add up.
func layered(n int) (log []string) {
	defer func() {
		if r := recover(); r != nil {
			log = append(log, fmt.Sprint("outer ", r))
		}
	}()
	for i := range n {
		defer func() {
			if r := recover(); r != nil {
				log = append(log, fmt.Sprint(i, " ", r))
				if i%3 == 0 {
					panic(fmt.Sprint("again ", i))
				}
			}
		}()
	}
	var m map[string]int
	if n > 4 {
		m["x"] = 1
	}
	return append(log, "no panic")
}

// switching yields to other goroutines from deep in loops, panics there, and collects garbage meanwhile.
func switching(seed int) (sum int) {
	results := make(chan int)
	for w := range 4 {
		go func() {
			total := 0
			for i := range 20 {
				func() {
					defer func() {
						if recover() != nil {
							total += 1000
						}
					}()
					for j := range i % 5 {
						if (seed+i+j+w)%7 == 0 {
							runtime.Gosched()
						}
						if (seed*i+j+w)%11 == 3 {
							panic("now")
						}
						total += deep(j+w) % 97
					}
				}()
				if i%8 == w {
					runtime.GC()
				}
			}
			results <- total
		}()
	}
	for range 4 {
		select {
		case v := <-results:
			sum += v
		case <-time.After(time.Minute):
			return -1
		}
	}
	return sum
}

// numbers runs through switches, labelled loops and early exits, driven by a generator of its own.
func numbers(seed uint64) (out []uint64) {
	next := func() uint64 { seed = seed*6364136223846793005 + 1442695040888963407; return seed >> 33 }
outer:
	for len(out) < 40 {
		v := next()
	again:
		switch {
		case v%13 == 0:
			continue outer
		case v%7 == 0:
			v /= 7
			goto again
		case v%5 == 0:
			for k := range 9 {
				if v += uint64(k); v%11 == 0 {
					break outer
				}
				if v%3 == 0 {
					out = append(out, v)
					continue outer
				}
			}
			fallthrough
		case v%2 == 0:
			out = append(out, v^0xff)
		default:
			func() {
				defer func() { _ = recover() }()
				out = append(out, out[len(out)/2], 100/(v%4))
			}()
		}
	}
	return out
}

func main() {
	seed := 0
	if len(os.Args) > 1 {
		seed, _ = strconv.Atoi(os.Args[1])
	}
	fmt.Println(always(seed), always(seed+1))
	fmt.Println(layered(seed % 9))
	fmt.Println("switching", switching(seed))
	fmt.Println(numbers(uint64(seed)))
	switch seed % 8 {
	case 1:
		panic("end")
	case 2:
		var list []int
		fmt.Println(list[seed])
	case 3:
		defer fmt.Println("deferred")
		panic(fmt.Errorf("an error %d", seed))
	case 4:
		defer func() { panic(fmt.Sprint("after ", recover())) }()
		always(seed)
		panic("first")
	case 5:
		<-make(chan int) // all goroutines are asleep
	case 6:
		os.Exit(3)
	}
	if seed > 0 {
		return
	}
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
}
