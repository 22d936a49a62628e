// Package config reads the one YAML file that describes an appliance. The Go types here are its schema: unknown keys
// and values out of range are errors that show the offending line. Defaults come from policies/default.yaml, whose
// comments are the reference for every key.
//
// The package opens no plugin, model or store. Start reading at [Load].
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config is a whole configuration with every default filled in.
type Config struct {
	Listen         string                  `yaml:"listen"`
	Admin          string                  `yaml:"admin"`
	Origins        []string                `yaml:"origins"` // of web pages that may use the API
	Data           string                  `yaml:"data"`
	Offline        bool                    `yaml:"offline"` // nothing is reached but this host and the networks of Site
	Site           []string                `yaml:"site"`
	TLS            TLS                     `yaml:"tls"`
	Auth           Auth                    `yaml:"auth"`
	Model          Model                   `yaml:"model"`
	Models         map[string]Model        `yaml:"models"`
	ModelMemory    Size                    `yaml:"model_memory"` // 0: four fifths of the device's
	Adapters       map[string]Adapter      `yaml:"adapters"`
	EmbeddingModel Encoder                 `yaml:"embedding_model"`
	RerankModel    Encoder                 `yaml:"rerank_model"`
	Limits         Limits                  `yaml:"limits"`
	Log            Log                     `yaml:"log"`
	Trace          Trace                   `yaml:"trace"`
	Telemetry      Telemetry               `yaml:"telemetry"`
	Review         Review                  `yaml:"review"`
	Cache          Cache                   `yaml:"cache"`
	KV             KV                      `yaml:"kv"`
	Documents      Documents               `yaml:"documents"`
	Sandbox        Sandbox                 `yaml:"sandbox"`
	Plugins        map[string]Plugin       `yaml:"plugins"`
	Routes         map[string]Route        `yaml:"routes"`
	DirectModels   bool                    `yaml:"direct_models"`
	Prices         map[string]Price        `yaml:"prices"` // by model; local: the models on this device
	Upstreams      map[string]Upstream     `yaml:"upstreams"`
	Pools          map[string][]PoolMember `yaml:"pools"`
}

// Model is a model on this device. One of Models takes the numbers that it does not give from Model.
type Model struct {
	File       string `yaml:"file"`
	ID         string `yaml:"id"`
	Threads    int    `yaml:"threads"`
	MaxContext int    `yaml:"max_context"`
	KVMemory   Size   `yaml:"kv_memory"`
	PrefixDisk *Size  `yaml:"prefix_disk"` // 0: prefixes are kept in memory only
	Draft      string `yaml:"draft"`       // GGUF file of a smaller model with the same vocabulary
	Speculate  *bool  `yaml:"speculate"`   // propose tokens
	Tier       string `yaml:"tier"`        // for routers
	Pin        bool   `yaml:"pin"`         // loaded at the start, and never unloaded
}

// Encoder is a model on this device for embeddings or for ranking.
type Encoder struct {
	File    string `yaml:"file"`
	ID      string `yaml:"id"` // empty: the file's name without .gguf
	Threads int    `yaml:"threads"`
	// What a model for embeddings wants before questions and before documents when documents are searched.
	QueryPrefix    string `yaml:"query_prefix"`
	DocumentPrefix string `yaml:"document_prefix"`
}

// Adapter is a LoRA adapter that clients and routes choose by its name.
type Adapter struct {
	File string `yaml:"file"`
	Base string `yaml:"base"` // the model that it is for; empty: the only one
}

// Limits bounds what requests may take.
type Limits struct {
	Body           Size        `yaml:"body"`
	RequestTimeout Duration    `yaml:"request_timeout"`
	Concurrency    int         `yaml:"concurrency"`
	Queue          int         `yaml:"queue"`
	MaxTokens      int         `yaml:"max_tokens"`
	Choices        int         `yaml:"choices"`
	ToolRounds     int         `yaml:"tool_rounds"`
	QueueWait      Duration    `yaml:"queue_wait"` // 0: as long as the client waits
	Rules          []LimitRule `yaml:"rules"`
}

