package hook

// inGuest is the one scanner of a guest, which has one thread and reads one document at a time: what it allocates would be
// undone after the call, page by page.
var inGuest scanner

func newScanner(b []byte) *scanner {
	inGuest = scanner{b: b}
	return &inGuest
}
