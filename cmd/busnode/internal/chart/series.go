package chart

import "strings"

// hoverMax bounds the places of a curve that have a tooltip.
const hoverMax = 60

func lineClass(s Series) string {
	if s.Dashed {
		return "line dashed"
	}
	return "line"
}

func (f *frame) series(i int) {
	s, points := f.p.Series[i], f.shown[i]
	if len(points) == 0 {
		return
	}
	f.open("g", "class", s.colorClass(i))
	f.b.WriteString("\n")
	switch s.Kind {
	case Bars:
		f.histogram(s, points)
	case Area:
		f.area(points)
	case Points:
		f.markers(s, s.slot(i), points)
	case Marked:
		f.leaf("path", "class", lineClass(s), "d", f.path(points))
		f.markers(s, s.slot(i), points)
	case Line:
		f.leaf("path", "class", lineClass(s), "d", f.path(points))
		f.hovers(s, points)
	case Steps:
		f.leaf("path", "class", lineClass(s), "d", f.path(stairs(points)))
		f.hovers(s, points)
	}
	f.end("g")
}

// stairs puts a corner between points of different heights.
func stairs(points []Point) []Point {
	corners := make([]Point, 0, 2*len(points))
	for i, q := range points {
		if i > 0 && points[i-1].Y != q.Y {
			corners = append(corners, Point{X: q.X, Y: points[i-1].Y})
		}
		corners = append(corners, q)
	}
	return corners
}

// path returns the curve through the points, cut off at the edges of the plot.
func (f *frame) path(points []Point) string {
	var b strings.Builder
	last := ""
	move := func(letter string, x, y float64) {
		if at := number(x) + " " + number(y); letter == "M" || at != last {
			b.WriteString(letter + at)
			last = at
		}
	}
	if len(points) == 1 && f.x.holds(points[0].X) && f.y.holds(points[0].Y) {
		move("M", f.x.at(points[0].X), f.y.at(points[0].Y))
		move("L", f.x.at(points[0].X)+0.1, f.y.at(points[0].Y))
	}
	joined := false
	for i := 1; i < len(points); i++ {
		a := [2]float64{f.x.at(points[i-1].X), f.y.at(points[i-1].Y)}
		z := [2]float64{f.x.at(points[i].X), f.y.at(points[i].Y)}
		from, to, some := f.clip(a, z)
		if !some {
			joined = false
			continue
		}
		if !joined || from != a {
			move("M", from[0], from[1])
		}
		move("L", to[0], to[1])
		joined = to == z
	}
	return b.String()
}

// clip cuts the line from a to z to the plot's rectangle (Liang and Barsky).
func (f *frame) clip(a, z [2]float64) (from, to [2]float64, some bool) {
	low, high := [2]float64{f.x.from, f.y.to}, [2]float64{f.x.to, f.y.from}
	enter, leave := 0.0, 1.0
	for axis := range 2 {
		d := z[axis] - a[axis]
		first, second := low[axis]-0.5-a[axis], high[axis]+0.5-a[axis]
		if d < 0 {
			first, second = second, first
		}
		if d == 0 {
			if a[axis] < low[axis]-0.5 || a[axis] > high[axis]+0.5 {
				return a, z, false
			}
			continue
		}
		enter, leave = max(enter, first/d), min(leave, second/d)
	}
	if enter > leave {
		return a, z, false
	}
	at := func(share float64) [2]float64 {
		switch share {
		case 0:
			return a
		case 1:
			return z
		}
		return [2]float64{a[0] + share*(z[0]-a[0]), a[1] + share*(z[1]-a[1])}
	}
	return at(enter), at(leave), true
}

func (f *frame) area(points []Point) {
	if len(points) < 2 {
		return
	}
	var b strings.Builder
	corner := func(letter string, x, y float64) {
		x = max(f.x.from, min(f.x.at(x), f.x.to))
		y = max(f.y.to, min(f.y.at(y), f.y.from))
		b.WriteString(letter + number(x) + " " + number(y))
	}
	for i, q := range points {
		corner([]string{"M", "L"}[min(i, 1)], q.X, q.Y)
	}
	for i := len(points) - 1; i >= 0; i-- {
		corner("L", points[i].X, points[i].YFrom)
	}
	f.leaf("path", "class", "area", "d", b.String()+"Z")
}

// histogram draws bars from the axis, with a hair of paper between them.
func (f *frame) histogram(s Series, points []Point) {
	base := f.y.from
	if !f.y.Log && f.y.holds(0) {
		base = f.y.at(0)
	}
	for _, q := range points {
		left, right := max(f.x.at(q.X), f.x.from), min(f.x.at(q.XTo), f.x.to)
		top := max(f.y.to, min(f.y.at(q.Y), f.y.from))
		if right <= left || top == base {
			continue
		}
		if right-left > 3 {
			right--
		}
		f.open("g", "class", "tip")
		f.title(f.tip(s, q))
		f.leaf("rect", "class", "bar", "x", left, "width", right-left,
			"y", min(top, base), "height", max(top-base, base-top))
		f.end("g")
	}
}

func (f *frame) markers(s Series, slot int, points []Point) {
	for _, q := range points {
		if !f.x.holds(q.X) || !f.y.holds(q.Y) {
			continue
		}
		f.open("g", "class", "tip")
		f.title(f.tip(s, q))
		f.marker(slot, f.x.at(q.X), f.y.at(q.Y))
		f.end("g")
	}
}

// shapes of the markers by place in the palette, around 0: circle, square,
// triangle, diamond, cross, down triangle, plus. Equal in weight to the eye.
var shapes = [...]string{
	"m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
	"m-4 -4h8v8h-8z",
	"m0 -5.4l5.2 9h-10.4z",
	"m0 -5.8l5.8 5.8l-5.8 5.8l-5.8 -5.8z",
	"m-2.6 -5l2.6 2.6l2.6 -2.6l2.4 2.4l-2.6 2.6l2.6 2.6l-2.4 2.4l-2.6 -2.6l-2.6 2.6l-2.4 -2.4l2.6 -2.6l-2.6 -2.6z",
	"m0 5.4l5.2 -9h-10.4z",
	"m-1.7 -5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
}

func (f *frame) marker(slot int, x, y float64) {
	shape := shapes[max(0, slot-1)%len(shapes)]
	f.leaf("path", "class", "marker", "d", "M"+number(x)+" "+number(y)+shape)
}

// hovers gives a curve places that show their values under the pointer.
func (f *frame) hovers(s Series, points []Point) {
	stride := (len(points) + hoverMax - 1) / hoverMax
	for i := 0; i < len(points); i += stride {
		q := points[i]
		if !f.x.holds(q.X) || !f.y.holds(q.Y) {
			continue
		}
		f.open("g", "class", "tip")
		f.title(f.tip(s, q))
		f.leaf("circle", "class", "hover", "cx", f.x.at(q.X), "cy", f.y.at(q.Y), "r", 6.0)
		f.end("g")
	}
}

// tip is the tooltip of a point.
func (f *frame) tip(s Series, q Point) string {
	x := Format(f.x.Unit, q.X)
	if s.Kind == Bars {
		x += " to " + Format(f.x.Unit, q.XTo)
	}
	text := x + ": " + Format(f.y.Unit, q.Y)
	if s.Name != "" {
		text = s.Name + ", " + text
	}
	if q.Note != "" {
		text += ", " + q.Note
	}
	return text
}