// Log says what is written to standard error.
type Log struct {
	Level   string `yaml:"level"`
	Format  string `yaml:"format"`
	Prompts bool   `yaml:"prompts"`
}

// Trace says how long decision traces are kept and whether they hold text.
type Trace struct {
	Retention Duration `yaml:"retention"`
	MaxSize   Size     `yaml:"max_size"`
	Prompts   bool     `yaml:"prompts"`
}

// Review says how long what guards stopped is kept for a person to look at.
type Review struct {
	Retention Duration `yaml:"retention"`
}

// Cache bounds the answer cache.
type Cache struct {
	MaxSize   Size     `yaml:"max_size"`
	TTL       Duration `yaml:"ttl"`
	Questions int      `yaml:"questions"` // that are compared by meaning, at most
}

// KV bounds the plugins' key-value store.
type KV struct {
	MaxSize Size `yaml:"max_size"`
}

// Documents says how files become documents that routes may answer from.
type Documents struct {
	Chunker        string   `yaml:"chunker"` // plugin
	Chunk          Chunk    `yaml:"chunk"`
	Classification string   `yaml:"classification"` // of documents that name none
	Watch          []Folder `yaml:"watch"`
	Erasures       string   `yaml:"erasures"` // file of the erasures' log; empty: the data directory's name with .erasures
}

// Chunk says how texts are cut, where a file does not say.
type Chunk struct {
	Strategy string `yaml:"strategy"` // empty: the chunker's choice
	Size     int    `yaml:"size"`
	Overlap  int    `yaml:"overlap"`
	Unit     string `yaml:"unit"` // characters or tokens
}

// Folder is a folder whose files become documents, and whose documents go with their files.
type Folder struct {
	Path           string   `yaml:"path"`
	Tenant         string   `yaml:"tenant"`         // empty: default
	Classification string   `yaml:"classification"` // empty: that of Documents
	Groups         []string `yaml:"groups"`
	Purposes       []string `yaml:"purposes"`
	Owner          string   `yaml:"owner"`
}

// Plugin is one sandboxed module: Builtin names one in the binary, File one on disk. Exactly one is set.
type Plugin struct {
	Builtin string            `yaml:"builtin"`
	File    string            `yaml:"file"`
	Config  map[string]string `yaml:"config"`
	Grant   []string          `yaml:"grant"`
	Timeout Duration          `yaml:"timeout"` // 0: the manifest's
	Memory  Size              `yaml:"memory"`  // 0: the manifest's
	Fuel    uint64            `yaml:"fuel"`    // 0: the manifest's
	Seed    *uint64           `yaml:"seed"`    // makes the plugin's random numbers the same in every call
	Breaker Breaker           `yaml:"breaker"`
	Canary  Canary            `yaml:"canary"`
}

// Breaker leaves a plugin alone for OpenFor after Failures failures within Window.
type Breaker struct {
	Failures int      `yaml:"failures"` // 0: 20; negative: never
	Window   Duration `yaml:"window"`   // 0: 10s
	OpenFor  Duration `yaml:"open_for"` // 0: 2s
}

// Canary gives a reloaded module a share of the calls before it gets all.
type Canary struct {
	Share int `yaml:"share"` // percent, 1 to 99; 0: all at once
	Calls int `yaml:"calls"` // calls that it must serve well; 0: 200
}

// Sandbox bounds what any plugin may be granted.
type Sandbox struct {
	Ceiling []string `yaml:"ceiling"`
}

