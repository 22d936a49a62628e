package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key describes an API key. The key itself is shown once, when it is made; what is kept is its SHA-256: 256 random bits
// cannot be guessed, so that a slow hash would protect nothing and cost every request.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Tenant  string    `json:"tenant"`
	Subject string    `json:"subject,omitempty"`
	Roles   []string  `json:"roles"`
	Groups  []string  `json:"groups,omitempty"`
	Models  []string  `json:"models,omitempty"`
	Created time.Time `json:"created"`

	Clearance string `json:"clearance,omitempty"`
	Purpose   string `json:"purpose,omitempty"`

	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"` // zero: not
}

func (k *Key) identity() Identity {
	subject := k.Subject
	if subject == "" {
		subject = "key:" + k.ID
	}
	return Identity{Tenant: k.Tenant, Subject: subject, Key: k.ID, Roles: k.Roles, Groups: k.Groups, Models: k.Models,
		Clearance: k.Clearance, Purpose: k.Purpose}
}

// Records is where keys are kept. *state.Meta is one.
type Records interface {
	Put(ctx context.Context, name string, value []byte) error
	List(ctx context.Context, prefix string) (map[string][]byte, error)
}

// recordPrefix begins the names of the records of keys.
const recordPrefix = "api-key:"

// record is a key as it is stored.
type record struct {
	Key
	Hash []byte `json:"sha256"`
}

// Keys are the API keys of an appliance. It is safe for concurrent use.
type Keys struct {
	records Records

	mu   sync.RWMutex
	byID map[string]*record
}

// OpenKeys reads the keys that are kept.
func OpenKeys(ctx context.Context, records Records) (*Keys, error) {
	stored, err := records.List(ctx, recordPrefix)
	if err != nil {
		return nil, fmt.Errorf("API keys: %w", err)
	}
	k := &Keys{records: records, byID: make(map[string]*record, len(stored))}
	for name, doc := range stored {
		r := &record{}
		if err := json.Unmarshal(doc, r); err != nil {
			return nil, fmt.Errorf("API key %s: %w", strings.TrimPrefix(name, recordPrefix), err)
		}
		k.byID[r.ID] = r
	}
	return k, nil
}

// A key is ledge_ID_SECRET: the id finds its record, and secret scanners find the prefix.
const (
	keyPrefix   = "ledge_"
	idBytes     = 10 // 16 characters
	secretBytes = 32 // 52 characters
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return letters.EncodeToString(b)
}

// ErrUnknownKey means that no key has the id.
var ErrUnknownKey = errors.New("there is no API key of this id; ledge key ls lists them")

// Add makes a key from what is described, and returns it with its text, which is not kept.
func (k *Keys) Add(ctx context.Context, key Key, now time.Time) (Key, string, error) {
	key.ID, key.Created, key.Revoked = random(idBytes), now.UTC().Truncate(time.Second), time.Time{}
	if err := checkName(key.Name); err != nil {
		return Key{}, "", err
	}
	if len(key.Roles) == 0 {
		key.Roles = []string{RoleChat, RoleEmbed}
	}
	who := key.identity()
	if err := who.check(); err != nil {
		return Key{}, "", err
	}
	if !key.Expires.IsZero() && !key.Expires.After(now) {
		return Key{}, "", errors.New("the key would have expired already")
	}
	text := keyPrefix + key.ID + "_" + random(secretBytes)
	sum := sha256.Sum256([]byte(text))
	r := &record{Key: key, Hash: sum[:]}
	return key, text, k.put(ctx, r)
}

func (k *Keys) put(ctx context.Context, r *record) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := k.records.Put(ctx, recordPrefix+r.ID, doc); err != nil {
		return err
	}
	k.mu.Lock()
	k.byID[r.ID] = r
	k.mu.Unlock()
	return nil
}

// Get returns the key of an id.
func (k *Keys) Get(id string) (Key, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	r := k.byID[id]
	if r == nil {
		return Key{}, false
	}
	return r.Key, true
}

// Revoke ends a key at once and for good; its record stays, for the traces that name it.
func (k *Keys) Revoke(ctx context.Context, id string, now time.Time) (Key, error) {
	k.mu.RLock()
	r := k.byID[id]
	k.mu.RUnlock()
	if r == nil {
		return Key{}, ErrUnknownKey
	}
	if !r.Revoked.IsZero() {
		return r.Key, nil
	}
	ended := *r
	ended.Revoked = now.UTC().Truncate(time.Second)
	return ended.Key, k.put(ctx, &ended)
}

// List returns the keys of a tenant, or of all for an empty one, oldest first.
func (k *Keys) List(tenant string) []Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := []Key{}
	for _, r := range k.byID {
		if tenant == "" || r.Tenant == tenant {
			out = append(out, r.Key)
		}
	}
	slices.SortFunc(out, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// verify finds whose key a text is.
func (k *Keys) verify(text string, now time.Time) (Identity, error) {
	id, _, ok := strings.Cut(strings.TrimPrefix(text, keyPrefix), "_")
	k.mu.RLock()
	r := k.byID[id]
	k.mu.RUnlock()
	sum := sha256.Sum256([]byte(text))
	if !ok || r == nil || subtle.ConstantTimeCompare(sum[:], r.Hash) != 1 {
		return Identity{}, refuse("unknown_key", "the API key is not known here")
	}
	switch {
	case !r.Revoked.IsZero():
		return Identity{}, refuse("revoked", "the API key was revoked")
	case !r.Expires.IsZero() && !now.Before(r.Expires):
		return Identity{}, refuse("expired", "the API key has expired")
	}
	return r.identity(), nil
}
