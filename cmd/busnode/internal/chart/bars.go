package chart

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
)

// Ranking compares values of named things: horizontal bars, one below the other.
type Ranking struct {
	Title, Subtitle, Note string
	Unit                  Unit
	Rows                  []Row
	// Groups names colors; nil for one color.
	Groups []Group
	Width  float64 // in CSS pixels; 0: DefaultWidth. The rows give the height.
}

// Row is one bar. What is negative or no number has no bar.
type Row struct {
	Name  string
	Value float64
	Color int    // as of a Series; 0: the first
	Note  string // for the tooltip
}

// Group is the name of a color.
type Group struct {
	Name  string
	Color int
}

// Write writes the bars as a file of their own.
func (r *Ranking) Write(w io.Writer) error {
	width, _ := size(r.Width, 0)
	d := r.draw(width, fileEdge)
	_, err := w.Write(d.standalone(r.Title, r.Describe()))
	return err
}

// Fragment returns the bars as an svg element for a page; see Plot.Fragment.
func (r *Ranking) Fragment(class string, width float64) string {
	bare := *r
	bare.Title, bare.Subtitle, bare.Note = "", "", ""
	width, _ = size(width, 0)
	return bare.draw(width, pageEdge).fragment(class, r.Describe())
}

// Describe returns a text that stands for the bars where they cannot be seen.
func (r *Ranking) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.", cmp.Or(r.Title, "Bars"))
	for _, row := range r.Rows {
		fmt.Fprintf(&b, " %s: %s.", row.Name, Format(r.Unit, row.Value))
	}
	return b.String()
}

// barHeight is the height of a bar, half as much again lies between two.
const barHeight = 18

func (r *Ranking) draw(width, edge float64) *drawing {
	f := &frame{drawing: &drawing{width: width}, edge: edge, p: &Plot{Title: r.Title, Subtitle: r.Subtitle}}
	for _, g := range r.Groups {
		f.p.Series = append(f.p.Series, Series{Name: g.Name, Color: cmp.Or(g.Color, 1), Kind: Bars})
		f.keys = append(f.keys, len(f.keys))
	}
	y := f.legend(f.heading())
	longest, names, values := 0.0, 0.0, 0.0
	for _, row := range r.Rows {
		names = max(names, textWidth(row.Name, textSize))
		values = max(values, textWidth(Format(r.Unit, row.Value), textSize)*1.1)
		if row.Value <= valueMax {
			longest = max(longest, row.Value)
		}
	}
	narrow := names > width*0.4 // then names stand above their bars
	left := f.edge + names + 10
	if narrow {
		left = f.edge
	}
	room := max(20, width-f.edge-values-8-left)
	for _, row := range r.Rows {
		if narrow {
			f.text(f.edge, y+textSize, "name", "", row.Name)
			y += rowHeight
		} else {
			f.text(left-8, y+13, "name", "end", row.Name)
		}
		f.bar(row, r.Unit, left, y, room*share(row.Value, longest))
		y += barHeight * 1.5
	}
	if len(r.Rows) == 0 {
		f.text(width/2, y+textSize, "", "middle", "no data")
		y += barHeight
	}
	for _, line := range wrap(r.Note, 11, width-2*f.edge) {
		f.text(f.edge, y+textSize, "note", "", line)
		y += 15
	}
	f.height = y + f.edge/2
	return f.drawing
}

func (f *frame) bar(row Row, u Unit, x, y, length float64) {
	s := Series{Color: cmp.Or(row.Color, 1)}
	f.open("g", "class", "tip "+s.colorClass(0))
	tip := row.Name + ": " + Format(u, row.Value)
	if row.Note != "" {
		tip += ", " + row.Note
	}
	f.title(tip)
	if length > 0 {
		f.leaf("rect", "class", "bar", "x", x, "y", y, "width", max(length, 1), "height", float64(barHeight), "rx", "2")
	}
	f.text(x+length+6, y+13, "value", "", Format(u, row.Value))
	f.end("g")
}

// share is v's part of whole; 0 for what is no part.
func share(v, whole float64) float64 {
	if math.IsNaN(v) || v <= 0 || v > whole {
		return 0
	}
	return v / whole
}
