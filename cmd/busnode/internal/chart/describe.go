package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Describe returns a text that stands for the plot where it cannot be seen: its
// title, what its axes are, and where each series begins, ends and is highest.
func (p *Plot) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.", cmp.Or(p.Title, "Plot"))
	if p.X.Label != "" && p.Y.Label != "" {
		fmt.Fprintf(&b, " %s against %s.", p.Y.Label, p.X.Label)
	}
	for _, s := range p.Series {
		points := p.visible(s)
		if len(points) == 0 || s.Name == "" {
			continue
		}
		first, last := points[0], points[len(points)-1]
		top := slices.MaxFunc(points, func(a, b Point) int { return cmp.Compare(a.Y, b.Y) })
		fmt.Fprintf(&b, " %s: from %s at %s to %s at %s", s.Name, Format(p.Y.Unit, first.Y),
			Format(p.X.Unit, first.X), Format(p.Y.Unit, last.Y), Format(p.X.Unit, last.X))
		if top.Y > max(first.Y, last.Y) {
			fmt.Fprintf(&b, ", highest %s at %s", Format(p.Y.Unit, top.Y), Format(p.X.Unit, top.X))
		}
		b.WriteString(".")
	}
	for _, m := range p.Marks {
		if p.X.draws(m.At) {
			fmt.Fprintf(&b, " Marked: %s.", m.Label)
		}
	}
	for _, band := range p.Bands {
		if p.X.draws(band.From) {
			fmt.Fprintf(&b, " Shaded from %s to %s: %s.", Format(p.X.Unit, band.From),
				Format(p.X.Unit, max(band.From, band.To)), band.Label)
		}
	}
	return b.String()
}

// rowsMax bounds the rows of a plot's table.
const rowsMax = 250

// Data returns the plot as a table: a column for x and one for each named
// series. Beyond 250 rows, evenly chosen ones stand for all, which thinned tells.
func (p *Plot) Data() (headers []string, rows [][]string, thinned bool) {
	headers = []string{cmp.Or(p.X.Label, "x")}
	cells := make(map[float64]map[int]string)
	for _, s := range p.Series {
		points := p.visible(s)
		if s.Name == "" || len(points) == 0 {
			continue
		}
		column := len(headers)
		headers = append(headers, s.Name)
		for _, q := range points {
			if cells[q.X] == nil {
				cells[q.X] = make(map[int]string)
			}
			cells[q.X][column] = p.cell(s, q)
		}
	}
	xs := make([]float64, 0, len(cells))
	for x := range cells {
		xs = append(xs, x)
	}
	slices.Sort(xs)
	stride := max(1, int(math.Ceil(float64(len(xs))/rowsMax)))
	for i := 0; i < len(xs); i += stride {
		row := make([]string, len(headers))
		row[0] = Format(p.X.Unit, xs[i])
		for column, text := range cells[xs[i]] {
			row[column] = text
		}
		rows = append(rows, row)
	}
	return headers, rows, stride > 1
}

// cell is a point's value in the table.
func (p *Plot) cell(s Series, q Point) string {
	text := Format(p.Y.Unit, q.Y)
	if s.Kind == Area {
		text = Format(p.Y.Unit, q.YFrom) + " to " + text
	}
	if q.Note != "" {
		text += " (" + q.Note + ")"
	}
	return text
}
