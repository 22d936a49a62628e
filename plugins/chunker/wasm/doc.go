// Command wasm is the guest entry of package chunker: it exports the hook chunk.
package main

func main() {}
