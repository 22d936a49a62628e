// Command wasm is the guest entry of package cachepolicy: it exports the hook cache.
package main

func main() {}
