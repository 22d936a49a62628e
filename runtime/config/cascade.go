package config

// Cascade makes a route's models tiers: an answer that cannot be relied on is not given, and the next model is asked.
type Cascade struct {
	Accept   *float64 `yaml:"accept"`   // confidence from which an answer is accepted; nil: 0.5
	Samples  int      `yaml:"samples"`  // further answers that the first is compared with
	Refusals []string `yaml:"refusals"` // beginnings of answers that are none, beside the built-in ones
	Judges   []Stage  `yaml:"judges"`   // guards of the whole answer: what they do not allow is not accepted
	Human    bool     `yaml:"human"`    // a person is the last tier
	Handover string   `yaml:"handover"` // what the client is told then; empty: a sentence in English
}

// Defaults and bounds of Cascade.
const (
	DefaultAccept = 0.5
	maxSamples    = 8
)

// AcceptFrom is the confidence from which an answer is accepted.
func (c *Cascade) AcceptFrom() float64 {
	if c.Accept == nil {
		return DefaultAccept
	}
	return *c.Accept
}

func (c *Config) validateCascade(path string, r *Route, stage func(path string, s *Stage, fallback string), add func(path, format string, args ...any)) {
	k := r.Cascade
	if k == nil {
		return
	}
	path += ".cascade"
	if a := k.AcceptFrom(); !(a >= 0 && a <= 1) {
		add(path+".accept", "%g is not between 0 and 1", a)
	}
	if k.Samples < 0 || k.Samples > maxSamples {
		add(path+".samples", "%d is not between 0 and %d", k.Samples, maxSamples)
	}
	for i, phrase := range k.Refusals {
		if phrase == "" {
			add(path, "refusals[%d] is empty: every answer would begin with it", i)
		}
	}
	if len(r.Models) < 2 && !k.Human {
		add(path, "the route has one model and no person behind it, so there is nothing to go on to; list more models, or say human: true")
	}
	for i := range k.Judges {
		if s := &k.Judges[i]; s.Mode != "off" {
			stage(path+".judges", s, "closed")
		}
	}
}
