// Command wasm is the guest entry of package injectionguard: it exports the hook guard.
package main

func main() {}
