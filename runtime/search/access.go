package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Classifications, from the least to the most confined. A caller's clearance is the highest one that it may read.
const (
	Public       = "public"
	Internal     = "internal"
	Confidential = "confidential"
	Secret       = "secret"
)

// Classifications lists them in order.
func Classifications() []string { return []string{Public, Internal, Confidential, Secret} }

func level(classification string) int { return slices.Index(Classifications(), classification) }

// Rule says who may read a document. Every part must hold.
type Rule struct {
	Classification string `json:"classification"`
	// Groups: the caller is in one of them. None: everyone in the tenant.
	Groups []string `json:"groups,omitempty"`
	// Purposes: the caller's purpose is one of them. None: any purpose, also none.
	Purposes []string  `json:"purposes,omitempty"`
	Approved bool      `json:"approved"`
	Expires  time.Time `json:"expires,omitzero"` // from then on nobody reads it; zero: never
}

// ErrRule means that a rule has no meaning; nothing is stored under it.
var ErrRule = errors.New("access rule")

// Check says whether the rule has a meaning.
func (r *Rule) Check() error {
	if level(r.Classification) < 0 {
		return fmt.Errorf("%w: the classification %q is not one of %s", ErrRule, r.Classification, strings.Join(Classifications(), ", "))
	}
	for _, list := range [][]string{r.Groups, r.Purposes} {
		if slices.Contains(list, "") {
			return fmt.Errorf("%w: a group or purpose is empty", ErrRule)
		}
	}
	return nil
}

// key is equal for rules that differ in nothing but their time.
func (r *Rule) key() string {
	groups, purposes := slices.Clone(r.Groups), slices.Clone(r.Purposes)
	slices.Sort(groups)
	slices.Sort(purposes)
	return fmt.Sprintf("%s %t %q %q", r.Classification, r.Approved, groups, purposes)
}

// Access is who asks, as the host established it from the credential.
type Access struct {
	Tenant    string
	Subject   string
	Groups    []string
	Clearance string // empty: public only
	Purpose   string
}

// ErrAccess means that it could not be decided what the caller may read. Nothing is returned then.
var ErrAccess = errors.New("what the caller may read cannot be decided, so nothing is returned")

// check says whether the filter can be evaluated for this caller.
func (a *Access) check() error {
	if a.Tenant == "" {
		return fmt.Errorf("%w: the caller has no tenant", ErrAccess)
	}
	if a.Clearance != "" && level(a.Clearance) < 0 {
		return fmt.Errorf("%w: the clearance %q is not one of %s", ErrAccess, a.Clearance, strings.Join(Classifications(), ", "))
	}
	if slices.Contains(a.Groups, "") {
		return fmt.Errorf("%w: a group of the caller has no name", ErrAccess)
	}
	return nil
}

// Scope identifies what the caller may read: callers of equal scope may share answers, as long as the index is the same.
func (a *Access) Scope() string {
	groups := slices.Clone(a.Groups)
	slices.Sort(groups)
	return fmt.Sprintf("%q %q %q %q", a.Tenant, a.Clearance, slices.Compact(groups), a.Purpose)
}

// may evaluates everything of a rule but its time.
func (a *Access) may(r *Rule) bool {
	need := level(r.Classification)
	if need < 0 || need > max(level(a.Clearance), 0) || !r.Approved {
		return false
	}
	if len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(a.Groups, g) }) {
		return false
	}
	return len(r.Purposes) == 0 || a.Purpose != "" && slices.Contains(r.Purposes, a.Purpose)
}
