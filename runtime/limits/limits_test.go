package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ledge-run/ledge/runtime/state"
)

// machine is a clock that a test sets.
type machine struct {
	mu    sync.Mutex
	wall  time.Time
	since time.Duration
	id    string
}

func newMachine() *machine {
	return &machine{wall: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC), since: time.Hour, id: "boot-1"}
}

func (m *machine) clock() *Clock {
	return newClock(func() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.wall },
		func() (string, time.Duration) { m.mu.Lock(); defer m.mu.Unlock(); return m.id, m.since })
}

// pass lets time pass.
func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.since = m.wall.Add(d), m.since+d
}

// jump sets the wall clock.
func (m *machine) jump(d time.Duration) { m.mu.Lock(); m.wall = m.wall.Add(d); m.mu.Unlock() }

// memory is a store without a disk.
type memory struct {
	mu   sync.Mutex
	docs map[string][]byte
	fail atomic.Bool
}

func (m *memory) Load(context.Context) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]byte{}
	for k, v := range m.docs {
		out[k] = v
	}
	return out, nil
}

func (m *memory) Save(_ context.Context, docs map[string][]byte, _ bool) error {
	if m.fail.Load() {
		return errors.New("the disk is full")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs == nil {
		m.docs = map[string][]byte{}
	}
	for k, v := range docs {
		m.docs[k] = v
	}
	return nil
}

func open(t *testing.T, m *machine, store Store, rules ...Rule) *Limiter {
	t.Helper()
	l, err := New(context.Background(), rules, store, m.clock(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func refused(t *testing.T, err error, what string) *Exceeded {
	t.Helper()
	var e *Exceeded
	if !errors.As(err, &e) || !strings.Contains(e.What, what) {
		t.Fatalf("got %v, want a refusal for %q", err, what)
	}
	return e
}

func TestRequests_NeverMoreThanTheLimitInAnyMinute(t *testing.T) {
	m := newMachine()
	l := open(t, m, &memory{}, Rule{Name: "r", Per: []string{PerTenant}, RequestsPerMinute: 7})
	var at []time.Duration
	begun := m.since
	for range 4000 { // 400 s in steps of 100 ms
		if le, err := l.Enter(Ask{Tenant: "a"}); err == nil {
			at = append(at, m.since-begun)
			le.Leave(0, 0)
		}
		m.pass(100 * time.Millisecond)
	}
	if len(at) < 7*5 {
		t.Errorf("only %d entered in 400 s", len(at))
	}
	for i := range at {
		if i+7 < len(at) && at[i+7]-at[i] < time.Minute {
			t.Errorf("8 requests within %v", at[i+7]-at[i])
		}
	}
}

func TestEnter_64GoroutinesNeverExceedByOne(t *testing.T) {
	m := newMachine()
	l := open(t, m, &memory{}, Rule{Name: "r", Per: []string{PerTenant}, RequestsPerMinute: 1000},
		Rule{Name: "s", Per: []string{PerUser}, Streams: 5}, Rule{Name: "t", Per: []string{PerRoute}, TokensPerMinute: 100_000},
		Rule{Name: "m", Per: []string{PerTenant}, MoneyPerDay: 3 * Unit})
	var entered, now, most, paid atomic.Int64
	var all sync.WaitGroup
	for g := range 64 {
		all.Go(func() {
			for range 200 {
				le, err := l.Enter(Ask{Tenant: "a", User: fmt.Sprint(g % 2), Route: "r", Prompt: 10, Answer: 20})
				if err != nil {
					le.Leave(0, 0)
					continue
				}
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				entered.Add(1)
				if err := le.Model(context.Background(), "remote", Price{Prompt: Unit / 1000, Answer: Unit / 1000}); err == nil {
					paid.Add(int64(Price{Prompt: Unit / 1000, Answer: Unit / 1000}.Cost(10, 20)))
					now.Add(-1)
					le.Leave(10, 20)
				} else {
					now.Add(-1)
					le.Leave(0, 0)
				}
			}
		})
	}
	all.Wait()
	if entered.Load() > 1000 {
		t.Errorf("%d requests entered, the limit is 1000", entered.Load())
	}
	if most.Load() > 10 {
		t.Errorf("%d at once for 2 users of 5", most.Load())
	}
	if paid.Load() > int64(3*Unit) {
		t.Errorf("%v was spent of 3", Money(paid.Load()))
	}
	if l.Counts()[0].Streams != 0 {
		t.Errorf("streams are left: %+v", l.Counts())
	}
	// One bucket of which all take: exactly the limit gets in.
	l = open(t, m, &memory{}, Rule{Name: "r", Per: []string{PerTenant}, RequestsPerMinute: 1000})
	entered.Store(0)
	for range 64 {
		all.Go(func() {
			for range 100 {
				if le, err := l.Enter(Ask{Tenant: "a"}); err == nil {
					entered.Add(1)
					le.Leave(0, 0)
				}
			}
		})
	}
	all.Wait()
	if entered.Load() != 1000 {
		t.Errorf("%d entered, not 1000", entered.Load())
	}
}

func TestTokens_AreHeldAtMostAndGivenBack(t *testing.T) {
	m := newMachine()
	l := open(t, m, &memory{}, Rule{Name: "t", Per: []string{PerTenant}, TokensPerMinute: 1000, TokensPerDay: 2000, Soft: 0.8})
	one, err := l.Enter(Ask{Tenant: "a", Prompt: 100, Answer: 800})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Enter(Ask{Tenant: "a", Prompt: 100, Answer: 100})
	if e := refused(t, err, "tokens per minute"); e.After <= 0 || e.After > 61*time.Second || e.State.Tokens.Remaining != 100 {
		t.Errorf("%+v", e)
	}
	if _, err := l.Enter(Ask{Tenant: "b", Prompt: 100, Answer: 100}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	one.Leave(100, 50)
	one.Leave(100, 50) // a second end is none
	if s := one.State(); s.Tokens.Remaining != 850 || s.Tokens.Limit != 1000 || len(s.Warnings) != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := l.Enter(Ask{Tenant: "a", Prompt: 900, Answer: 900}); err == nil || !strings.Contains(err.Error(), "shorter answer") {
		t.Errorf("a request that can never fit: %v", err)
	}
	for range 2 {
		m.pass(2 * time.Minute)
		le, err := l.Enter(Ask{Tenant: "a", Prompt: 850})
		if err != nil {
			t.Fatal(err)
		}
		le.Leave(850, 0)
		one = le
	}
	if w := one.State().Warnings; len(w) != 1 || !strings.Contains(w[0], "92% of tokens per day") {
		t.Errorf("warnings %q", w)
	}
	m.pass(2 * time.Minute)
	_, err = l.Enter(Ask{Tenant: "a", Prompt: 200})
	if e := refused(t, err, "tokens per day"); !e.Quota || e.After < 11*time.Hour || e.After > 12*time.Hour {
		t.Errorf("%+v", e)
	}
	m.pass(12 * time.Hour)
	if _, err := l.Enter(Ask{Tenant: "a", Prompt: 200}); err != nil {
		t.Errorf("the next day: %v", err)
	}
}

func TestTier_RulesCountOnceTheModelIsKnown(t *testing.T) {
	m := newMachine()
	l := open(t, m, &memory{}, Rule{Name: "t", Per: []string{PerTenant}, Match: map[string]string{PerTier: "remote"}, RequestsPerMinute: 1})
	for i, tc := range []struct {
		tier string
		ok   bool
	}{{"small", true}, {"remote", true}, {"small", true}, {"remote", false}} {
		le, err := l.Enter(Ask{Tenant: "a"})
		if err == nil {
			err = le.Model(context.Background(), tc.tier, Price{})
		}
		if (err == nil) != tc.ok {
			t.Errorf("%d, %s: %v", i, tc.tier, err)
		}
		le.Leave(0, 0)
	}
}

func TestClock_JumpsNeitherGrantNorLockOut(t *testing.T) {
	rule := Rule{Name: "m", Per: []string{PerTenant}, RequestsPerMinute: 5, MoneyPerDay: 10 * Unit}
	price := Price{Answer: Unit}
	pay := func(l *Limiter, n int) error {
		le, err := l.Enter(Ask{Tenant: "a", Answer: n})
		if err == nil {
			err = le.Model(context.Background(), "remote", price)
		}
		le.Leave(0, n)
		return err
	}
	for name, jump := range map[string]time.Duration{"forward a day": 25 * time.Hour, "forward years": 50000 * time.Hour, "back a day": -25 * time.Hour, "back to 1970": -56 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			m, store := newMachine(), &memory{}
			l := open(t, m, store, rule)
			if err := pay(l, 9); err != nil {
				t.Fatal(err)
			}
			m.jump(jump)
			if err := pay(l, 9); err == nil {
				t.Error("the jump granted a budget")
			}
			for range 3 {
				_ = pay(l, 0)
			}
			if _, err := l.Enter(Ask{Tenant: "a"}); err == nil {
				t.Error("the jump granted a minute")
			}
			m.pass(62 * time.Second)
			if err := pay(l, 0); err != nil {
				t.Errorf("locked out of the minute: %v", err)
			}
			// A restart on the same boot: the wall clock is not asked.
			l.Close()
			m.jump(-jump / 2)
			l = open(t, m, store, rule)
			if err := pay(l, 9); err == nil {
				t.Error("a restart granted a budget")
			}
			for range 36 {
				m.pass(time.Hour)
				l.Counts()
			}
			if err := pay(l, 9); err != nil {
				t.Errorf("still locked out after 36 hours: %v", err)
			}
			// Another boot with an older clock: no time has passed, and the day still ends.
			l.Close()
			m.mu.Lock()
			m.id, m.since, m.wall = "boot-2", time.Second, time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC)
			m.mu.Unlock()
			l = open(t, m, store, rule)
			if err := pay(l, 9); err == nil {
				t.Error("the boot granted a budget")
			}
			for range 36 {
				m.pass(time.Hour)
				l.Counts()
			}
			if err := pay(l, 9); err != nil {
				t.Errorf("locked out after the boot: %v", err)
			}
		})
	}
}

func TestMoney_IsOnTheDiskBeforeItIsSpent(t *testing.T) {
	m, store := newMachine(), &memory{}
	l := open(t, m, store, Rule{Name: "m", Per: []string{PerTenant}, MoneyPerDay: 10 * Unit})
	store.fail.Store(true)
	le, err := l.Enter(Ask{Tenant: "a", Answer: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := le.Model(context.Background(), "remote", Price{Answer: Unit}); err == nil {
		t.Error("money was spent that no disk knows of")
	}
	le.Leave(0, 0)
	store.fail.Store(false)
	if le, err = l.Enter(Ask{Tenant: "a", Answer: 3}); err != nil {
		t.Fatal(err)
	}
	if err := le.Model(context.Background(), "remote", Price{Answer: Unit}); err != nil {
		t.Fatal(err)
	}
	// As if killed here: what comes up knows the three.
	other := open(t, m, &memory{docs: store.docs}, Rule{Name: "m", Per: []string{PerTenant}, MoneyPerDay: 10 * Unit})
	if c := other.Counts(); len(c) != 1 || c[0].MoneyDay != "3.0000" {
		t.Errorf("%+v", c)
	}
	le.Leave(0, 1)
	if c := l.Counts(); c[0].MoneyDay != "1.0000" {
		t.Errorf("%+v", c)
	}
}

// TestKill9 kills a process in the middle of counting, several times, and asks the next one what it knows.
func TestKill9_LosesAtMostASecondAndNoMoney(t *testing.T) {
	if dir := os.Getenv("LEDGE_LIMITS_CHILD"); dir != "" {
		spendUntilKilled(dir)
		return
	}
	dir := t.TempDir()
	rules := childRules()
	var wantTokens, wantMoney int64
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKill9")
		cmd.Env = append(os.Environ(), "LEDGE_LIMITS_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(1200*time.Millisecond, func() { _ = cmd.Process.Kill() })
		said, _ := io.ReadAll(out)
		_ = cmd.Wait()
		// Each line is written after the money was granted: "money tokens milliseconds".
		type line struct{ money, tokens, at int64 }
		var lines []line
		for text := range strings.SplitSeq(string(said), "\n") {
			f := strings.Fields(text)
			if len(f) != 3 {
				continue
			}
			var v [3]int64
			for i := range f {
				v[i], _ = strconv.ParseInt(f[i], 10, 64)
			}
			lines = append(lines, line{v[0], v[1], v[2]})
		}
		if len(lines) < 3 {
			t.Fatalf("round %d: the child did only %d requests: %s", round, len(lines), said)
		}
		last := lines[len(lines)-1]
		for _, l := range lines {
			wantMoney += l.money
			if last.at-l.at >= 1000 {
				wantTokens += l.tokens // older than a second: must be there
			}
		}
		store, err := state.Open(dir, state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := New(context.Background(), rules, store.Limits(), NewClock(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var tokens, money int64
		l.mu.Lock()
		for _, b := range l.buckets {
			tokens, money = max(tokens, b.day.Tokens), max(money, int64(b.day.Money))
		}
		l.mu.Unlock()
		if money < wantMoney {
			t.Errorf("round %d: %v is known, at least %v was spent", round, Money(money), Money(wantMoney))
		}
		if tokens < wantTokens {
			t.Errorf("round %d: %d tokens are known, at least %d were used a second before", round, tokens, wantTokens)
		}
		wantTokens = tokens
		if err := errors.Join(l.Close(), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if wantMoney == 0 || wantTokens == 0 {
		t.Error("nothing was counted")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) == 0 {
		t.Error("no state")
	}
}

func childRules() []Rule {
	return []Rule{{Name: "m", Per: []string{PerTenant}, MoneyPerDay: 1_000_000 * Unit, TokensPerDay: 1 << 50}}
}

func spendUntilKilled(dir string) {
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l, err := New(context.Background(), childRules(), store.Limits(), NewClock(), slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for range 8 {
		go func() {
			for {
				le, err := l.Enter(Ask{Tenant: "a", Prompt: 3, Answer: 4})
				if err == nil {
					err = le.Model(context.Background(), "remote", Price{Prompt: 1000, Answer: 1000})
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				le.Leave(3, 4)
				mu.Lock()
				fmt.Println(7000, 7, time.Now().UnixMilli())
				mu.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute)
}

// A request that went from tier to tier is counted once by limits that know no tier, and by those of a tier with its share.
func TestLease_CountsWhatEachTierUsed(t *testing.T) {
	rules := []Rule{
		{Name: "all", Per: []string{PerTenant}, MoneyPerDay: 1000 * Unit, TokensPerDay: 100000},
		{Name: "remote", Per: []string{PerTenant}, Match: map[string]string{PerTier: "remote"}, MoneyPerDay: 1000 * Unit, TokensPerDay: 100000},
	}
	l := open(t, newMachine(), &memory{}, rules...)
	le, err := l.Enter(Ask{Tenant: "t", Prompt: 100, Answer: 1000})
	if err != nil {
		t.Fatal(err)
	}
	cheap, dear := Price{Prompt: Unit / 1000, Answer: Unit / 1000}, Price{Prompt: Unit / 10, Answer: Unit / 10}
	for _, m := range []struct {
		tier  string
		price Price
	}{{"small", cheap}, {"remote", dear}} {
		if err := le.Model(t.Context(), m.tier, m.price); err != nil {
			t.Fatal(err)
		}
	}
	le.LeaveWith([]Used{{"small", cheap, 100, 10}, {"remote", dear, 100, 20}})
	for name, want := range map[string]struct {
		tokens int64
		money  Money
	}{"all\x00tenant=t": {230, cheap.Cost(100, 10) + dear.Cost(100, 20)}, "remote\x00tenant=t": {120, dear.Cost(100, 20)}} {
		b := l.buckets[name]
		if b == nil || b.day.Tokens != want.tokens || b.day.Money != want.money || b.streams != 0 {
			t.Errorf("%q: %+v, want %+v", name, b, want)
		}
	}
}
