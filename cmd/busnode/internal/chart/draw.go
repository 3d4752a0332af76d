package chart

import (
	"iter"
	"slices"
)

// Sizes of the layout, in units of the drawing.
const (
	rowHeight = 17 // of the legend and of annotations
	textSize  = 12
	gap       = 6  // above the plot, and before the note
	fileEdge  = 14 // around the drawing in a file
	pageEdge  = 2  // in a page, which has margins of its own
)

// frame is a plot in the making: its drawing, its axes, and its rows of text.
type frame struct {
	*drawing
	p      *Plot
	edge   float64
	x, y   *scale
	shown  [][]Point // of each series
	direct []int     // series that are named at their right ends
	keys   []int     // series that are named in the legend
	xTicks []tick
	yTicks []tick
}

// The layers of a plot from below: what is filled would hide what is thin.
var layers = [...]int{0, 1, 2, 3}

func layerOf(s Series) int {
	switch {
	case s.Kind == Area || s.Kind == Bars:
		return 0
	case s.Kind == Points || s.Kind == Marked:
		return 3
	case s.Dashed: // where theory and measurement agree, both are seen
		return 2
	}
	return 1
}

// draw lays the plot out and draws it, with edge around it: from the top title, subtitle, legend, the
// y axis' label, the names of bands and marks, the plot, the x axis, the note.
func (p *Plot) draw(width, height, edge float64) *drawing {
	f := &frame{drawing: &drawing{width: width, height: height}, p: p, edge: edge}
	some := false
	for _, s := range p.Series {
		points := p.visible(s)
		f.shown = append(f.shown, points)
		some = some || len(points) > 0
	}
	ticks := max(2, (height-140)/42)
	f.makeScales(ticks)
	f.chooseNames()
	f.y.from, f.y.to = height-80, 80
	f.yTicks = f.y.ticks(ticks)
	left := f.edge
	for _, t := range f.yTicks {
		left = max(left, f.edge+8+textWidth(t.label, textSize))
	}
	f.x.from, f.x.to = left, width-f.edge-f.rightMargin()
	f.xTicks = f.fittingTicks()
	notes := wrap(p.Note, 11, width-2*f.edge)

	y := f.heading()
	y = f.legend(y)
	if p.Y.Label != "" {
		f.text(f.edge, y+textSize, "name", "", p.Y.Label)
		y += rowHeight + 3
	}
	placed, rows := f.annotations()
	f.y.to = y + float64(rows)*rowHeight + gap
	bottom := height - max(f.edge/2, gap) - float64(len(notes))*15
	if len(notes) > 0 {
		bottom -= gap
	}
	if p.X.Label != "" {
		bottom -= rowHeight + 2
	}
	f.y.from = max(bottom-rowHeight, f.y.to+20)

	f.shade(placed)
	f.axes()
	for _, layer := range layers {
		for i, s := range p.Series {
			if layer == layerOf(s) {
				f.series(i)
			}
		}
	}
	f.annotate(placed, y)
	f.endNames()
	if !some {
		f.text((f.x.from+f.x.to)/2, (f.y.from+f.y.to)/2, "", "middle", "no data")
	}
	for i, line := range notes {
		f.text(f.edge, height-f.edge/2-float64(len(notes)-1-i)*15-2, "note", "", line)
	}
	return f.drawing
}

// heading draws title and subtitle and returns where the next row begins.
func (f *frame) heading() float64 {
	y := f.edge / 2
	for _, line := range wrap(f.p.Title, 17, f.width-2*f.edge) {
		f.text(f.edge, y+18, "title", "", line)
		y += 23
	}
	for _, line := range wrap(f.p.Subtitle, 13, f.width-2*f.edge) {
		f.text(f.edge, y+14, "subtitle", "", line)
		y += 18
	}
	if y > f.edge {
		y += 6
	}
	return y
}

func (f *frame) makeScales(yTicks float64) {
	xFit := fit{tight: true}
	yFit := fit{ticks: yTicks}
	for _, s := range f.p.Series {
		xFit.pad = xFit.pad || s.Kind == Points || s.Kind == Marked
		yFit.zero = yFit.zero || s.Kind == Bars
	}
	f.x = newScale(f.p.X, f.xs(), xFit)
	f.y = newScale(f.p.Y, f.ys(), yFit)
}

func (f *frame) xs() iter.Seq[float64] {
	return func(yield func(float64) bool) {
		for i, points := range f.shown {
			for _, q := range points {
				if !yield(q.X) || f.p.Series[i].Kind == Bars && !yield(q.XTo) {
					return
				}
			}
		}
		for _, m := range f.p.Marks {
			if !yield(m.At) {
				return
			}
		}
	}
}

func (f *frame) ys() iter.Seq[float64] {
	return func(yield func(float64) bool) {
		for i, points := range f.shown {
			for _, q := range points {
				if !yield(q.Y) || f.p.Series[i].Kind == Area && !yield(q.YFrom) {
					return
				}
			}
		}
	}
}

// fittingTicks returns the x axis' ticks, fewer until their labels have room.
func (f *frame) fittingTicks() []tick {
	var ticks []tick
	for n := max(2, (f.x.to-f.x.from)/60); n >= 1; n *= 0.75 {
		ticks = f.x.ticks(n)
		if f.roomy(ticks) {
			return ticks
		}
	}
	return slices.DeleteFunc(ticks, func(t tick) bool { return t.label != "" && t.at != ticks[0].at })
}

// roomy reports whether no two labels of ticks come close.
func (f *frame) roomy(ticks []tick) bool {
	end := -1e9
	for _, t := range ticks {
		if t.label == "" {
			continue
		}
		half := textWidth(t.label, textSize) / 2
		at := f.x.at(t.at)
		if at-half < end+12 {
			return false
		}
		end = at + half
	}
	return true
}

// axes draws the grid, the x axis and the labels.
func (f *frame) axes() {
	for _, t := range f.yTicks {
		y := f.y.at(t.at)
		if t.label == "" {
			f.leaf("line", "class", "axis", "x1", f.x.from-4, "x2", f.x.from, "y1", y, "y2", y)
			continue
		}
		f.leaf("line", "class", "grid", "x1", f.x.from, "x2", f.x.to, "y1", y, "y2", y)
		f.text(f.x.from-7, y+4, "", "end", t.label)
	}
	for _, t := range f.xTicks {
		x := f.x.at(t.at)
		length := 5.0
		if t.label == "" {
			length = 3
		}
		f.leaf("line", "class", "axis", "x1", x, "x2", x, "y1", f.y.from, "y2", f.y.from+length)
		if t.label != "" {
			half := textWidth(t.label, textSize) / 2
			f.text(min(x, f.width-half-2), f.y.from+rowHeight+1, "", "middle", t.label)
		}
	}
	f.leaf("line", "class", "axis", "x1", f.x.from, "x2", f.x.to, "y1", f.y.from, "y2", f.y.from)
	if f.p.X.Label != "" {
		f.text((f.x.from+f.x.to)/2, f.y.from+2*rowHeight+3, "name", "middle", f.p.X.Label)
	}
}
