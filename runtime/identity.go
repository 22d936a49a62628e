package runtime

// Identity is who asks, as the host established it from the credential; nothing in a request or a plugin can change it.
// The zero value of a field means none.
type Identity struct {
	Tenant  string   // every stored key begins with it
	Subject string   // the user, unique within the tenant
	Key     string   // id of the API key, never the key itself
	Roles   []string // what the caller may do: chat, embed, docs.read, docs.write, admin
	Groups  []string // whose documents the caller may read
	// Clearance is the highest classification the caller may read: public, internal, confidential, secret.
	Clearance string
	Purpose   string // what the caller may use documents for
}
