//go:build wasip1

package sdk

// The handlers return what the export must return: 0, or 1 after the error was set. A panic of the author's function
// fails the one call with the panic's message.

// HandleRoute serves the export route.
func HandleRoute(f func(*RouteRequest) (RouteDecision, error)) int32 {
	return handle(func(in []byte) ([]byte, error) {
		req := &desk.route
		if err := req.ParseJSON(in); err != nil {
			return nil, err
		}
		d, err := f(req)
		return d.AppendJSON(desk.out[:0]), err
	})
}

// desk is what a call works on. A call starts from the module's state after its initialization and all it wrote is undone, page
// by page: what lies together costs less than what the allocator strews.
var desk struct {
	route    RouteRequest
	messages [16]Message
	models   [8]Model
	tools    [16]string
	out      [4 << 10]byte
	in       [4 << 10]byte
}

func init() {
	desk.route = RouteRequest{Messages: desk.messages[:0], Models: desk.models[:0], Tools: desk.tools[:0]}
}

// HandleGuard serves the export guard.
func HandleGuard(f func(*GuardRequest) (Verdict, error)) int32 {
	return handle(func(in []byte) ([]byte, error) {
		var req GuardRequest
		if err := req.ParseJSON(in); err != nil {
			return nil, err
		}
		v, err := f(&req)
		return v.AppendJSON(desk.out[:0]), err
	})
}

// HandleChunk serves the export chunk.
func HandleChunk(f func(*Document) (ChunkList, error)) int32 {
	return handleChunk((*Document).ParseJSON, f)
}

// HandleChunkText serves the export chunk_text, which a plugin may have beside chunk: the same, with the text beside the
// JSON and not in it. Long documents are read in half of the time.
func HandleChunkText(f func(*Document) (ChunkList, error)) int32 {
	return handleChunk((*Document).ParseWithText, f)
}

func handleChunk(parse func(*Document, []byte) error, f func(*Document) (ChunkList, error)) int32 {
	return handle(func(in []byte) ([]byte, error) {
		var doc Document
		if err := parse(&doc, in); err != nil {
			return nil, err
		}
		l, err := f(&doc)
		return l.AppendJSON(desk.out[:0]), err
	})
}

// HandleCache serves the export cache.
func HandleCache(f func(*CacheRequest) (CachePlan, error)) int32 {
	return handle(func(in []byte) ([]byte, error) {
		var req CacheRequest
		if err := req.ParseJSON(in); err != nil {
			return nil, err
		}
		p, err := f(&req)
		return p.AppendJSON(desk.out[:0]), err
	})
}

// HandleDescribe serves the export describe.
func HandleDescribe(f func() (ToolList, error)) int32 {
	return handle(func([]byte) ([]byte, error) {
		l, err := f()
		return l.AppendJSON(desk.out[:0]), err
	})
}

// HandleCall serves the export call.
func HandleCall(f func(*ToolRequest) (ToolResult, error)) int32 {
	return handle(func(in []byte) ([]byte, error) {
		var req ToolRequest
		if err := req.ParseJSON(in); err != nil {
			return nil, err
		}
		r, err := f(&req)
		return r.AppendJSON(desk.out[:0]), err
	})
}

func handle(f func(in []byte) ([]byte, error)) (status int32) {
	defer func() {
		if p := recover(); p != nil {
			setError("panic: " + panicText(p))
			status = 1
		}
	}()
	out, err := f(input())
	if err != nil {
		setError(err.Error())
		return 1
	}
	setOutput(out)
	return 0
}

// panicText says what was panicked with. It does without package fmt, which would double the size of a small guest.
func panicText(p any) string {
	switch v := p.(type) {
	case error: // runtime errors too
		return v.Error()
	case string:
		return v
	case interface{ String() string }:
		return v.String()
	}
	return "a value that is neither an error nor a string"
}
