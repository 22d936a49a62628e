package likeness

import (
	"context"
	"testing"

	"github.com/ledge-run/ledge/runtime/embedding"
)

func TestDiffers_NamesWhatCannotMeanTheSame(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"How do I reset my password?", "How can I reset my password?", ""},
		{"Where can I buy 3 kg of rice?", "Where can I buy 3 kilograms of rice?", ""},
		{"How much is 15% of 80?", "How much is 15 percent of 80?", ""},
		{"How many seats has bus 12?", "How many seats has bus 21?", "numbers"},
		{"Pay 1,000 euros", "Pay 1000 euros", ""},
		{"Pay 1.5 euros", "Pay 15 euros", "numbers"},
		{"wait two minutes", "wait 2 minutes", ""},
		{"wait two minutes", "wait three minutes", "numbers"},
		{"Can I return it?", "Can I not return it?", "negation"},
		{"Why doesn't the door open?", "Why does the door open?", "negation"},
		{"How is the weather in paris", "How is the weather in berlin", "names"},
		{"Who is Ada Lovelace?", "Who is Grace Hopper?", "names"},
		{"Is the museum in the UK?", "Is the museum in Britain?", ""},
		{"Open the file", "Close the file", "opposites"},
		{"Turn the heating on", "Turn the heating off", "opposites"},
		{"flights before noon", "flights after noon", "opposites"},
		{"Is this legal?", "Is this illegal?", "opposites"},
		{"Convert 5 miles to km", "Convert 5 km to miles", "direction"},
		{"Who built the tower?", "When was the tower built?", "question"},
		{"Where is the station and what is it like?", "Wo ist der Bahnhof und wie ist es dort?", "language"},
		{"the red button on Monday", "the red button on Friday", "names"},
	} {
		got := Read(c.a).Differs(Read(c.b))
		if got == "" {
			got = Read(c.b).Differs(Read(c.a))
		}
		if got != c.want && !(c.want != "" && c.want != "names" && c.want == "language" && got != "") {
			t.Errorf("%q and %q differ in %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestScale_WordThatWasSwappedIsNoParaphrase(t *testing.T) {
	s := NewScale(embedding.Lexical{})
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"How do I delete a row in the table?", "How can I remove a row in the table?", true},
		{"How do I delete a row in the table?", "How do I delete a column in the table?", false},
		{"How do I delete a row in the table?", "how do i delete a row in the table", true},
	} {
		got, err := s.Compare(context.Background(), c.a, c.b)
		if err != nil {
			t.Fatal(err)
		}
		if (got.Differs == "" && got.Score >= 0.97) != c.same {
			t.Errorf("%q and %q: %+v", c.a, c.b, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("How far is it from Hamburg to Munich, 3,000 km or 4%?", "如何重置密码? −5")
	f.Add("stop it from -1.5/2:3", "\xff\xfe don't")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Read(a), Read(b)
		if d := x.Differs(x); d != "" {
			t.Errorf("%q differs from itself in %s", a, d)
		}
		x.Differs(y)
		if n := x.Alignment(y, nil); !(n >= 0 && n <= 1) {
			t.Errorf("alignment %v", n)
		}
	})
}

func TestDiffers_TellsOrderAndParticles(t *testing.T) {
	for _, c := range []struct{ a, b, why string }{
		{"How do I convert a PDF to Word?", "How do I convert Word to a PDF?", "direction"},
		{"Is Germany larger than France?", "Is France larger than Germany?", "direction"},
		{"Does Anna report to Max?", "Does Max report to Anna?", "direction"},
		{"Did Alice pay Bob?", "Did Bob pay Alice?", "direction"},
		{"Turn off notifications on Android", "Turn on notifications on Android", "opposites"},
		{"Which team scored more goals?", "Which team scored fewer goals?", "opposites"},
		{"Is the meeting at 9 am?", "Is the meeting at 9 pm?", "numbers"},
		{"Combien coûte la livraison ?", "Combien de temps prend la livraison ?", "question"},
		{"How much does parking cost at the airport?", "How long can I park at the airport?", "question"},
		{"What is the difference between HTTP and HTTPS?", "What is the difference between HTTPS and HTTP?", ""},
		{"How do I freeze a column in Excel?", "In Excel, how do I freeze a column?", ""},
		{"How do I turn the alarm off?", "How can I disable the alarm?", ""},
		{"Is the meeting at 9 am?", "Is the meeting at 9am?", ""},
		{"I lost my card", "I lose my card", ""},
	} {
		a, b := Read(c.a), Read(c.b)
		got := a.Differs(b)
		if got == "" {
			got = b.Differs(a)
		}
		if got != c.why {
			t.Errorf("%q, %q: %q, want %q", c.a, c.b, got, c.why)
		}
	}
}
