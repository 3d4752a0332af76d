package chart

import (
	"encoding/binary"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// drawn matches what a plot draws of its data: paths and boxes.
var (
	drawn  = regexp.MustCompile(`<path class="(?:line|area)[^"]*" d="([^"]*)"`)
	boxes  = regexp.MustCompile(`<(?:rect|circle) class="[^"]*" (?:x|cx)="([^"]*)" (?:width="[^"]*" )?(?:y|cy)="([^"]*)"`)
	pair   = regexp.MustCompile(`(-?[\d.]+) (-?[\d.]+)`)
	absurd = regexp.MustCompile(`NaN|Inf|e\+|%!`)
)

// inside fails the test if a plot draws outside of its drawing.
func inside(t *testing.T, fragment string, width, height float64) {
	t.Helper()
	if found := absurd.FindString(fragment); found != "" {
		t.Fatalf("the drawing holds %q:\n%s", found, fragment)
	}
	var at [][]string
	for _, d := range drawn.FindAllStringSubmatch(fragment, -1) {
		at = append(at, pair.FindAllStringSubmatch(d[1], -1)...)
	}
	at = append(at, boxes.FindAllStringSubmatch(fragment, -1)...)
	for _, m := range at {
		x, errX := strconv.ParseFloat(m[1], 64)
		y, errY := strconv.ParseFloat(m[2], 64)
		if errX != nil || errY != nil || x < -1 || x > width+1 || y < -6 || y > height+1 {
			t.Fatalf("drawn at %s, outside of %g × %g:\n%s", m[0], width, height, fragment)
		}
	}
}

func FuzzPlot(f *testing.F) {
	floats := func(values ...float64) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	nan, inf := math.NaN(), math.Inf(1)
	f.Add(floats(0, 1, 2, 3, 4, 5, 6, 7), uint16(0), 0.0, 0.0)
	f.Add(floats(1e30, -1e30, 1e-30, 1e29, nan, inf, -inf, 5e-324), uint16(0xffff), -1.0, 1.0)
	f.Add(floats(1e30, 1e30, math.Nextafter(1e30, 0), 1e30), uint16(3), 1e30, 1e30)
	f.Add(floats(5e-324, 5e-324, 1e-31, 1e-30, 1e-30, 1e-30), uint16(0x3f), 0.0, 5e-324)
	f.Add(floats(1, 1e30, 1, 1, 2, -1e30, 2, 2), uint16(7), 0.5, 0.500001)
	f.Fuzz(func(t *testing.T, data []byte, bits uint16, low, high float64) {
		var points []Point
		for ; len(data) >= 32 && len(points) < 100; data = data[32:] {
			v := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(data[i*8:])) }
			points = append(points, Point{X: v(0), Y: v(1), XTo: v(2), YFrom: v(3)})
		}
		p := Plot{
			X:      Axis{Label: "x", Unit: Unit(bits >> 4 & 7 % 5), Log: bits&1 != 0},
			Y:      Axis{Label: "y", Unit: Unit(bits >> 7 & 7 % 5), Log: bits&2 != 0},
			Bands:  []Band{{low, high, "band"}},
			Marks:  []Mark{{high, "mark"}},
			Direct: bits&4 != 0,
		}
		if bits&8 != 0 {
			p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = low, high, low, high
		}
		for kind := Line; kind <= Area; kind++ {
			p.Series = append(p.Series, Series{Name: "series " + strconv.Itoa(int(kind)), Kind: kind, Points: points})
		}
		width, height := float64(200+bits>>10*10), 260.0
		fragment := p.Fragment("", width, height)
		wellFormed(t, []byte(fragment))
		inside(t, fragment, width, height)
		if p.Describe() == "" {
			t.Error("no description")
		}
		p.Data()
		r := Ranking{Rows: []Row{{Name: "a", Value: low}, {Name: "b", Value: high}}}
		wellFormed(t, []byte(r.Fragment("", width)))
	})
}

// Labels of an axis and names of curves must not run into each other, whatever
// the size.
func TestNamesKeepApart(t *testing.T) {
	plots := examples()
	plots["long labels"] = &Plot{X: Axis{Min: 12345, Max: 12345.05}}
	for name, p := range plots {
		for width := 200.0; width < 1200; width += 7 {
			inside(t, p.Fragment("", width, 300), width, 300)
			x := newScale(p.X, func(func(float64) bool) {}, fit{ticks: 5})
			f := &frame{drawing: &drawing{width: width, height: 300}, p: p, x: x}
			f.x.from, f.x.to = 50, width-50
			ticks, end := f.fittingTicks(), -100.0
			for _, tick := range ticks {
				half := textWidth(tick.label, textSize) / 2
				if at := x.at(tick.at); tick.label != "" {
					if at-half < end {
						t.Errorf("%s, %g wide: the labels %s overlap", name, width, labels(ticks))
					}
					end = at + half
				}
			}
			if len(ticks) == 0 {
				t.Errorf("%s, %g wide: no tick", name, width)
			}
		}
	}
	level := Plot{Direct: true, Y: Axis{Max: 1}}
	for range 5 {
		level.Series = append(level.Series, Series{Name: "curve", Points: []Point{{X: 0, Y: 1}, {X: 1, Y: 1}}})
	}
	var last float64
	for i, m := range regexp.MustCompile(`y="([-\d.]+)">curve<`).FindAllStringSubmatch(level.Fragment("", 600, 300), -1) {
		y, _ := strconv.ParseFloat(m[1], 64)
		if i > 0 && y-last < textSize || y < textSize-2 {
			t.Errorf("names are at %g and %g", last, y)
		}
		last = y
	}
	if last == 0 {
		t.Error("no curve has its name at its end")
	}
}

func TestCurvesAreCutAtTheEdge(t *testing.T) {
	p := Plot{
		X: Axis{Min: 0, Max: 10}, Y: Axis{Min: 0, Max: 10},
		Series: []Series{{Name: "zigzag", Points: []Point{
			{X: -5, Y: 5}, {X: 5, Y: 5}, {X: 5, Y: 50}, {X: 6, Y: 50}, {X: 6, Y: 5},
		}}},
	}
	corner := p
	corner.Series = []Series{{Name: "past the corner", Points: []Point{{X: -3, Y: 8}, {X: 1, Y: 14}}}}
	if d := drawn.FindStringSubmatch(corner.Fragment("", 400, 300)); d != nil {
		t.Errorf("a line that passes the plot's corner is drawn: %s", d)
	}
	path := drawn.FindStringSubmatch(p.Fragment("", 400, 300))[1]
	if got := strings.Count(path, "M"); got != 2 {
		t.Errorf("the curve leaves the plot and comes back, and is drawn in %d parts: %s", got, path)
	}
	if got := len(pair.FindAllString(path, -1)); got != 5 {
		t.Errorf("the curve has %d places, want 5: %s", got, path)
	}
}

func TestStepsHoldTheirValues(t *testing.T) {
	got := stairs([]Point{{X: 0, Y: 1}, {X: 1, Y: 3}, {X: 2, Y: 3}})
	if len(got) != 4 || got[1] != (Point{X: 1, Y: 1}) {
		t.Errorf("the corners are %v", got)
	}
}
