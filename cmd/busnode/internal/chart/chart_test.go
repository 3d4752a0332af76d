package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("chart.update", false, "write the golden files anew; look at them in a browser")

// curve samples f at n places from a to b.
func curve(f func(float64) float64, a, b float64, n int) []Point {
	points := make([]Point, n)
	for i := range points {
		x := a + (b-a)*float64(i)/float64(n-1)
		points[i] = Point{X: x, Y: f(x)}
	}
	return points
}

// examples are one plot of each sort.
func examples() map[string]*Plot {
	logistic := func(t float64) float64 { return 1 / (1 + math.Exp(10-t)) }
	var bars, band, hops []Point
	for i := range 16 {
		x := float64(i) * 0.02
		bars = append(bars, Point{X: x, XTo: x + 0.02, Y: 0.18 * math.Exp(-(x-0.15)*(x-0.15)*400)})
	}
	for n := 100.0; n <= 1e6; n *= 10 {
		hops = append(hops, Point{X: n, Y: math.Log2(n) + math.Mod(n, 7)/10})
		band = append(band, Point{X: n, Y: math.Log2(n) + 2, YFrom: math.Log2(n) - 1})
	}
	return map[string]*Plot{
		"curves": {
			Title: "Susceptible and removed", Subtitle: "1,000 nodes, push, k = 2", Direct: true,
			Note: "busnode sim --nodes 1000 --rounds --k 2 --seed 4",
			X:    Axis{Label: "cycle", Unit: Count}, Y: Axis{Label: "share of the nodes", Unit: Share, Max: 1},
			Series: []Series{
				{Name: "susceptible", Points: curve(func(t float64) float64 { return 1 - logistic(t) }, 0, 20, 21)},
				{Name: "removed", Points: curve(logistic, 0, 20, 21)},
				{Name: "theory", Points: curve(logistic, 0, 20, 41), Dashed: true, Color: Ink},
			},
		},
		"scaling": {
			Title: "Hops to the last node", X: Axis{Label: "n: nodes", Unit: Count, Log: true}, Y: Axis{Label: "hops"},
			Series: []Series{
				{Name: "measured", Kind: Points, Points: hops, Color: 1},
				{Name: "y = log₂ n", Dashed: true, Points: []Point{{X: 100, Y: math.Log2(100)}, {X: 1e6, Y: math.Log2(1e6)}}},
				{Name: "range", Kind: Area, Points: band, Color: 1},
			},
		},
		"law": {
			Title: "Residue", X: Axis{Label: "m"}, Y: Axis{Label: "s", Unit: Share, Log: true},
			Series: []Series{
				{Name: "push", Kind: Marked, Points: []Point{{X: 1, Y: 0.4, Note: "k = 1"}, {X: 3, Y: 0.04}, {X: 5, Y: 0.007}}},
				{Name: "e⁻ᵐ", Points: curve(func(m float64) float64 { return math.Exp(-m) }, 0, 6, 13), Dashed: true},
			},
		},
		"histogram": {
			Title: "Latency", X: Axis{Label: "latency", Unit: Seconds}, Y: Axis{Label: "deliveries", Unit: Share},
			Series: []Series{{Name: "deliveries", Kind: Bars, Points: bars}},
			Marks:  []Mark{{0.15, "p50 150 ms"}, {0.16, "p90 160 ms"}, {0.3, "max 300 ms"}},
		},
		"faults": {
			Title: "Backlog", X: Axis{Label: "time", Unit: Seconds}, Y: Axis{Label: "backlog", Unit: Bytes},
			Series: []Series{{Name: "backlog", Kind: Steps, Points: []Point{{X: 0, Y: 1e3}, {X: 60, Y: 5e6}, {X: 240, Y: 2e3}}}},
			Bands:  []Band{{60, 120, "partition"}, {90, 0, "crash"}, {900, 1000, "not on the axis"}},
			Width:  360, Height: 300,
		},
		"nothing": {Title: "Nothing"},
	}
}

// wellFormed fails the test unless text is XML.
func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
}

func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.Bytes())
	file := filepath.Join("testdata", name+".svg")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s is drawn otherwise; look at it, then run this test with -chart.update", name)
	}
}

func TestGolden(t *testing.T) {
	for name, p := range examples() {
		golden(t, name, p.Write)
	}
	golden(t, "ranking", ranking().Write)
}

func ranking() *Ranking {
	return &Ranking{
		Title: "Bytes a node and event", Unit: Bytes, Note: "1,000 nodes", Width: 480,
		Groups: []Group{{"payload", 1}, {"control", 3}},
		Rows: []Row{
			{Name: "push", Value: 1142, Color: 1, Note: "once"},
			{Name: "have", Value: 61.2, Color: 3},
			{Name: "none", Value: 0, Color: 3},
			{Name: "unknown", Value: math.NaN(), Color: 3},
		},
	}
}

