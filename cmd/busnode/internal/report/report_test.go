package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

var pages = flag.String("report.pages", "", "write the sample pages into this directory, to be looked at")

func write(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// nested fails the test unless the page's elements are closed in order.
func nested(t *testing.T, page string) {
	t.Helper()
	page = regexp.MustCompile(`(?s)<script[^>]*>.*?</script>|<style>.*?</style>`).ReplaceAllString(page, "")
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta", "input", "br"}, xml.HTMLEntity
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the page is not well nested: %v", err)
		}
	}
}

func TestPagesStandAloneAndHoldNoBadNumber(t *testing.T) {
	for name, n := range map[string]int{"small.html": 100, "large.html": 1000, "sampled.html": 5000} {
		r := sample(n)
		page := write(t, r)
		if *pages != "" {
			if err := os.WriteFile(filepath.Join(*pages, name), []byte(page), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		nested(t, page)
		if found := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9][^\s"'<]*`).FindAllString(page, -1); len(found) > 0 {
			t.Errorf("%s points outside: %q", name, found)
		}
		if found := regexp.MustCompile(`(?i)\b(src|srcset|@import|url\()`).FindString(page); found != "" {
			t.Errorf("%s loads something: %q", name, found)
		}
		if found := regexp.MustCompile(`NaN|[^a-z]Inf\b|%!|ZgotmplZ`).FindString(page); found != "" {
			t.Errorf("%s holds %q", name, found)
		}
		if len(page) > 1<<20 {
			t.Errorf("%s has %d bytes", name, len(page))
		}
		if write(t, r) != page {
			t.Errorf("%s: the same data gave two pages", name)
		}
	}
}

func TestEachSectionNeedsItsData(t *testing.T) {
	whole := sample(100)
	empty := write(t, Report{Title: "nothing"})
	nested(t, empty)
	hollow := write(t, Report{Epidemic: &Epidemic{}, Spread: &Spread{}, Latency: &Latency{}, Traffic: &Traffic{}})
	if strings.Contains(empty+hollow, "<section") {
		t.Error("there are sections without any data")
	}
	for id, clear := range map[string]func(*Report){
		"epidemic": func(r *Report) { r.Epidemic = nil },
		"spread":   func(r *Report) { r.Spread = nil },
		"latency":  func(r *Report) { r.Latency = nil },
		"traffic":  func(r *Report) { r.Traffic = nil },
		"faults":   func(r *Report) { r.Faults = nil },
		"scaling":  func(r *Report) { r.Scaling = nil },
		"laws":     func(r *Report) { r.Laws = nil },
		"tables":   func(r *Report) { r.Tables = nil },
		"repeat": func(r *Report) {
			r.Command, r.Seed, r.Version, r.Duration, r.Parameters = "", "", "", "", nil
		},
	} {
		section := fmt.Sprintf(`<section id="%s"`, id)
		if !strings.Contains(write(t, whole), section) {
			t.Errorf("the whole page has no section %s", id)
		}
		r := whole
		clear(&r)
		page := write(t, r)
		nested(t, page)
		if strings.Contains(page, section) || strings.Contains(empty, section) {
			t.Errorf("section %s stands on the page without data", id)
		}
	}
}

// A copy that did not arrive was sent, and not received.
func TestLostCopiesAreNotReceived(t *testing.T) {
	traffic := &Traffic{Kinds: []MessageKind{
		{"push, needed", Payload, 1, 1000},
		{"push, redundant", Redundant, 0.25, 250},
		{"push, lost", Lost, 0.5, 500},
		{"have", Control, 0, 0},
	}}
	bars := traffic.Bytes()
	const rest = "payload, redundant or lost"
	for i, want := range []string{"payload, needed", rest, rest, "control"} {
		for _, g := range bars.Groups {
			if row := bars.Rows[i]; row.Color == g.Color && g.Name != want || row.Color > len(bars.Groups) {
				t.Errorf("%s has color %d, as %s; want %s", row.Name, row.Color, g.Name, want)
			}
		}
	}
	page := write(t, Report{Traffic: traffic})
	const want = "a node received 1.25 copies of the payload, and 1.75 kB were sent to it in all, 1.75 times"
	if !strings.Contains(strings.ReplaceAll(page, "\u00a0", " "), want) {
		t.Errorf("the page does not say %q", want)
	}
}

func TestTextIsNoMarkup(t *testing.T) {
	evil := `</script></style><img src=x onerror="alert(1)">&'` + "\x00"
	point := []chart.Point{{X: 1, Y: 1, Note: evil}, {X: 2, Y: 2}}
	axis := chart.Axis{Label: evil}
	r := Report{
		Title: evil, Lead: evil, Tiles: []Tile{{Name: evil, Text: evil, Note: evil}},
		Epidemic: &Epidemic{Measured: []State{{0, 1, 0, 0}, {1, 0, 1, 0}}, Note: evil, Law: evil, Theory: []State{{}}},
		Spread:   &Spread{Nodes: []Node{{Name: evil, Parent: -1}, {Name: evil, At: 1}}, Note: evil},
		Latency:  &Latency{Bins: []Bin{{0, 1, 1}}, Note: evil},
		Traffic:  &Traffic{Kinds: []MessageKind{{Name: evil, Messages: 1, Bytes: 1}}, Note: evil},
		Scaling:  []Scaling{{Title: evil, Label: evil, Note: evil, Points: []ScalingPoint{{1, 1, 1, 1}}}},
		Laws:     []Law{{evil, evil, evil, axis, axis, point, []Series{{evil, point}}}},
		Tables:   []Table{{evil, evil, []Group{{evil, 1}}, []string{evil}, [][]string{{evil}}}},
		Faults:   []Fault{{evil, 0, 1}}, Command: evil, Seed: evil, Version: evil, Duration: evil,
		Parameters: []Parameter{{evil, evil}},
	}
	page := write(t, r)
	nested(t, page)
	if strings.Contains(page, "<img") || strings.Contains(page, "\x00") {
		t.Error("text became markup")
	}
	if got, want := strings.Count(page, "</script>"), strings.Count(page, "<script"); got != want {
		t.Errorf("%d scripts begin and %d end", want, got)
	}
}

func TestBadNumbersDoNotReachThePage(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	r := sample(100)
	r.Tiles = append(r.Tiles, Tile{Name: "none", Value: nan}, Tile{Name: "endless", Value: inf, Unit: chart.Seconds})
	r.Epidemic.Measured = append(r.Epidemic.Measured, State{nan, nan, inf, -inf}, State{inf, 1, 1, 1})
	r.Spread.Nodes = append(r.Spread.Nodes, Node{At: nan, Parent: 5}, Node{At: inf}, Node{At: 1e300, Parent: 1 << 40})
	r.Latency.P50, r.Latency.Max = nan, inf
	r.Latency.Bins = append(r.Latency.Bins, Bin{nan, inf, 3})
	r.Traffic.Kinds = append(r.Traffic.Kinds, MessageKind{"bad", Control, nan, -inf})
	r.Scaling[0].Points = append(r.Scaling[0].Points, ScalingPoint{nan, nan, nan, nan}, ScalingPoint{-1, 0, 0, 0})
	r.Scaling[0].Fit = &Fit{A: nan, B: inf, R2: nan}
	r.Faults = append(r.Faults, Fault{"bad", nan, inf})
	page := write(t, r)
	nested(t, page)
	if found := regexp.MustCompile(`.{0,60}(NaN|[^a-z]Inf\b).{0,20}`).FindString(page); found != "" {
		t.Errorf("the page holds %q", found)
	}
}

// embedded reads the animation's data back from the page.
func embedded(t *testing.T, page string) (p picture) {
	t.Helper()
	_, rest, _ := strings.Cut(page, `id="spread-data">`)
	text, _, _ := strings.Cut(rest, "</script>")
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheAnimationReadsWhatWasGiven(t *testing.T) {
	s := &Spread{
		Nodes: []Node{{At: 0.1, Parent: 1}, {At: 0, Parent: -1}, {At: -1, Parent: -1}, {At: 0.25, Parent: 0, Name: "d"}},
		Edges: [][2]int{{0, 1}, {0, 3}, {2, 3}, {7, 1}, {1, 1}},
	}
	p := embedded(t, write(t, Report{Spread: s}))
	got := fmt.Sprint(p.Total, p.Hops, p.End, p.Hop, p.Parent, p.Name, p.Edges, p.At[2] == nil, *p.At[3])
	want := "4 2 0.25 [1 0 -1 2] [1 -1 -1 0] [node 0 node 1 node 2 d] [[0 1] [0 3] [2 3]] true 0.25"
	if got != want {
		t.Errorf("the page has %s, want %s", got, want)
	}
}

// The template packages call methods by name: a program that links them keeps
// every exported method, 4 MB here.
func TestTheLinkerMayDropMethods(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "_test.go") && regexp.MustCompile(`"(html|text)/template"`).Match(text) {
			t.Errorf("%s imports a template package", name)
		}
	}
}
