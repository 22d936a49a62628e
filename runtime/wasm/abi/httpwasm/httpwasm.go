// Package httpwasm implements the host side of the http-wasm handler ABI, the imports "http_handler", which filters for
// HTTP servers such as Traefik use: a guest exports handle_request and handle_response, and reads and changes the
// request and the response through its host. See https://http-wasm.io/http-handler-abi.
//
// Request and response are held whole in an [Exchange], so a guest may read a body and the next handler still gets it.
// Differences to the reference: trailers are not supported, which the ABI has a feature bit for; what cannot be sent as
// HTTP (a name with a line break in it, a URI that does not parse) stops the guest instead of being sent.
//
// The package knows nothing of the engine or of servers; its caller lends it the guest's memory and a [Host]. Start
// reading at [Functions] and [Exchange].
package httpwasm

import (
	"errors"
	"net/http"
)

// Module is the name that guests import the functions from.
const Module = "http_handler"

// Exports of a guest: handle_request () -> i64 and handle_response (i32, i32) -> ().
const (
	HandleRequest  = "handle_request"
	HandleResponse = "handle_response"
)

// Features that a guest may switch on, as bits.
const (
	BufferRequest  = 1 // it may read the request's body after the next handler
	BufferResponse = 2 // it may read and change what the next handler answered
	supported      = BufferRequest | BufferResponse
)

// ErrTooMuch is wrapped by the error for a guest that wrote more than [Exchange.Limit].
var ErrTooMuch = errors.New("wrote too much")

// Host is what a guest gets beside the exchange.
type Host interface {
	// HTTPConfig is the guest's configuration.
	HTTPConfig() []byte
	// HTTPLog takes a line; level is -1 debug, 0 info, 1 warn, 2 error. An error stops the guest.
	HTTPLog(level int, text []byte) error
	// Exchange is what the guest handles, or nil before its first request.
	Exchange() *Exchange
	// Moved counts bytes that were copied, for a host that looks at the clock by it.
	Moved(n int)
	// Features are those that are on; they outlive the exchange when they were switched on before the first one.
	Features() *uint32
}

// Exchange is one request and its response. The caller fills the first part before handle_request, and Response before
// handle_response. Header names are in canonical form; the host is not among them.
type Exchange struct {
	Method, URI, Protocol, Source, Host string
	Header                              http.Header
	Body                                []byte
	Response                            Response
	// Limit bounds the bytes that the guest may write: bodies, header names and values, method and URI.
	Limit int
	// Hidden are names of request headers, in canonical form, that the guest sees nothing of and cannot change.
	Hidden map[string]bool

	after   bool // the next handler has answered
	written int
	read    [2][]byte // what is left to read of the bodies; set once reading began
	reading [2]bool
	writing [2]bool
}

// Response is what goes back to the client.
type Response struct {
	Status int // 0 stands for 200
	Header http.Header
	Body   []byte
}

// Answered says that the next handler is done: Response holds what it answered.
func (x *Exchange) Answered() {
	x.after = true
	x.reading[kindResponse], x.writing[kindResponse] = false, false
}

// The kinds of headers and bodies.
const (
	kindRequest = iota
	kindResponse
	kindRequestTrailers
	kindResponseTrailers
)
