// Command wasm is the guest entry of package piiguard: it exports the hook guard.
package main

func main() {}
