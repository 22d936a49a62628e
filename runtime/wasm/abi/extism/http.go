package extism

import (
	"encoding/json"
	"fmt"
	"strings"
)

// HTTPRequest is a guest's request. Method is in upper case. Body is a view of the guest's block.
type HTTPRequest struct {
	Method, URL string
	Headers     map[string]string
	Body        []byte
}

// HTTPResponse answers it. Header names are in lower case.
type HTTPResponse struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

func httpRequest(k *Kernel, s []uint64) error {
	k.httpStatus, k.httpHeaders = 0, nil
	if k.HTTP == nil {
		return fmt.Errorf("http_request: %w: the plugin has no capability http; ask for http in its manifest and grant it in the policy (ledge plugin call: --grant 'http=GET https://HOST')", ErrDenied)
	}
	doc, err := k.Read(s[0])
	if err != nil {
		return err
	}
	var r struct {
		URL     string            `json:"url"`
		Method  string            `json:"method"`
		Headers map[string]string `json:"headers"`
	}
	if err := json.Unmarshal(doc, &r); err != nil {
		return fmt.Errorf("http request: %w", err)
	}
	req := &HTTPRequest{Method: strings.ToUpper(r.Method), URL: r.URL, Headers: r.Headers}
	if req.Method == "" {
		req.Method = "GET"
	}
	k.Free(s[0])
	if s[1] != 0 {
		if req.Body, err = k.Read(s[1]); err != nil {
			return err
		}
	}
	res, err := k.HTTP(req)
	if err != nil {
		return err
	}
	if s[1] != 0 {
		k.Free(s[1])
	}
	k.httpStatus, k.httpHeaders = res.Status, res.Headers
	s[0], err = k.Write(res.Body)
	return err
}

func httpHeaders(k *Kernel, s []uint64) error {
	if k.httpHeaders == nil {
		s[0] = 0
		return nil
	}
	doc, err := json.Marshal(k.httpHeaders)
	if err != nil {
		return err
	}
	s[0], err = k.Write(doc)
	return err
}