// Route is a pipeline that clients choose by name.
type Route struct {
	Description   string              `yaml:"description"`
	Models        []string            `yaml:"models"`
	System        string              `yaml:"system"`
	PromptVersion string              `yaml:"prompt_version"`
	Router        Stage               `yaml:"router"`
	Examples      map[string][]string `yaml:"examples"` // utterances by what they ask for; the router is told which a request is like
	Guards        Guards              `yaml:"guards"`
	Transform     []Stage             `yaml:"transform"` // http-wasm filters around the route, the outermost first
	Retrieve      *Retrieve           `yaml:"retrieve"`  // nil: the route answers without documents
	Context       *Context            `yaml:"context"`   // nil: a prompt that is too long is refused
	Cascade       *Cascade            `yaml:"cascade"`   // nil: what the chosen model answers is the answer
	Cache         CacheUse            `yaml:"cache"`
	Tools         []string            `yaml:"tools"`
	OfferTools    bool                `yaml:"offer_tools"` // offer them to the model even when the client offers none
	Window        int                 `yaml:"window"`
	Refill        bool                `yaml:"refill"`        // put what guards replaced by tokens back into the answer
	ContextShift  bool                `yaml:"context_shift"` // go on when the context is full, with the older half of it forgotten
	Fallback      []string            `yaml:"fallback"`      // models asked in turn when the chosen one fails before its first text
	SafeAnswer    string              `yaml:"safe_answer"`   // said when they fail as well
	GoOn          bool                `yaml:"go_on"`         // another model of a pool may go on with an answer that broke off
	Priority      int                 `yaml:"priority"`      // of its requests while models on this device have more than they can do; 0 is normal
}

// Stage names the plugin of a stage and what its failure means.
type Stage struct {
	Plugin  string   `yaml:"plugin"`
	OnError string   `yaml:"on_error"` // closed, open
	Timeout Duration `yaml:"timeout"`  // 0: the plugin's
	Mode    string   `yaml:"mode"`     // of a guard: enforce (default), shadow, off
}

// Shadow says that a guard's verdicts are recorded and not carried out.
func (s Stage) Shadow() bool { return s.Mode == "shadow" }

// Open says that the request goes on when the plugin fails.
func (s Stage) Open() bool { return s.OnError == "open" }

// Retrieve makes a route answer from documents, with citations.
type Retrieve struct {
	Chunks   int     `yaml:"chunks"`    // 0: 5
	Budget   int     `yaml:"budget"`    // tokens of the passages; 0: 1500
	Floor    float64 `yaml:"floor"`     // 0: 0.25
	Mode     string  `yaml:"mode"`      // empty: hybrid
	NoAnswer string  `yaml:"no_answer"` // empty: "The documents do not say."
}

// Guards lists the guards of each stage in the order they run.
type Guards struct {
	Input     []Stage `yaml:"input"`
	Retrieval []Stage `yaml:"retrieval"`
	Tool      []Stage `yaml:"tool"`
	Output    []Stage `yaml:"output"`
	Answer    []Stage `yaml:"answer"` // judge the whole answer with the passages it was made from; it is held until then
	// Leak says what becomes of an answer that has the route's system prompt in it: redact, block, shadow, or nothing (empty).
	Leak string `yaml:"leak"`
	// KeepText keeps the text of what they stop, for review; otherwise only its hash is.
	KeepText bool `yaml:"keep_text"`
}

// CacheUse names the plugin that plans the use of the cache. Without one the route has no cache. A plan that fails
// always leaves the cache out, since an answer without it is right.
type CacheUse struct {
	Plugin  string   `yaml:"plugin"`
	TTL     Duration `yaml:"ttl"`
	Stale   Duration `yaml:"stale"` // beyond the TTL, while a new answer is made; never beyond the expiry of a document
	Timeout Duration `yaml:"timeout"`
}

// PoolMember is a model of a pool. Those of the lowest priority number share the requests by weight, the others stand in.
type PoolMember struct {
	Model    string `yaml:"model"`    // local, a model on this device, or UPSTREAM/MODEL
	Weight   int    `yaml:"weight"`   // 0: 1
	Priority int    `yaml:"priority"` // lower ones first
}

// Retry of an upstream. Zero values take the defaults.
type Retry struct {
	Attempts int      `yaml:"attempts"`
	Base     Duration `yaml:"base"`
	Max      Duration `yaml:"max"`
}

