package model

// rotation is which pairs of dimensions RoPE turns.
type rotation int

const (
	rotateNeighbours rotation = iota
	rotateHalves
	rotateNone
)

// gating is how the feed-forward part is gated.
type gating int

const (
	gateSeparate gating = iota // down(act(gate(x)) * up(x))
	gateFused                  // the same, with gate and up one after the other in ffn_up
	gateNone                   // down(act(up(x)))
)

// features is how an architecture differs from the plain form: RMSNorm before the attention and before the feed-forward
// part, RoPE over neighbouring dimensions, a gate with SiLU. What a file may have or not, as biases, is not here: it is
// used where it is there.
type features struct {
	encoder     bool // reads whole texts, every token seeing all of its text, and normalises after each sum
	rotation    rotation
	positions   bool // a learned embedding of each position
	layerNorm   bool // mean and variance in place of RMSNorm
	queryNorm   bool // each head's query and key are normalised before RoPE, in every file
	postNorm    bool // the attention's and the feed-forward part's results are normalised before they are added
	gating      gating
	gelu        bool
	scaledFFN   bool    // the factors of the feed-forward matrices count; elsewhere llama.cpp leaves them out
	embedRoot   bool    // embeddings are multiplied by the square root of their length
	experts     bool    // of which the file may say that each token passes some
	expertsOnly bool    // which must be there
	conv        bool    // layers without key-value heads have a short convolution in the place of attention
	scores      bool    // are capped
	logitCap    float32 // where the file does not say; 0: no cap
	capped      bool    // logits are, where the file says so
	noRope      int     // every so many layers one has no RoPE; 0: all have it
	scales      bool    // the file has factors of embeddings, scores, results and logits, and may turn RoPE off
	tied        bool    // the output is the embedding, whatever the file has
	window      int     // of n layers, all but the last see a sliding window only; 0: none does
	localBase   float32 // RoPE's base in layers with a window, which is not scaled then; 0: as in the others
	windowSize  int     // where the file does not say; 0: then there is none
	// wide is the number of layers of the size whose scores are scaled by the embedding's share of a head, not by the
	// head's length (gemma 27B).
	wide int
}

// architectures lists what can be run, by the name in general.architecture.
//
// Source: llama.cpp, src/models.
var architectures = map[string]features{
	"bert":       {encoder: true, rotation: rotateNone, positions: true, layerNorm: true, gelu: true, gating: gateNone},
	"gemma":      {rotation: rotateHalves, gelu: true, embedRoot: true, tied: true},
	"gemma2":     {rotation: rotateHalves, postNorm: true, gelu: true, embedRoot: true, scores: true, capped: true, logitCap: 30, tied: true, window: 2, windowSize: 4096, wide: 46},
	"gemma3":     {rotation: rotateHalves, queryNorm: true, postNorm: true, gelu: true, embedRoot: true, capped: true, window: 6, localBase: 10000, wide: 62},
	"gpt2":       {rotation: rotateNone, positions: true, layerNorm: true, gelu: true, gating: gateNone},
	"granite":    {scales: true},
	"lfm2":       {rotation: rotateHalves, queryNorm: true, conv: true},
	"llama":      {experts: true, scaledFFN: true},
	"nomic-bert": {encoder: true, rotation: rotateHalves, layerNorm: true},
	"phi3":       {rotation: rotateHalves, gating: gateFused},
	"qwen2":      {rotation: rotateHalves},
	"qwen3":      {rotation: rotateHalves, queryNorm: true, scaledFFN: true},
	"qwen3moe":   {rotation: rotateHalves, queryNorm: true, scaledFFN: true, experts: true, expertsOnly: true},
	"smollm3":    {noRope: 4},
	"stablelm":   {rotation: rotateHalves, layerNorm: true},
	"starcoder2": {rotation: rotateHalves, layerNorm: true, gelu: true, gating: gateNone},
}
