// Command wasm is the guest entry of package topicguard: it exports the hook guard.
package main

func main() {}
