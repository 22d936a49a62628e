package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/openai"
	"github.com/ledge-run/ledge/runtime/pipeline"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// seededModel is a tiny model with weights of its own.
func seededModel(t *testing.T, seed uint64) string {
	shape := slmtest.Tiny
	shape.Seed = seed
	return writeFile(t, fmt.Sprintf("m%d.gguf", seed), shape.Write)
}

// withModels declares three models under names, and a route over two of them. Two fit into memory.
func withModels(t *testing.T, memory int64) options {
	files := map[string]string{}
	for i, name := range []string{"one", "two", "three"} {
		files[name] = seededModel(t, uint64(i+2))
	}
	lora := writeFile(t, "lora.gguf", func(w io.Writer) error { return slmtest.Tiny.WriteAdapter(w, 5) })
	return func(c *config.Config) {
		c.Model.KVMemory = 1 << 20
		c.ModelMemory = config.Size(memory)
		c.Models = map[string]config.Model{"one": {File: files["one"]}, "two": {File: files["two"], Tier: "large"}, "three": {File: files["three"]}}
		c.Adapters = map[string]config.Adapter{"lora": {File: lora, Base: "three"}}
		r := c.Routes["default"]
		r.Cache = config.CacheUse{}                          // every request reaches a model
		r.Router, r.Guards = config.Stage{}, config.Guards{} // models are what is tested, not plugins on a busy machine
		c.Routes["default"] = r
		r.Models = []string{"two", "lora", "local"}
		c.Routes["both"] = r
	}
}

func states(a *appliance) string {
	var out []string
	for _, m := range a.rt.LocalModels() {
		out = append(out, m.Name+" "+m.State)
	}
	return strings.Join(out, ", ")
}

func TestModels_AreLoadedWhenTheyAreNeeded(t *testing.T) {
	all := withModels(t, 0)
	plenty := open(t, dataDir(t), all)
	need := plenty.rt.LocalModels()[0].Need
	if got := states(plenty); got != "one unloaded, three unloaded, two unloaded" {
		t.Errorf("at the start: %s", got)
	}
	question := func(a *appliance, model string) string {
		t.Helper()
		r := a.post("/v1/chat/completions", ask("Once upon a time", "model", model, "logprobs", true))
		if r.status != 200 {
			t.Fatalf("%s: %d %s", model, r.status, r.body)
		}
		_, probs, _ := strings.Cut(string(r.body), `"logprobs"`)
		return probs
	}
	want := map[string]string{}
	for _, name := range []string{"one", "two", "three", "lora", "default", "both"} {
		want[name] = question(plenty, name)
	}
	if want["default"] != want["one"] || want["both"] != want["two"] || want["one"] == want["two"] || want["three"] == want["lora"] {
		t.Error("names lead to the wrong models")
	}
	plenty.stop()
	// Now in memory for two, from many sides at once: each answer is the same.
	a := open(t, dataDir(t), all, func(c *config.Config) { c.ModelMemory = config.Size(2*need.Total() + 1<<20) })
	var wait sync.WaitGroup
	for w := range 6 {
		wait.Go(func() {
			for i := range 6 {
				name := []string{"one", "two", "three", "lora", "default", "both"}[(w+i*w+i)%6]
				if got := question(a, name); got != want[name] {
					t.Errorf("%s: %s, want %s", name, got, want[name])
				}
			}
		})
	}
	wait.Wait()
	loaded := 0
	unloads := int64(0)
	for _, m := range a.rt.LocalModels() {
		if m.State == "loaded" {
			loaded++
		}
		unloads += m.Unloads
	}
	if loaded != 2 || unloads == 0 {
		t.Errorf("%s, %d unloads", states(a), unloads)
	}
	metrics := string(a.get(a.admin.URL + "/metrics").body)
	for _, m := range []string{`ledge_model_loaded{model="one"}`, `ledge_model_need_bytes{model="two",part="kv"} 1.048576e+06`, `ledge_model_unloads_total{model="three"}`, "ledge_models_memory_limit_bytes"} {
		if !strings.Contains(metrics, m) {
			t.Errorf("metrics lack %s", m)
		}
	}
	if r := a.get(a.admin.URL + "/admin/v1/models"); r.status != 200 || !strings.Contains(string(r.body), `"adapters":["lora"]`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestModels_OneThatCannotFitIsRefusedAtTheStart(t *testing.T) {
	cfg, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = dataDir(t)
	withModels(t, 4<<20)(cfg)
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	_, err = runtime.New(context.Background(), cfg, runtime.Options{})
	for _, want := range []string{"does not fit", "weights", "KV cache 1.0 MiB", "work", "4.0 MiB", "model_memory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v lacks %q", err, want)
		}
	}
	if _, _, planned := runtime.PlanModels(cfg); planned == nil || planned.Error() != err.Error() {
		t.Errorf("the plan says %v", planned)
	}
}

// TestModels_WaitingForRoomHonoursTheDeadline holds the only place with an answer whose reader is slow.
func TestModels_WaitingForRoomHonoursTheDeadline(t *testing.T) {
	all := withModels(t, 0)
	probe := open(t, dataDir(t), all)
	need := probe.rt.LocalModels()[0].Need.Total()
	probe.stop()
	a := open(t, dataDir(t), all, func(c *config.Config) { c.ModelMemory = config.Size(need + 1<<20) })
	request := func(model string) *openai.ChatRequest {
		return &openai.ChatRequest{Model: model, Messages: []openai.Message{{Role: "user", Content: "Once"}}}
	}
	holds, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		var once sync.Once
		held <- a.rt.Chat(context.Background(), "holder", runtime.Identity{Tenant: "t"}, request("one"), func(e pipeline.Event) error {
			if e.Text != "" || e.Finish != "" {
				once.Do(func() { close(holds); <-release })
			}
			return nil
		})
	}()
	<-holds
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := a.rt.Chat(ctx, "waiter", runtime.Identity{Tenant: "t"}, request("two"), func(pipeline.Event) error { return nil })
	if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	close(release)
	if err := <-held; err != nil {
		t.Errorf("the one that held the place: %v", err)
	}
	if r := a.post("/v1/chat/completions", ask("x", "model", "two")); r.status != 200 {
		t.Errorf("after the place was given back: %d %s", r.status, r.body)
	}
}

func TestCompletion_OfTokensAnswersWithTheModelOfTheTokens(t *testing.T) {
	a := open(t, dataDir(t), withModels(t, 0))
	r := a.post("/v1/completions", map[string]any{"model": "both", "prompt": []int{1, 300, 301}, "max_tokens": 3})
	if r.status != 200 || r.header.Get("X-Ledge-Model") != "two" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if r := a.post("/v1/completions", map[string]any{"model": "one", "prompt": []int{1 << 20}}); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
