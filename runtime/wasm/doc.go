// Package wasm is the sandbox: it loads a WebAssembly module that nobody trusts, and calls its exports under limits
// that the module cannot evade. Fuel, wall-clock time, memory, stack depth, output, logs and host calls are bounded per
// call; every limit ends in an [Error] with a stable [Code]; every call sees fresh guest state.
//
// Guests are Extism plug-ins ([Plugin.Call]) or http-wasm filters ([Plugin.Filter]); abi has a package for each ABI.
//
// The package knows nothing of what plugins are for. It imports nothing of the rest of the project and could be a
// module of its own. What a host lends to a guest beside the guest ABI comes in as [HostFunction] values.
//
// Life of a plugin: [New] makes a [Host]; [Host.Load] checks a module, meters it (package meter) and makes sure that
// its native code is in the cache; the first [Plugin.Call] makes the code resident and starts an instance; instances
// are pooled, restored to their first state after each call, and closed when idle; [Plugin.Close] drains and frees.
//
// Start reading at [Host.Load], then plugin.go, pool.go and instance.go.
package wasm