// UpstreamBreaker leaves an upstream alone that fails. Zero values take the defaults; Failures below 0 never opens it.
type UpstreamBreaker struct {
	Failures int      `yaml:"failures"`
	Window   Duration `yaml:"window"`
	OpenFor  Duration `yaml:"open_for"`
	Probes   int      `yaml:"probes"`
}

// Upstream is a remote endpoint of the OpenAI, Azure OpenAI or Anthropic API.
type Upstream struct {
	Kind          string          `yaml:"kind"` // openai (default), azure, anthropic
	APIVersion    string          `yaml:"api_version"`
	Retry         Retry           `yaml:"retry"`
	Breaker       UpstreamBreaker `yaml:"breaker"`
	BaseURL       string          `yaml:"base_url"`
	APIKey        Secret          `yaml:"api_key"`
	Models        []string        `yaml:"models"`
	Local         bool            `yaml:"local"` // on this host or in a network of Site: it may be asked offline
	Tier          string          `yaml:"tier"`  // for routers; empty: large for a local one, else remote
	ContextTokens int             `yaml:"context_tokens"`
	Fields        []string        `yaml:"fields"` // of a client's request, that are passed on although guards do not read them
	Timeouts      Timeouts        `yaml:"timeouts"`
}

// Timeouts of an upstream.
type Timeouts struct {
	Connect   Duration `yaml:"connect"`
	FirstByte Duration `yaml:"first_byte"`
	Idle      Duration `yaml:"idle"`
}

// Local is the name a route's Models uses for Model or, where that has no file, for the first of Models by name.
const Local = "local"

// Size is a number of bytes, written as 512, 64KiB, 32MiB or 1GiB.
type Size int64

// UnmarshalYAML reads the number with its unit.
func (s *Size) UnmarshalYAML(decode func(any) error) error {
	v, err := scalarOf(decode)
	if err != nil {
		return err
	}
	*s, err = ParseSize(v.text)
	return v.fault(err)
}

// ParseSize reads a size as a configuration or a flag states it.
func ParseSize(text string) (Size, error) {
	number, shift := strings.TrimSpace(text), 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(number, unit); ok {
			number, shift = strings.TrimSpace(rest), bits
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is not a size; write bytes, or a number with KiB, MiB or GiB", text)
	}
	return Size(n << shift), nil
}

// Duration is a time.Duration, written as 500ms, 30s, 5m or 24h.
type Duration time.Duration

// UnmarshalYAML reads a Go duration.
func (d *Duration) UnmarshalYAML(decode func(any) error) error {
	v, err := scalarOf(decode)
	if err != nil {
		return err
	}
	parsed, err := time.ParseDuration(v.text)
	if err != nil || parsed < 0 {
		return v.fault(fmt.Errorf("%q is not a duration; write for example 500ms, 30s, 5m or 24h", v.text))
	}
	*d = Duration(parsed)
	return nil
}

// D returns the value as the standard type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Secret is a value that may name an environment variable as ${NAME}, and that never prints.
type Secret string

// UnmarshalYAML expands ${NAME}; a variable that is not set is an error.
func (s *Secret) UnmarshalYAML(decode func(any) error) error {
	var missing string
	v, err := scalarOf(decode)
	if err != nil {
		return err
	}
	expanded := os.Expand(v.text, func(name string) string {
		v, ok := os.LookupEnv(name)
		if !ok {
			missing = name
		}
		return v
	})
	if missing != "" {
		return v.fault(fmt.Errorf("the environment variable %s is not set", missing))
	}
	*s = Secret(expanded)
	return nil
}

func (Secret) String() string { return "[secret]" }

// GoString keeps the secret out of %#v.
func (Secret) GoString() string { return "[secret]" }

// DataDir returns the state directory: the one configured, $LEDGE_DATA, or ledge below the user's data directory.
func (c *Config) DataDir() (string, error) {
	if c.Data != "" {
		return c.Data, nil
	}
	if dir := os.Getenv("LEDGE_DATA"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "ledge"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no data directory: set data in the configuration, or give --data DIR: %w", err)
	}
	return filepath.Join(home, ".local", "share", "ledge"), nil
}
