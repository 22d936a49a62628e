package telemetry

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/tracecontext"
)

// The JSON form of OTLP (opentelemetry-proto 1.x): ids in hexadecimal digits, 64-bit integers as strings.

type spansDoc struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []attribute `json:"attributes"`
}

type scope struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type scopeSpans struct {
	Scope scope  `json:"scope"`
	Spans []span `json:"spans"`
}

type span struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	ParentID   string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []attribute `json:"attributes"`
	Status     status      `json:"status"`
}

type status struct {
	Code int `json:"code,omitempty"`
}

// Kinds of spans, and the status of one that failed.
const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3
	statusError  = 2
)

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// value is one of its fields.
type value struct {
	String *string  `json:"stringValue,omitempty"`
	Bool   *bool    `json:"boolValue,omitempty"`
	Int    string   `json:"intValue,omitempty"`
	Double *float64 `json:"doubleValue,omitempty"`
	Array  *array   `json:"arrayValue,omitempty"`
}

type array struct {
	Values []value `json:"values"`
}

// attributes gathers those that say something.
type attributes []attribute

func (a *attributes) text(key, v string) {
	if v != "" {
		*a = append(*a, attribute{key, value{String: &v}})
	}
}

func (a *attributes) number(key string, v int64) {
	*a = append(*a, attribute{key, value{Int: strconv.FormatInt(v, 10)}})
}

func (a *attributes) count(key string, v int) {
	if v > 0 {
		a.number(key, int64(v))
	}
}

func (a *attributes) texts(key string, list []string) {
	if len(list) > 0 {
		values := make([]value, len(list))
		for i := range list {
			values[i].String = &list[i]
		}
		*a = append(*a, attribute{key, value{Array: &array{values}}})
	}
}

func (e *Exporter) resource() resource {
	var a attributes
	a.text("service.name", e.cfg.Service)
	a.text("service.version", e.cfg.Version)
	return resource{a}
}

func (e *Exporter) scope() scope { return scope{"github.com/ledge-run/ledge", e.cfg.Version} }

func (e *Exporter) spans(batch []*pipeline.Trace) spansDoc {
	var all []span
	for _, t := range batch {
		all = e.requestSpans(all, t)
	}
	return spansDoc{[]resourceSpans{{e.resource(), []scopeSpans{{e.scope(), all}}}}}
}

// operations names what endpoints do as the conventions for GenAI do.
var operations = map[string]string{"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}

// Operation is the conventions' name of what an endpoint does; the endpoint's own where they have none.
func Operation(endpoint string) string {
	if o := operations[endpoint]; o != "" {
		return o
	}
	return endpoint
}

// requestSpans appends the span of a request, and those of its stages below it. Reasons stay here: a plugin may have quoted
// the text in them.
func (e *Exporter) requestSpans(all []span, t *pipeline.Trace) []span {
	operation := Operation(t.Endpoint)
	asked := t.Route
	if asked == "" {
		asked = t.Model
	}
	var a attributes
	a.text("gen_ai.operation.name", operation)
	a.text("gen_ai.request.model", asked)
	a.text("gen_ai.response.model", t.Model)
	a.texts("gen_ai.response.finish_reasons", t.Finish)
	a.count("gen_ai.usage.input_tokens", t.Usage.PromptTokens)
	a.count("gen_ai.usage.output_tokens", t.Usage.CompletionTokens)
	a.number("http.response.status_code", int64(t.Status))
	a.text("error.type", t.Code)
	a.text("ledge.request.id", t.ID)
	a.text("ledge.tenant", t.Tenant)
	a.text("ledge.route", t.Route)
	a.text("ledge.cache", t.Cache)
	a.texts("ledge.degraded", t.Degraded)
	if t.FirstTextUS > 0 {
		first := float64(t.FirstTextUS) / 1e6
		a = append(a, attribute{"ledge.time_to_first_text", value{Double: &first}})
	}
	root := span{TraceID: t.TraceID, SpanID: t.SpanID, ParentID: t.ParentID, Name: strings.TrimSpace(operation + " " + asked), Kind: kindServer,
		Start: at(t.Time, 0), End: at(t.Time, t.DurationUS), Attributes: a}
	if t.Status >= 500 {
		root.Status.Code = statusError
	}
	all = append(all, root)
	last := -1 // the model that answered in the end
	for i, s := range t.Stages {
		if s.Stage == "model" {
			last = i
		}
	}
	for i, s := range t.Stages {
		all = append(all, e.stageSpan(t, s, operation, i == last && !t.Reused()))
	}
	return all
}

func (e *Exporter) stageSpan(t *pipeline.Trace, s *pipeline.Entry, operation string, answered bool) span {
	out := span{TraceID: t.TraceID, SpanID: s.SpanID, ParentID: t.SpanID, Kind: kindInternal, Name: strings.TrimSpace(s.Stage + " " + s.Plugin),
		Start: at(t.Time, s.StartUS), End: at(t.Time, s.StartUS+s.DurationUS)}
	if out.SpanID == "" {
		id := tracecontext.NewSpan()
		out.SpanID = hex.EncodeToString(id[:])
	}
	var a attributes
	switch s.Stage {
	case "model":
		p := Provider{Name: "ledge", Model: s.Plugin}
		if e.cfg.Providers != nil {
			if known, ok := e.cfg.Providers(s.Plugin); ok {
				p = known
			}
		}
		out.Name = operation + " " + p.Model
		if p.Remote {
			out.Kind = kindClient
		}
		a.text("gen_ai.operation.name", operation)
		a.text("gen_ai.provider.name", p.Name)
		a.text("gen_ai.request.model", p.Model)
		a.text("server.address", p.Host)
		a.count("server.port", p.Port)
		if answered {
			a.count("gen_ai.usage.input_tokens", t.Usage.PromptTokens)
			a.count("gen_ai.usage.output_tokens", t.Usage.CompletionTokens)
			a.texts("gen_ai.response.finish_reasons", t.Finish)
		}
	case "tool":
		out.Name = "execute_tool " + s.Reason // the tool's name
		a.text("gen_ai.operation.name", "execute_tool")
		a.text("gen_ai.tool.name", s.Reason)
		a.text("gen_ai.tool.type", "function")
		a.text("ledge.plugin", s.Plugin)
	default:
		a.text("ledge.stage", s.Stage)
		a.text("ledge.plugin", s.Plugin)
	}
	a.text("ledge.digest", s.Digest)
	a.text("ledge.verdict", s.Verdict)
	a.count("ledge.calls", s.Calls)
	a.count("ledge.fuel", int(min(s.Fuel, math.MaxInt64)))
	if s.Shadow {
		yes := true
		a = append(a, attribute{"ledge.shadow", value{Bool: &yes}})
	}
	if s.Error != nil {
		a.text("error.type", s.Error.Code)
		out.Status.Code = statusError
	}
	out.Attributes = slices.Clip(a)
	return out
}

// at is a time so many microseconds after another, in nanoseconds since 1970.
func at(t time.Time, us int64) string { return strconv.FormatInt(t.UnixNano()+us*1000, 10) }
