// Package chart draws plots as SVG: curves, points, steps, histograms, bands
// and bars on linear and logarithmic axes.
//
// A drawing is plain text, made of nothing but its values: the same Plot gives
// the same bytes. Standalone files carry their style and follow the reader's
// light or dark scheme; a page embeds fragments and holds Style once.
//
//	p := chart.Plot{
//		Title:  "Latency",
//		X:      chart.Axis{Label: "after the publish", Unit: chart.Seconds},
//		Y:      chart.Axis{Label: "nodes reached", Unit: chart.Share},
//		Series: []chart.Series{{Name: "tree", Points: points}},
//	}
//	err := p.Write(file)
//
// Values that cannot be drawn are left out and never reach the output: NaN,
// infinities, magnitudes above 1e30, and on a logarithmic axis what is below
// 1e-30. All text is escaped.
package chart

import (
	"io"
	"math"
)

// Kind is how a series is drawn.
type Kind uint8

// The kinds of series.
const (
	Line   Kind = iota // a curve through the points
	Points             // markers alone
	Marked             // a curve with a marker at each point
	Steps              // each value holds until the next point
	Bars               // from X to XTo each, on the axis: a histogram
	Area               // filled between YFrom and Y
)

// Series is one set of points under one name.
type Series struct {
	// Name stands in the legend or beside the curve; a series without a name is
	// drawn and not named, one without points is a line of the legend alone.
	Name   string
	Kind   Kind
	Points []Point
	Dashed bool // theory, as against what was measured
	// Color is a place in the palette, 1 to Colors; 0 takes the place of the
	// series in its plot. The marker's shape goes with it. Ink is neutral.
	Color int
}

// Ink is the neutral color of a series.
const Ink = -1

// Point is a value, in its axes' base units: seconds, bytes, shares of 1.
type Point struct {
	X, Y  float64
	XTo   float64 // Bars: the right edge
	YFrom float64 // Area: the lower edge
	Note  string  // more for the tooltip
}

// Axis is a direction of a plot.
type Axis struct {
	Label string // the quantity; the ticks carry the unit
	Unit  Unit
	Log   bool
	// Min and Max bound the axis where they differ; otherwise the data does.
	// What lies outside is cut off.
	Min, Max float64
}

// Band is a stretch of the x axis that is shaded and named; an instant, drawn
// as a line, if To is not above From.
type Band struct {
	From, To float64
	Label    string
}

// Mark is a named place on the x axis, drawn as a line: a percentile.
type Mark struct {
	At    float64
	Label string
}

// Plot is one drawing with two axes.
type Plot struct {
	Title    string // what is seen
	Subtitle string // what was held and varied
	Note     string // the parameters, under the drawing
	X, Y     Axis
	Series   []Series // in the legend's order; markers are drawn over curves, curves over areas
	Bands    []Band
	Marks    []Mark
	// Direct names curves at their right ends if there is room, and dashed ones
	// in the legend; without it all names stand in the legend.
	Direct bool
	// Width and Height are of the drawing in CSS pixels at its natural size; it
	// scales. 0 is DefaultWidth and DefaultHeight.
	Width, Height float64
}

// The size of a drawing that names none.
const (
	DefaultWidth  = 760
	DefaultHeight = 440
)

// The bounds of what is drawn. Beyond them arithmetic on pixels overflows.
const (
	valueMax = 1e30
	valueMin = 1e-30 // on a logarithmic axis
)

func (a Axis) draws(v float64) bool {
	if a.Log && v < valueMin {
		return false
	}
	return math.Abs(v) <= valueMax // false for NaN
}

// Write writes the plot as a file of its own.
func (p *Plot) Write(w io.Writer) error {
	width, height := size(p.Width, p.Height)
	d := p.draw(width, height, fileEdge)
	_, err := w.Write(d.standalone(p.Title, p.Describe()))
	return err
}

// Fragment returns the plot as an svg element for a page that holds Style, at
// the given size and without title, subtitle and note, which the page shows as
// its own text. The class is added to the element's.
func (p *Plot) Fragment(class string, width, height float64) string {
	bare := *p
	bare.Title, bare.Subtitle, bare.Note = "", "", ""
	width, height = size(width, height)
	d := bare.draw(width, height, pageEdge)
	return d.fragment(class, p.Describe())
}

// size replaces what is no size. Below 120 nothing has room.
func size(width, height float64) (w, h float64) {
	if !(width >= 120 && width <= 1e5) {
		width = DefaultWidth
	}
	if !(height >= 120 && height <= 1e5) {
		height = DefaultHeight
	}
	return width, height
}

// visible returns the points of a series that both axes can draw.
func (p *Plot) visible(s Series) []Point {
	points := make([]Point, 0, len(s.Points))
	for _, q := range s.Points {
		switch {
		case !p.X.draws(q.X) || !p.Y.draws(q.Y):
		case s.Kind == Bars && !(p.X.draws(q.XTo) && q.XTo > q.X):
		case s.Kind == Area && !p.Y.draws(q.YFrom):
		default:
			points = append(points, q)
		}
	}
	return points
}
