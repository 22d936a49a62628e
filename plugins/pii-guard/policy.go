package piiguard

import (
	"errors"
	"strings"
)

// Entity is a kind of personal data.
type Entity uint8

// The entities. In the configuration their names are in lower case, in spans in upper case.
const (
	Email Entity = iota
	Card
	IBAN
	Phone
	SSN
	IP
	MAC
	NationalID
	Passport
	BirthDate
	Address
	Person
	Organisation
	entityCount
)

var entityNames = [entityCount]string{"EMAIL", "CARD", "IBAN", "PHONE", "SSN", "IP", "MAC", "NATIONAL_ID",
	"PASSPORT", "DATE_OF_BIRTH", "ADDRESS", "PERSON", "ORGANIZATION"}

func entityIndex(name string) Entity {
	for e, n := range entityNames {
		if n == name {
			return Entity(e)
		}
	}
	return entityCount
}

// entityOf is the entity of a name that is one's.
func entityOf(name string) Entity { return byStart[name[0]&31][name[1]&31] }

// byStart has the entities by the first two letters of their names, which are all different.
var byStart = func() (t [32][32]Entity) {
	for e, n := range entityNames {
		t[n[0]&31][n[1]&31] = Entity(e)
	}
	return
}()

// Action says what to do about an entity.
type Action uint8

// The actions.
const (
	ActionRedact Action = iota
	ActionAllow
	ActionBlock
	ActionMask  // keep the last four characters of numbers, the first of words
	ActionToken // replace by a token that the host can turn back in the answer
)

// Policy has an action for each entity. The zero value redacts all of them.
type Policy [entityCount]Action

// ParsePolicy reads "email=redact,card=block,ip=allow". Spaces do not matter; "all" names every entity; what is not
// named is redacted; a later entry goes over an earlier one. An unknown entity or action is an error, because a
// misspelt rule that silently does nothing would let data through.
func ParsePolicy(s string) (Policy, error) {
	var p Policy
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		name, value, ok := strings.Cut(entry, "=")
		if !ok {
			return p, errors.New("pii-guard: entities: " + entry + " is not entity=action")
		}
		var a Action
		switch strings.TrimSpace(value) {
		case "redact":
			a = ActionRedact
		case "allow":
			a = ActionAllow
		case "block":
			a = ActionBlock
		case "mask":
			a = ActionMask
		case "token":
			a = ActionToken
		default:
			return p, errors.New("pii-guard: entities: unknown action in " + entry + "; known are redact, mask, token, allow, block")
		}
		name = strings.TrimSpace(name)
		if name == "all" {
			for e := range p {
				p[e] = a
			}
			continue
		}
		e := entityIndex(strings.ToUpper(name))
		if e == entityCount {
			return p, errors.New("pii-guard: entities: unknown entity in " + entry + "; known are " + strings.ToLower(strings.Join(entityNames[:], ", ")))
		}
		p[e] = a
	}
	return p, nil
}
