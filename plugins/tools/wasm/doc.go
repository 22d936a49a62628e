// Command wasm is the guest entry of package tools: it exports the hook of tools, describe and call.
package main

func main() {}
