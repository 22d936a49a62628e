package pipeline

import (
	"slices"
	"strings"

	"github.com/ledge-run/ledge/runtime/search"
)

// assemble makes passages of hits, best first, that have at most budget tokens together by count: near-duplicates are dropped,
// neighbours of one document joined, and the best passages stand first and last, where models read best (Liu et al.,
// "Lost in the Middle", 2023).
func assemble(hits []search.Hit, budget int, count func(text string) int) []Source {
	var list []Source
	var shingles []map[string]bool
	left := budget
	for _, h := range hits {
		if p := h.Parent; p != nil { // found small, read large
			h.Start, h.End, h.Text = p.Start, p.End, p.Text
		}
		if joined(list, &h, &left, count) {
			continue
		}
		own := shinglesOf(h.Text)
		if slices.ContainsFunc(shingles, func(other map[string]bool) bool { return nearlySame(own, other) }) {
			continue
		}
		n := count(h.Text) + count(headLine(h.Document, h.Heading))
		if n > left {
			continue // a shorter one may fit
		}
		left -= n
		list = append(list, Source{Document: h.Document, ID: h.ID, Version: h.Version, Chunks: []string{h.Chunk}, Heading: h.Heading,
			Start: h.Start, End: h.End, Score: h.Score, text: h.Text, expires: h.Expires})
		shingles = append(shingles, own)
	}
	out := edges(list)
	for i := range out {
		out[i].Number = i + 1
	}
	return out
}

// joined puts a hit into a passage that it touches, if what it adds fits.
func joined(list []Source, h *search.Hit, left *int, count func(text string) int) bool {
	for i := range list {
		s := &list[i]
		if s.ID != h.ID || s.Version != h.Version || h.Start > s.End || h.End < s.Start {
			continue
		}
		before, after := max(s.Start-h.Start, 0), max(h.End-s.End, 0)
		n := count(h.Text[:before]) + count(h.Text[len(h.Text)-after:])
		if n > *left {
			return false
		}
		*left -= n
		s.text = h.Text[:before] + s.text + h.Text[len(h.Text)-after:]
		s.Start, s.End = s.Start-before, s.End+after
		if before > 0 {
			s.Chunks, s.Heading = append([]string{h.Chunk}, s.Chunks...), h.Heading
		} else {
			s.Chunks = append(s.Chunks, h.Chunk)
		}
		return true
	}
	return false
}

// edges orders passages, best first, so that the best is first, the second last, the third second, and so on.
func edges(list []Source) []Source {
	out := make([]Source, len(list))
	front, back := 0, len(list)-1
	for i, s := range list {
		if i%2 == 0 {
			out[front] = s
			front++
		} else {
			out[back] = s
			back--
		}
	}
	return out
}

// shingle is the number of words that make one.
const shingle = 4

// shinglesOf are the runs of words of a text.
func shinglesOf(text string) map[string]bool {
	words := strings.Fields(strings.ToLower(text))
	out := make(map[string]bool, len(words))
	for i := 0; i+shingle <= len(words); i++ {
		out[strings.Join(words[i:i+shingle], " ")] = true
	}
	if len(words) < shingle {
		out[strings.Join(words, " ")] = true
	}
	return out
}

// nearlySame says that one of two texts is, to four fifths, in the other.
func nearlySame(a, b map[string]bool) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	shared := 0
	for s := range a {
		if b[s] {
			shared++
		}
	}
	return len(a) > 0 && 5*shared >= 4*len(a)
}
