// Command wasm is the guest entry of package outputguard: it exports the hook guard.
package main

func main() {}
