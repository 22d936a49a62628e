// Package requests reads labelled requests: files named for a field of knowledge, a request a line under the heading of its
// tier, with \n for a line break. Tests and the training share it; the router does not know of it.
package requests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tiers, by what a request asks for.
//
//	simple   one step from common knowledge or from the text that is given: a fact, a label, yes or no, fields picked out, a
//	         short translation, conversion or correction, a greeting. The answer is a few words, two sentences at most.
//	medium   one piece of work of a known shape: a text, a summary, an explanation, instructions, a small program, ideas.
//	         Nothing is weighed; the answer is a paragraph to a page.
//	complex  several things held against one another, or a chain of steps that depend on each other: an analysis, a choice with
//	         reasons, a proof, a design, a search for causes, a plan under constraints, a long text with many demands.
const (
	Simple = iota
	Medium
	Complex
)

// Tiers are their names.
var Tiers = []string{"simple", "medium", "complex"}

// Request is a labelled one.
type Request struct {
	Text    string
	Domain  string // the file's name, without what follows a dot
	Tier    int
	HeldOut bool // each fourth of its heading: the training leaves it out
}

// Read reads the files of a folder.
func Read(dir string) (out []Request, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no requests in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		domain, _, _ := strings.Cut(filepath.Base(file), ".")
		tier, n := -1, 0
		for line := range strings.SplitSeq(strings.TrimSpace(string(doc)), "\n") {
			if name, ok := strings.CutPrefix(line, "# "); ok {
				if tier, n = slices.Index(Tiers, name), 0; tier >= 0 {
					continue
				}
			}
			if tier < 0 {
				return nil, fmt.Errorf("%s: %q stands under no tier", file, line)
			}
			out = append(out, Request{strings.ReplaceAll(line, `\n`, "\n"), domain, tier, n%4 == 3})
			n++
		}
	}
	return out, nil
}
