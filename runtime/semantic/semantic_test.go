package semantic

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/embedding"
)

func TestIndex_FindsWithinTheScopeOnly(t *testing.T) {
	now := time.Unix(1000, 0)
	x := New(embedding.Lexical{}, 8, func() time.Time { return now })
	add := func(scope, key byte, text string, ttl time.Duration) {
		t.Helper()
		f, err := x.Find(context.Background(), [32]byte{scope}, text, 0.97)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Add([32]byte{scope}, text, f.Vector, [32]byte{key}, now.Add(ttl)); err != nil {
			t.Fatal(err)
		}
	}
	find := func(scope byte, text string) byte {
		t.Helper()
		f, err := x.Find(context.Background(), [32]byte{scope}, text, 0.97)
		if err != nil {
			t.Fatal(err)
		}
		if !f.OK {
			return 0
		}
		return f.Key[0]
	}
	add(1, 11, "How do I reset my password?", time.Hour)
	add(1, 12, "How do I pay 20 euros?", time.Minute)
	for _, c := range []struct {
		name  string
		scope byte
		text  string
		want  byte
	}{
		{"the same in other words", 1, "how can i reset my password", 11},
		{"another scope", 2, "How do I reset my password?", 0},
		{"another number", 1, "How do I pay 30 euros?", 0},
		{"the same number", 1, "How can I pay 20 euros?", 12},
	} {
		if got := find(c.scope, c.text); got != c.want {
			t.Errorf("%s: found %d, want %d", c.name, got, c.want)
		}
	}
	now = now.Add(2 * time.Minute)
	if find(1, "How do I pay 20 euros?") != 0 {
		t.Error("found what has expired")
	}
	x.Remove([32]byte{11})
	if find(1, "How do I reset my password?") != 0 {
		t.Error("found what was removed")
	}
	for i := range byte(30) {
		add(3, 100+i, fmt.Sprintf("What is in box %d?", i), time.Hour)
	}
	if n := x.Len(); n > 8 {
		t.Errorf("holds %d questions, more than 8", n)
	}
	if find(3, "What is in box 29?") != 129 {
		t.Error("the youngest is gone")
	}
}
