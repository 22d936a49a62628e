// Command wasm is the guest entry of package secretsguard: it exports the hook guard.
package main

func main() {}
