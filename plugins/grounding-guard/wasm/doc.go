// Command wasm is the guest entry of package groundingguard: it exports the hook guard.
package main

func main() {}
