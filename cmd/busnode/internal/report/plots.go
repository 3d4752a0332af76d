package report

import (
	"math"
	"slices"
	"strconv"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// The page's drawings are to be had alone too, as files of their own: set
// Subtitle and Note to what was run, then call Write.

func bands(faults []Fault) []chart.Band {
	b := make([]chart.Band, len(faults))
	for i, f := range faults {
		b[i] = chart.Band{From: f.From, To: f.To, Label: f.Name}
	}
	return b
}

func timeAxis(cycles bool) chart.Axis {
	if cycles {
		return chart.Axis{Label: "cycle", Unit: chart.Count}
	}
	return chart.Axis{Label: "time", Unit: chart.Seconds}
}

// Plot draws the three shares over time, theory's dashed. Faults are shaded
// unless time is counted in cycles.
func (e *Epidemic) Plot(faults []Fault) chart.Plot {
	p := chart.Plot{
		Title: "Susceptible, infective and removed nodes", Note: e.Note, Direct: true,
		X: timeAxis(e.Cycles), Y: chart.Axis{Label: "share of the nodes", Unit: chart.Share, Min: 0, Max: 1},
	}
	if !e.Cycles {
		p.Bands = bands(faults)
	}
	states := [3]string{"susceptible", "infective", "removed"}
	for i, points := range curves(e.Measured) {
		p.Series = append(p.Series, chart.Series{Name: states[i], Points: points, Color: i + 1})
	}
	if n := len(e.Measured); n > 0 { // theory may go on for longer
		p.X.Min, p.X.Max = e.Measured[0].At, e.Measured[n-1].At
	}
	if len(e.Theory) > 0 {
		p.Subtitle = "Solid: measured. Dashed: " + e.Law + "."
		for _, points := range curves(e.Theory) {
			p.Series = append(p.Series, chart.Series{Points: points, Dashed: true, Color: chart.Ink})
		}
		p.Series = append(p.Series, chart.Series{Name: "theory", Dashed: true, Color: chart.Ink})
	}
	return p
}

// curves returns the three shares over time.
func curves(states []State) (c [3][]chart.Point) {
	for _, s := range thin(states) {
		c[0] = append(c[0], chart.Point{X: s.At, Y: s.Susceptible})
		c[1] = append(c[1], chart.Point{X: s.At, Y: s.Infective})
		c[2] = append(c[2], chart.Point{X: s.At, Y: s.Removed})
	}
	return c
}

// Histogram draws the distribution.
func (l *Latency) Histogram() chart.Plot {
	p := l.plot()
	p.Title, p.Note, p.Y.Label = "Latency", l.Note, "share of the deliveries"
	total := float64(max(1, l.total()))
	var bars []chart.Point
	for _, b := range l.Bins {
		if b.Count > 0 {
			bars = append(bars, chart.Point{X: b.From, XTo: b.To, Y: float64(b.Count) / total})
		}
	}
	p.Series = []chart.Series{{Name: "deliveries", Kind: chart.Bars, Points: bars}}
	return p
}

// Cumulative draws the share of deliveries that took at most so long.
func (l *Latency) Cumulative() chart.Plot {
	p := l.plot()
	p.Title, p.Note = "Latency, cumulative", l.Note
	p.Y.Label, p.Y.Min, p.Y.Max = "share of the deliveries so far", 0, 1
	total := float64(max(1, l.total()))
	var points []chart.Point
	sum := 0
	for i, b := range l.Bins {
		if i == 0 {
			points = append(points, chart.Point{X: b.From})
		}
		sum += b.Count
		points = append(points, chart.Point{X: b.To, Y: float64(sum) / total})
	}
	p.Series = []chart.Series{{Name: "delivered by then", Points: points}}
	return p
}

// plot is what both drawings of a latency have in common.
func (l *Latency) plot() chart.Plot {
	p := chart.Plot{
		X: chart.Axis{Label: "from publishing to delivery", Unit: chart.Seconds, Log: l.Long},
		Y: chart.Axis{Unit: chart.Share},
	}
	mark := func(name string, v float64) {
		p.Marks = append(p.Marks, chart.Mark{At: v, Label: name + " " + chart.Format(chart.Seconds, v)})
	}
	mark("p50", l.P50)
	mark("p99", l.P99)
	mark("max", l.Max)
	return p
}

func (l *Latency) total() int {
	total := 0
	for _, b := range l.Bins {
		total += b.Count
	}
	return total
}

// Bytes draws the bytes of each kind of message.
func (t *Traffic) Bytes() chart.Ranking {
	return t.ranking("Bytes a node and event", chart.Bytes, func(k MessageKind) float64 { return k.Bytes })
}

// Messages draws the number of each kind of message.
func (t *Traffic) Messages() chart.Ranking {
	return t.ranking("Messages a node and event", chart.Number, func(k MessageKind) float64 { return k.Messages })
}

func (t *Traffic) ranking(title string, u chart.Unit, value func(MessageKind) float64) chart.Ranking {
	r := chart.Ranking{Title: title, Unit: u, Note: t.Note, Groups: []chart.Group{
		{Name: "payload, needed", Color: 1}, {Name: "payload, redundant or lost", Color: 2}, {Name: "control", Color: 3},
	}}
	for _, k := range t.Kinds {
		color := 3
		switch k.Class {
		case Payload:
			color = 1
		case Redundant, Lost:
			color = 2
		case Control:
		}
		r.Rows = append(r.Rows, chart.Row{Name: k.Name, Value: value(k), Color: color})
	}
	return r
}

// Plot draws the quantity against the number of nodes, on a logarithmic axis,
// with the fitted law.
func (s *Scaling) Plot() chart.Plot {
	p := chart.Plot{
		Title: s.Title, Note: s.Note,
		X: chart.Axis{Label: "n: nodes", Unit: chart.Count, Log: true}, Y: chart.Axis{Label: s.Label, Unit: s.Unit},
	}
	measured := chart.Series{Name: "measured", Kind: chart.Points, Color: 1}
	runs := chart.Series{Name: "least to greatest of the runs", Kind: chart.Area, Color: 1}
	least, most := math.Inf(1), 0.0
	for _, q := range s.Points {
		measured.Points = append(measured.Points, chart.Point{X: q.Nodes, Y: q.Value})
		if q.Low != q.High {
			runs.Points = append(runs.Points, chart.Point{X: q.Nodes, Y: q.High, YFrom: q.Low})
		}
		if usable(q) {
			least, most = min(least, q.Nodes), max(most, q.Nodes)
		}
	}
	p.Series = append(p.Series, measured)
	if s.Fit != nil && least < most {
		law := chart.Series{Name: s.Fit.String(), Dashed: true, Color: 2}
		for i := range 41 {
			n := least * math.Pow(most/least, float64(i)/40)
			law.Points = append(law.Points, chart.Point{X: n, Y: s.Fit.at(n)})
		}
		p.Series = append(p.Series, law)
	}
	if len(runs.Points) > 1 {
		p.Series = append(p.Series, runs)
	}
	return p
}

func usable(p ScalingPoint) bool {
	return p.Nodes > 0 && !math.IsInf(p.Nodes, 0) && !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0)
}

