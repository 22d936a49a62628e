// Package identity establishes who asks, from a credential: an API key whose hash is stored here, a JSON Web Token that
// is verified against a file of public keys, or a TLS client certificate. It works without a network: nothing is fetched
// and nobody is asked.
//
// What a caller may do follows from its roles; which documents it may read, from its groups and clearance. The package
// decides neither where a credential is found in a request nor what a role opens. Start reading at [Authenticator].
package identity

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Identity is who asks, as the host established it from the credential; nothing in a request or a plugin can change it.
// The zero value of a field means none.
type Identity struct {
	Tenant  string   // every stored key begins with it
	Subject string   // the user, unique within the tenant
	Key     string   // id of the API key, never the key itself
	Roles   []string // what the caller may do; see Roles
	Groups  []string // whose documents the caller may read
	// Models are the routes and models that the caller may name; empty: all.
	Models []string
	// Clearance is the highest classification the caller may read: public, internal, confidential, secret.
	Clearance string
	Purpose   string // what the caller may use documents for
}

// What a caller may do.
const (
	RoleChat      = "chat"       // ask models
	RoleEmbed     = "embed"      // embeddings and reranking
	RoleDocsRead  = "docs.read"  // search documents
	RoleDocsWrite = "docs.write" // add and remove documents
	RoleAdmin     = "admin"      // the tenant's keys, traces, usage and cache
	RoleOperator  = "operator"   // the appliance: metrics, plugins, and every tenant
)

// Roles lists every role.
var Roles = []string{RoleChat, RoleEmbed, RoleDocsRead, RoleDocsWrite, RoleAdmin, RoleOperator}

// Clearances lists the classifications from the lowest to the highest.
var Clearances = []string{"public", "internal", "confidential", "secret"}

// DefaultTenant is whose everything is while no credentials are asked for.
const DefaultTenant = "default"

// Anyone is the identity of every caller while no credentials are asked for.
func Anyone() Identity {
	return Identity{Tenant: DefaultTenant, Roles: Roles, Clearance: Clearances[len(Clearances)-1]}
}

// Has says whether the caller has a role. An operator has all.
func (i *Identity) Has(role string) bool {
	return slices.Contains(i.Roles, role) || slices.Contains(i.Roles, RoleOperator)
}

// MayName says whether the caller may name a route or model.
func (i *Identity) MayName(model string) bool {
	return len(i.Models) == 0 || slices.Contains(i.Models, model)
}

// maxName bounds names that become part of stored keys and of metrics, in bytes.
const maxName = 128

// check refuses names that could not be stored or shown, and roles that mean nothing.
func (i *Identity) check() error {
	if i.Tenant == "" {
		return fmt.Errorf("it names no tenant")
	}
	for _, name := range slices.Concat([]string{i.Tenant, i.Subject, i.Purpose}, i.Groups, i.Models) {
		if err := checkName(name); err != nil {
			return err
		}
	}
	for _, role := range i.Roles {
		if !slices.Contains(Roles, role) {
			return fmt.Errorf("%q is not a role; the roles are %v", role, Roles)
		}
	}
	if i.Clearance != "" && !slices.Contains(Clearances, i.Clearance) {
		return fmt.Errorf("%q is not a clearance; they are %v", i.Clearance, Clearances)
	}
	return nil
}

func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("the name %.20q... is longer than %d bytes", name, maxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("the name %q is not UTF-8", name)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("the name %q holds a control character", name)
		}
	}
	return nil
}
