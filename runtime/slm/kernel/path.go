package kernel

// Path names the kernels that run on this machine.
func Path() string { return "go" }
