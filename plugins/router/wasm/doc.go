// Command wasm is the guest entry of package router: it exports the hook route.
package main

func main() {}
