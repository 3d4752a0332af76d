package chart

import (
	"cmp"
	"math"
	"slices"
)

// swatch is the width of a line's or a marker's sample in the legend.
const swatch = 28

// chooseNames says which series are named in the legend and which at their ends.
func (f *frame) chooseNames() {
	for i, s := range f.p.Series {
		if s.Name == "" {
			continue
		}
		narrow := textWidth(s.Name, textSize) > f.width*0.25 || f.width < 480
		curve := s.Kind == Line || s.Kind == Steps || s.Kind == Marked
		if f.p.Direct && curve && !s.Dashed && !narrow && len(f.shown[i]) > 0 {
			f.direct = append(f.direct, i)
			continue
		}
		f.keys = append(f.keys, i)
	}
	if len(f.keys) == 1 && len(f.p.Series) == 1 {
		f.keys = nil // the title says it
	}
}

// rightMargin is the room for names at the ends of curves.
func (f *frame) rightMargin() float64 {
	w := 0.0
	for _, i := range f.direct {
		w = max(w, textWidth(f.p.Series[i].Name, textSize)+20)
	}
	return w
}

// legend draws the names that stand above the plot, in as many rows as they
// need, and returns where the next row begins.
func (f *frame) legend(y float64) float64 {
	if len(f.keys) == 0 {
		return y
	}
	x := f.edge
	for _, i := range f.keys {
		s := f.p.Series[i]
		w := swatch + 6 + textWidth(s.Name, textSize)
		if x > f.edge && x+w > f.width-f.edge {
			x, y = f.edge, y+rowHeight
		}
		f.sample(i, x, y+8)
		f.text(x+swatch+6, y+textSize, "name", "", s.Name)
		x += w + 18
	}
	return y + rowHeight + 6
}

// sample draws what a series looks like.
func (f *frame) sample(i int, x, y float64) {
	s := f.p.Series[i]
	f.open("g", "class", s.colorClass(i))
	switch s.Kind {
	case Bars:
		f.leaf("rect", "class", "bar", "x", x+6, "y", y-5, "width", 16.0, "height", 10.0)
	case Area:
		f.leaf("rect", "class", "area", "x", x, "y", y-5, "width", float64(swatch), "height", 10.0)
	case Points:
		f.marker(s.slot(i), x+swatch/2, y)
	default:
		f.leaf("line", "class", lineClass(s), "x1", x, "x2", x+swatch, "y1", y, "y2", y)
		if s.Kind == Marked {
			f.marker(s.slot(i), x+swatch/2, y)
		}
	}
	f.end("g")
}

// endNames draws names at the right ends of curves, moved apart where they would
// overlap, with a line from the curve to its name.
func (f *frame) endNames() {
	type name struct{ from, y float64 }
	names := make([]name, len(f.p.Series))
	order := slices.Clone(f.direct)
	for _, i := range order {
		from := f.y.from
		for _, q := range f.shown[i] {
			if f.x.holds(q.X) {
				from = f.y.at(q.Y)
			}
		}
		from = max(f.y.to, min(from, f.y.from))
		names[i] = name{from: from, y: from}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(names[a].from, names[b].from) })
	floor := f.y.to
	for _, i := range order {
		names[i].y = max(names[i].y, floor)
		floor = names[i].y + rowHeight - 1
	}
	ceiling := f.y.from
	for _, i := range slices.Backward(order) {
		names[i].y = min(names[i].y, ceiling)
		ceiling = names[i].y - rowHeight + 1
	}
	for _, i := range order {
		s, n := f.p.Series[i], names[i]
		f.open("g", "class", s.colorClass(i))
		f.leaf("path", "class", "leader",
			"d", "M"+number(f.x.to+2)+" "+number(n.from)+"L"+number(f.x.to+14)+" "+number(n.y))
		f.end("g")
		f.text(f.x.to+18, n.y+4, "name", "", s.Name)
	}
}

// annotation is the name of a band or a mark, in a row above the plot.
type annotation struct {
	label    string
	from, to float64 // pixels: of the band; equal for a mark
	x        float64 // the middle of the label
	row      int
}

// annotations places the names of marks and bands in rows where none overlaps,
// those of bands below if they have to give way, and returns the number of rows.
func (f *frame) annotations() (placed []annotation, rows int) {
	place := func(label string, from, to float64) {
		if !(f.p.X.draws(from) && f.p.X.draws(to)) || to < f.x.min || from > f.x.max {
			return
		}
		a := annotation{label: label, from: f.x.at(max(from, f.x.min)), to: f.x.at(min(to, f.x.max))}
		half := textWidth(label, textSize)/2 + 4
		a.x = max(half, min((a.from+a.to)/2, f.width-half))
		for slices.ContainsFunc(placed, func(b annotation) bool {
			return b.row == a.row && math.Abs(a.x-b.x) < half+textWidth(b.label, textSize)/2+4
		}) {
			a.row++
		}
		rows = max(rows, a.row+1)
		placed = append(placed, a)
	}
	for _, m := range f.p.Marks {
		place(m.Label, m.At, m.At)
	}
	for _, b := range f.p.Bands {
		if b.To <= b.From {
			place(b.Label, b.From, b.From)
		}
	}
	for _, b := range f.p.Bands {
		if b.To > b.From {
			place(b.Label, b.From, b.To)
		}
	}
	return placed, rows
}

// shade draws the bands.
func (f *frame) shade(placed []annotation) {
	for _, a := range placed {
		if a.to > a.from {
			top := f.y.to - gap
			f.leaf("rect", "class", "band", "x", a.from, "width", a.to-a.from, "y", top, "height", f.y.from-top)
		}
	}
}

// annotate draws the lines of marks, and over them the names; y is where the
// rows of names begin. A name hides the line that it stands on.
func (f *frame) annotate(placed []annotation, y float64) {
	for _, a := range placed {
		if a.to <= a.from {
			f.leaf("line", "class", "mark", "x1", a.from, "x2", a.from, "y1", y+float64(a.row+1)*rowHeight, "y2", f.y.from)
		}
	}
	for _, a := range placed {
		f.text(a.x, y+float64(a.row)*rowHeight+textSize, "name over", "middle", a.label)
	}
}
