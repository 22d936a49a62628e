package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/model"
)

// Adapter is a LoRA adapter that requests may name.
type Adapter struct {
	name    string
	file    *gguf.File
	weights *model.Adapter
	digest  string
	users   int  // requests
	gone    bool // unloaded: the last user closes it
}

// UnknownAdapterError is a request for an adapter that is not loaded.
type UnknownAdapterError struct{ Name string }

func (e *UnknownAdapterError) Error() string {
	return fmt.Sprintf("the adapter %q is not loaded", e.Name)
}

// adapters are the loaded ones. The zero value is ready.
type adapters struct {
	mu     sync.Mutex
	byName map[string]*Adapter
}

// LoadAdapter reads a LoRA adapter and gives it a name for requests. One that is made for another model is refused with
// model.ErrAdapter. A name that is taken goes to the new adapter; requests in work keep the old one.
func (e *Engine) LoadAdapter(name, path string) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	if name == "" {
		return errors.New("an adapter needs a name")
	}
	f, err := gguf.Open(path)
	if err != nil {
		return fmt.Errorf("adapter %s: %w", name, err)
	}
	w, err := e.model.LoadAdapter(f)
	if err != nil {
		return errors.Join(fmt.Errorf("adapter %s: %w", name, err), f.Close())
	}
	a := &Adapter{name: name, file: f, weights: w, digest: digestOf(f)}
	e.adapters.mu.Lock()
	defer e.adapters.mu.Unlock()
	if e.adapters.byName == nil {
		e.adapters.byName = map[string]*Adapter{}
	}
	err = e.adapters.remove(name)
	e.adapters.byName[name] = a
	return err
}

// UnloadAdapter takes an adapter away; requests in work keep it until they end.
func (e *Engine) UnloadAdapter(name string) error {
	e.adapters.mu.Lock()
	defer e.adapters.mu.Unlock()
	if e.adapters.byName[name] == nil {
		return &UnknownAdapterError{name}
	}
	return e.adapters.remove(name)
}

// Adapters lists the names of the loaded adapters.
func (e *Engine) Adapters() []string {
	e.adapters.mu.Lock()
	defer e.adapters.mu.Unlock()
	return slices.Sorted(maps.Keys(e.adapters.byName))
}

// AdapterDigest is the SHA-256 of a loaded adapter's file; ok is false where there is no adapter of the name.
func (e *Engine) AdapterDigest(name string) (digest string, ok bool) {
	e.adapters.mu.Lock()
	defer e.adapters.mu.Unlock()
	if a := e.adapters.byName[name]; a != nil {
		return a.digest, true
	}
	return "", false
}

func (l *adapters) remove(name string) error {
	a := l.byName[name]
	delete(l.byName, name)
	if a == nil {
		return nil
	}
	a.gone = true
	if a.users == 0 {
		return a.file.Close()
	}
	return nil
}

func (l *adapters) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for name := range l.byName {
		errs = append(errs, l.remove(name))
	}
	return errors.Join(errs...)
}

// adapter returns a loaded adapter, nil for no name; the function returned ends its use.
func (e *Engine) adapter(name string) (*Adapter, func(), error) {
	if name == "" {
		return nil, func() {}, nil
	}
	e.adapters.mu.Lock()
	defer e.adapters.mu.Unlock()
	a := e.adapters.byName[name]
	if a == nil {
		return nil, nil, &UnknownAdapterError{name}
	}
	a.users++
	return a, func() {
		e.adapters.mu.Lock()
		defer e.adapters.mu.Unlock()
		if a.users--; a.users == 0 && a.gone {
			a.file.Close() // unmapping has no error worth failing a finished answer for
		}
	}, nil
}
