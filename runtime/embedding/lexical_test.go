package embedding

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"strings"
	"testing"
)

func embed(t testing.TB, texts ...string) [][]float32 {
	t.Helper()
	v, err := Lexical{}.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestLexical_GivesUnitVectors(t *testing.T) {
	texts := []string{"a", "The quick brown fox", "日本語のテキスト", strings.Repeat("many words ", 1000), "\xff\xfe x", "42"}
	for i, v := range embed(t, texts...) {
		if len(v) != LexicalDimensions || math.Abs(cosine(v, v)-1) > 1e-5 {
			t.Errorf("%.20q: %d values of length %g", texts[i], len(v), math.Sqrt(cosine(v, v)))
		}
	}
	for _, text := range []string{"", " .,!? ", "\xff"} {
		if v := embed(t, text)[0]; cosine(v, v) != 0 {
			t.Errorf("%q has no word and a vector", text)
		}
	}
}

// Stored vectors are compared with new ones: the function may not change without its version.
func TestLexical_IsFixedByItsVersion(t *testing.T) {
	const text = "The batteries of the Größe-42 pump were replaced; 東京 книги l'eau replaced."
	sum := fnv.New64a()
	for _, x := range embed(t, text)[0] {
		q := int16(math.Round(float64(x) * 4096)) // coarse: platforms may round differently
		sum.Write([]byte{byte(q), byte(q >> 8)})
	}
	const want = 0xab175d79c9746b8a
	if got := sum.Sum64(); got != want {
		t.Errorf("the vector's hash is %#x, not %#x: raise lexicalVersion or terms.Version, and change this number", got, uint64(want))
	}
}

func TestLexical_RelatedTextsAreCloser(t *testing.T) {
	for _, c := range []struct{ query, near, far string }{
		{"how do I replace the battery", "Replacing batteries: open the cover and lift the battery out.", "The invoice is due within thirty days of delivery."},
		{"instalation of the sofware", "Software installation takes ten minutes.", "Staff may take paid leave after a year."}, // misspelt
		{"Kündigungsfrist", "Die Kündigungsfristen betragen drei Monate.", "Die Lieferung erfolgt frei Haus."},
		{"resiliation du contrat", "Le contrat peut être résilié, la résiliation prend effet en mars.", "Le jardin est ouvert en été."},
		{"сроки поставки", "Срок поставки составляет десять дней.", "Сотрудники получают отпуск."},
		{"東京の天気", "明日の東京の天気は晴れです", "会議は三時に始まります"},
		{"error E4711", "E4711: the pump has no pressure", "E4712: the door is open"},
		{"database connections", "The database-connection pool", "The swimming pool connects to the bar"},
	} {
		v := embed(t, c.query, c.near, c.far)
		if near, far := cosine(v[0], v[1]), cosine(v[0], v[2]); near < far+0.1 {
			t.Errorf("%q: %.2f to %q, %.2f to %q", c.query, near, c.near, far, c.far)
		}
	}
}

func TestLexical_UnrelatedTextsAreNearlyOrthogonal(t *testing.T) {
	v := embed(t, "The turbine's bearings are greased every 400 hours.", "Holiday requests go to the line manager.",
		"Our wines come from the southern slopes.", "Der Antrag ist schriftlich zu stellen.", "Press F5 to reload this page")
	for i := range v {
		for j := range i {
			if c := cosine(v[i], v[j]); math.Abs(c) > 0.2 {
				t.Errorf("texts %d and %d: %.2f", j, i, c)
			}
		}
	}
}

func TestLexical_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Lexical{}).Embed(ctx, []string{"x"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzLexical(f *testing.F) {
	f.Add("The quick brown fox")
	f.Add("日本\xff l'eau 42")
	f.Fuzz(func(t *testing.T, text string) {
		v := embed(t, text, text)
		if n := cosine(v[0], v[1]); math.IsNaN(n) || n != 0 && math.Abs(n-1) > 1e-4 {
			t.Fatalf("%q: squared length %g", text, n)
		}
	})
}

func BenchmarkLexical(b *testing.B) {
	text := strings.Repeat("The bearings of the turbine are greased every four hundred hours by trained staff. ", 8)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		embed(b, text)
	}
}
