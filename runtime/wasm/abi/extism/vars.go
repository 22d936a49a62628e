package extism

import "fmt"

// maxVars bounds how many vars there are, so that many small ones are bounded too.
const maxVars = 16 << 10

// indexFrom is the number of vars from which they are found by an index: mostly there are one or two.
const indexFrom = 16

// Vars are a guest's variables. The zero value is empty. They are not safe for concurrent use.
type Vars struct {
	list  []variable
	index map[string]int // of list; nil while it is short
	bytes int            // of names and values
}

type variable struct {
	name, value []byte
	unset       bool
}

func (v *Vars) find(name []byte) *variable {
	if v.index != nil {
		if i, ok := v.index[string(name)]; ok {
			return &v.list[i]
		}
		return nil
	}
	for i := range v.list {
		if string(v.list[i].name) == string(name) {
			return &v.list[i]
		}
	}
	return nil
}

// get returns nil for a var that is not set.
func (v *Vars) get(name []byte) []byte {
	if x := v.find(name); x != nil && !x.unset {
		return x.value
	}
	return nil
}

// unset keeps the name's place, which costs what an empty var costs.
func (v *Vars) unset(name []byte) {
	if x := v.find(name); x != nil && !x.unset {
		v.bytes -= len(x.value)
		x.value, x.unset = x.value[:0], true
	}
}

func (v *Vars) set(name, value []byte, most int) error {
	x := v.find(name)
	total := v.bytes + len(name) + len(value)
	if x != nil {
		total -= len(x.name) + len(x.value)
	}
	if total > most {
		return fmt.Errorf("%w: at most %d bytes of names and values are allowed", ErrVarsFull, max(most, 0))
	}
	if x == nil && len(v.list) >= maxVars {
		return fmt.Errorf("%w: at most %d are allowed", ErrVarsFull, maxVars)
	}
	v.bytes = total
	if x == nil {
		n := len(v.list)
		if n < cap(v.list) {
			v.list = v.list[:n+1]
		} else {
			v.list = append(v.list, variable{})
		}
		x = &v.list[n]
		x.name = append(x.name[:0], name...)
		if n == indexFrom {
			v.index = make(map[string]int)
			for i := range v.list {
				v.index[string(v.list[i].name)] = i
			}
		} else if v.index != nil {
			v.index[string(name)] = n
		}
	}
	x.value, x.unset = append(x.value[:0], value...), false
	return nil
}

// reset empties it. Room is kept, bytes are not.
func (v *Vars) reset() {
	held := 0
	for i := range v.list {
		held += cap(v.list[i].name) + cap(v.list[i].value)
	}
	if len(v.list) > indexFrom || held > keepBytes {
		v.list, v.index = nil, nil
	}
	v.list, v.bytes = v.list[:0], 0
}

func varGet(k *Kernel, s []uint64) error {
	name, err := k.Read(s[0])
	if err != nil {
		return err
	}
	v := k.vars.get(name)
	k.Free(s[0])
	s[0], err = k.Write(v)
	return err
}

func varSet(k *Kernel, s []uint64) error {
	name, err := k.Read(s[0])
	if err != nil {
		return err
	}
	if s[1] == 0 {
		k.vars.unset(name)
		k.Free(s[0])
		return nil
	}
	value, err := k.Read(s[1])
	if err != nil {
		return err
	}
	k.Moved += len(value)
	if err := k.vars.set(name, value, k.VarBytes); err != nil {
		return err
	}
	k.Free(s[0])
	k.Free(s[1])
	return nil
}