func TestTextIsNoMarkup(t *testing.T) {
	evil := "</text></title></style><script>alert('1')</script>&\"\x00\x1b\xff\uFFFE"
	for _, p := range examples() {
		p.Title, p.Subtitle, p.Note, p.X.Label, p.Y.Label = evil, evil, evil, evil, evil
		for i := range p.Series {
			p.Series[i].Name = evil
		}
		p.Bands, p.Marks = append(p.Bands, Band{0, 1, evil}), append(p.Marks, Mark{0, evil})
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, b.Bytes())
		wellFormed(t, []byte(p.Fragment(evil, 300, 300)))
		if strings.Contains(b.String(), "<script") {
			t.Error("text became markup")
		}
	}
	r := Ranking{Title: evil, Note: evil, Rows: []Row{{Name: evil, Note: evil}}, Groups: []Group{{evil, 1}}}
	wellFormed(t, []byte(r.Fragment(evil, 300)))
}

func TestADrawingLoadsNothing(t *testing.T) {
	var b bytes.Buffer
	if err := examples()["curves"].Write(&b); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(b.String(), `xmlns="http://www.w3.org/2000/svg"`, "", 1)
	if found := regexp.MustCompile(`(?i)(https?:|//|url\(|@import|href)`).FindString(text); found != "" {
		t.Errorf("the drawing holds %q", found)
	}
	if !strings.Contains(text, "prefers-color-scheme:dark") || strings.Contains(b.String(), "NaN") {
		t.Error("the drawing knows no dark scheme, or holds NaN")
	}
	fragment := examples()["curves"].Fragment("wide", 400, 300)
	for _, word := range []string{"<style", "xmlns", "1,000 nodes, push", "--seed"} {
		if strings.Contains(fragment, word) {
			t.Errorf("the fragment holds %q, which is the page's", word)
		}
	}
	if !strings.Contains(fragment, `role="img" aria-label="Susceptible and removed.`) {
		t.Error("the fragment has no text in its place")
	}
}

func TestWhatCannotBeDrawnIsLeftOut(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	good := []Point{{X: 1, Y: 1, XTo: 2, YFrom: 0.5}, {X: 2, Y: 3, XTo: 3, YFrom: 2}}
	bad := []Point{
		{X: nan, Y: 1, XTo: 2, YFrom: 1},
		{X: 1, Y: inf, XTo: 2, YFrom: 1},
		{X: 1, Y: 1e31, XTo: 2, YFrom: 1},
		{X: 1, Y: 0, XTo: 2, YFrom: 1},
		{X: 1, Y: -1, XTo: 2, YFrom: 1},
		{X: 0, Y: 1, XTo: 2, YFrom: 1},
	}
	for kind := Line; kind <= Area; kind++ {
		draw := func(points []Point) string {
			p := Plot{
				X: Axis{Log: true}, Y: Axis{Log: true},
				Series: []Series{{Name: "a", Kind: kind, Points: points}},
			}
			return p.Fragment("", 400, 300)
		}
		if draw(good) != draw(append(bad, good...)) {
			t.Errorf("kind %d: bad points change the drawing", kind)
		}
	}
	for name, p := range map[string]Point{
		"a bar without an end": {X: 1, XTo: nan, Y: 1},
		"a bar turned":         {X: 2, XTo: 1, Y: 1},
	} {
		plot := Plot{Series: []Series{{Kind: Bars, Points: []Point{p}}}}
		if !strings.Contains(plot.Fragment("", 300, 300), "no data") {
			t.Errorf("%s is drawn", name)
		}
	}
}

func TestDescribeAndData(t *testing.T) {
	p := examples()["law"]
	want := "Residue. s against m. push: from 40 % at 1 to 0.7 % at 5. e⁻ᵐ: from 100 % at 0 to 0.248 % at 6."
	if got := strings.ReplaceAll(p.Describe(), space, " "); got != want {
		t.Errorf("it reads %q, want %q", got, want)
	}
	headers, rows, thinned := p.Data()
	if strings.Join(headers, "|") != "m|push|e⁻ᵐ" || len(rows) != 13 || thinned {
		t.Fatalf("columns %q, %d rows, thinned %t", headers, len(rows), thinned)
	}
	if got := strings.Join(rows[2], "|"); got != "1|40\u00a0% (k = 1)|36.8\u00a0%" {
		t.Errorf("the third row is %q", got)
	}
	p.Series[1].Points = curve(math.Exp, 0, 1, 10_000)
	if _, rows, thinned = p.Data(); len(rows) > rowsMax || !thinned {
		t.Errorf("%d rows, thinned %t", len(rows), thinned)
	}
}