// at returns the law's value for n nodes.
func (f Fit) at(n float64) float64 { return f.A + f.B*math.Log(n) }

// String returns the law with its numbers: «y = 1.2 + 0.98·ln n, R² = 0.9981».
func (f Fit) String() string {
	explained := "–"
	if math.Abs(f.R2) <= 1 {
		explained = strconv.FormatFloat(f.R2, 'f', 4, 64) // 0.9998 is not 1
	}
	sign := " + "
	if f.B < 0 {
		sign = " − "
	}
	return "y = " + chart.Format(chart.Number, f.A) + sign + chart.Format(chart.Number, math.Abs(f.B)) + "·ln n, R² = " +
		explained
}

// Plot draws the law and what was measured on it.
func (l *Law) Plot() chart.Plot {
	p := chart.Plot{Title: l.Title, Note: l.Note, X: l.X, Y: l.Y}
	for i, m := range slices.Backward(l.Measured) { // the first is drawn last, on top of what it is compared with
		p.Series = append(p.Series, chart.Series{Name: m.Name, Kind: chart.Points, Points: thin(m.Points), Color: i + 1})
	}
	p.Series = append(p.Series, chart.Series{
		Name: "theory: " + l.Formula, Points: thin(l.Curve), Dashed: true, Color: chart.Ink,
	})
	return p
}
