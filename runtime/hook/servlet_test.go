package hook

import "testing"

// TestServlet_RealShapes: what servlets of mcp.run answer, with the optional members that their bindings write out.
func TestServlet_RealShapes(t *testing.T) {
	var list ToolList
	err := list.ParseJSON([]byte(`{"nextCursor":null,"tools":[{"annotations":null,"name":"greet","description":"Greets.","title":null,
		"inputSchema":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}},{"name":"plain","inputSchema":{"type":"object"}}]}`))
	if err == nil {
		err = list.Check()
	}
	if err != nil || len(list.Tools) != 2 || list.Tools[0].Name != "greet" || list.Tools[0].Description != "Greets." {
		t.Errorf("%+v, %v", list, err)
	}
	for doc, want := range map[string]ToolResult{
		`{"content":[{"annotations":null,"data":null,"mimeType":"text/plain","text":"Hello","type":"text"}],"isError":null}`:                                        {Content: []ToolContent{{Type: "text", Text: "Hello", MimeType: "text/plain"}}},
		`{"_meta":{"a":[1]},"content":[{"type":"text","text":"no","annotations":{"audience":["user"],"priority":0.5}}],"isError":true,"structuredContent":{"a":1}}`: {Content: []ToolContent{{Type: "text", Text: "no"}}, IsError: true},
		`{"content":[{"type":"image","data":"AAAA","mimeType":"image/png"},{"type":"resource","resource":{"uri":"file:///a","text":"x"}}],"isError":false}`:         {Content: []ToolContent{{Type: "image", Data: "AAAA", MimeType: "image/png"}, {Type: "resource"}}},
		`{"content":[]}`: {},
	} {
		var got ToolResult
		if err := got.ParseJSON([]byte(doc)); err != nil || got.IsError != want.IsError || len(got.Content) != len(want.Content) {
			t.Errorf("%s: %+v, %v", doc, got, err)
			continue
		}
		for i, c := range want.Content {
			if got.Content[i] != c {
				t.Errorf("%s: part %d is %+v", doc, i, got.Content[i])
			}
		}
	}
	request := ToolRequest{Method: "tools/call", Params: ToolParams{Name: "greet", Arguments: Raw(`{"name":"Ada"}`)}}
	if got := string(request.AppendJSON(nil)); got != `{"method":"tools/call","params":{"name":"greet","arguments":{"name":"Ada"}}}` {
		t.Errorf("request %s", got)
	}
}
