package model

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/slm/gguf"
	"github.com/ledge-run/ledge/runtime/slm/kernel"
	"github.com/ledge-run/ledge/runtime/slm/slmtest"
)

// FuzzLoad changes the headers of small models of every architecture. What loads must also run.
func FuzzLoad(f *testing.F) {
	var models [][]byte
	for i, a := range slmtest.Architectures() {
		var b bytes.Buffer
		if err := a.Write(&b); err != nil {
			f.Fatal(err)
		}
		models = append(models, b.Bytes())
		f.Add(uint16(24), b.Bytes()[24:40], uint8(i))
	}
	pool := kernel.NewPool(1)
	f.Cleanup(pool.Close)
	f.Fuzz(func(t *testing.T, at uint16, patch []byte, which uint8) {
		data := bytes.Clone(models[int(which)%len(models)])
		copy(data[min(int(at), len(data)):], patch)
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		m, err := Load(file, slmtest.ArchVocab, 0)
		if err != nil {
			return
		}
		if m.Layers > 8 || m.Context > 1<<16 {
			return // as slow as it says
		}
		tryModel(t, m, pool)
	})
}

// tryModel passes a few tokens.
func tryModel(t *testing.T, m *Model, pool *kernel.Pool) {
	t.Helper()
	var sc Scratch
	ids := []int32{1, 2, 3}[:min(3, m.Context)]
	if m.Encoder() {
		states, err := m.Encode(context.Background(), pool, &sc, [][]int32{ids})
		if err != nil {
			t.Fatal(err)
		}
		if m.Ranks() {
			if _, err := m.Rank(pool, &sc, states[:m.Dim]); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	kv, err := m.NewKV(kernel.F16)
	if err != nil {
		t.Fatal(err)
	}
	s := kv.NewSequence()
	defer s.Release()
	for range 2 {
		if _, err := m.Forward(context.Background(), pool, &sc, s, ids, true); err != nil && m.positions.Data == nil {
			t.Fatal(err)
		}
	}
}

// TestLoad_RefusesLyingHyperparameters: each is an error, in little time and memory.
func TestLoad_RefusesLyingHyperparameters(t *testing.T) {
	tensors := func(b *gguf.Builder) {
		b.Add("token_embd.weight", kernel.F32, []int{64, slmtest.ArchVocab}, make([]byte, 4*64*slmtest.ArchVocab))
		b.Add("output_norm.weight", kernel.F32, []int{64}, make([]byte, 4*64))
	}
	for name, change := range map[string]func(map[string]any){
		"no architecture":             func(m map[string]any) { delete(m, "general.architecture") },
		"an unknown architecture":     func(m map[string]any) { m["general.architecture"] = "rwkv" },
		"2^32-1 layers":               func(m map[string]any) { m["llama.block_count"] = uint32(1<<32 - 1) },
		"2^63 layers":                 func(m map[string]any) { m["llama.block_count"] = uint64(1 << 63) },
		"1024 layers without tensors": func(m map[string]any) { m["llama.block_count"] = uint32(1024) },
		"no layers":                   func(m map[string]any) { m["llama.block_count"] = uint32(0) },
		"a dimension of 2^32-1":       func(m map[string]any) { m["llama.embedding_length"] = uint32(1<<32 - 1) },
		"no heads":                    func(m map[string]any) { m["llama.attention.head_count"] = uint32(0) },
		"more heads than dimensions":  func(m map[string]any) { m["llama.attention.head_count"] = uint32(1 << 17) },
		"heads that do not divide":    func(m map[string]any) { m["llama.attention.head_count"] = uint32(5) },
		"7 key-value heads":           func(m map[string]any) { m["llama.attention.head_count_kv"] = uint32(7) },
		"heads as text":               func(m map[string]any) { m["llama.attention.head_count"] = "4" },
		"a context of 2^32-1":         func(m map[string]any) { m["llama.context_length"] = uint32(1<<32 - 1) },
		"RoPE over more than a head":  func(m map[string]any) { m["llama.rope.dimension_count"] = uint32(128) },
		"RoPE over an odd number":     func(m map[string]any) { m["llama.rope.dimension_count"] = uint32(3) },
		"a RoPE base of 0":            func(m map[string]any) { m["llama.rope.freq_base"] = float32(0) },
		"an unknown RoPE scaling":     func(m map[string]any) { m["llama.rope.scaling.type"] = "ntk" },
		"a negative RoPE factor":      func(m map[string]any) { m["llama.rope.scaling.factor"] = float32(-1) },
		"a negative epsilon":          func(m map[string]any) { m["llama.attention.layer_norm_rms_epsilon"] = float32(-1) },
		"2^32-1 experts": func(m map[string]any) {
			m["llama.expert_count"] = uint32(1<<32 - 1)
			m["llama.expert_used_count"] = uint32(2)
		},
		"more experts used than there":  func(m map[string]any) { m["llama.expert_count"] = uint32(4); m["llama.expert_used_count"] = uint32(5) },
		"experts of which none is used": func(m map[string]any) { m["llama.expert_count"] = uint32(4); m["llama.expert_used_count"] = uint32(0) },
		"a pooling that is not known":   func(m map[string]any) { m["llama.pooling_type"] = uint32(9) },
		"layers that differ":            func(m map[string]any) { m["llama.feed_forward_length"] = []int32{64, 96} },
	} {
		meta := map[string]any{"general.architecture": "llama", "llama.block_count": uint32(2), "llama.embedding_length": uint32(64),
			"llama.attention.head_count": uint32(4), "llama.feed_forward_length": uint32(96), "llama.context_length": uint32(64)}
		change(meta)
		b := &gguf.Builder{}
		for key, v := range meta {
			b.Set(key, v)
		}
		tensors(b)
		var out bytes.Buffer
		if _, err := b.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Parse(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err = Load(f, slmtest.ArchVocab, 0)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: it was loaded", name)
		}
		if used := after.TotalAlloc - before.TotalAlloc; took > time.Second || used > 100<<20 {
			t.Errorf("%s: it took %v and %d bytes", name, took, used)
		}
	}
}
