package wasm

import "context"

// Host holds the engine, the cache of native code and the loaded plugins. All methods are safe for concurrent use.
type Host struct{}

// New makes a host.
func New(ctx context.Context, o Options) (*Host, error) { return &Host{}, nil }

// Close closes every plugin, then the engine.
func (h *Host) Close(ctx context.Context) error { return nil }

// Load checks a module and makes it ready to be called.
func (h *Host) Load(ctx context.Context, module []byte, o PluginOptions) (*Plugin, error) {
	return nil, errorf(CodeInternal, "not built in yet")
}

// Plugin is a loaded module. All methods are safe for concurrent use.
type Plugin struct{}

func (p *Plugin) Call(ctx context.Context, c Call) (Result, error) { return Result{}, nil }
func (p *Plugin) Name() string                                     { return "" }
func (p *Plugin) Digest() string                                   { return "" }
func (p *Plugin) ABI() string                                      { return "" }
func (p *Plugin) Exports() []string                                { return nil }
func (p *Plugin) Imports() []Import                                { return nil }
func (p *Plugin) Stats() Stats                                     { return Stats{} }
func (p *Plugin) Close(ctx context.Context) error                  { return nil }

// HostCall is a host function's view of the call it serves.
type HostCall struct{}

func (c *HostCall) Plugin() string                  { return "" }
func (c *HostCall) Tenant() string                  { return "" }
func (c *HostCall) Read(off uint64) ([]byte, error) { return nil, nil }
func (c *HostCall) Write(b []byte) (uint64, error)  { return 0, nil }
