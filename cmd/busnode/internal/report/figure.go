package report

import (
	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// figure is a drawing with its words and its data. It is drawn twice: the page
// shows the one that fits the screen.
type figure struct {
	Title, Subtitle, Note string
	Half                  bool // beside another if there is room
	Wide, Narrow          string
	Data                  *grid // may be nil
}

// spreadFigure is the animation with its words.
type spreadFigure struct {
	Text, Label string
	Note        string
	Data        *picture
	Hops        *grid
}

// Sizes of the drawings: over the whole page, half of it, and on a phone.
const (
	fullWidth, fullHeight     = 900, 380
	halfWidth, halfHeight     = 520, 350
	narrowWidth, narrowHeight = 340, 310
)

// pointsMax bounds the points of a curve in the page.
const pointsMax = 400

// newFigure draws a plot for the page.
func newFigure(p chart.Plot, half bool) figure {
	f := figure{Title: p.Title, Subtitle: p.Subtitle, Note: p.Note, Half: half}
	width, height := float64(fullWidth), float64(fullHeight)
	if half {
		width, height = halfWidth, halfHeight
	}
	// The chart escapes all text.
	f.Wide = p.Fragment("wide", width, height)
	f.Narrow = p.Fragment("narrow", narrowWidth, narrowHeight)
	headers, rows, thinned := p.Data()
	f.Data = newGrid(p.Title, headers, rows)
	f.Data.Thinned = thinned
	return f
}

func newRanking(r chart.Ranking) figure {
	return figure{
		Title: r.Title, Subtitle: r.Subtitle, Note: r.Note, Half: true,
		Wide:   r.Fragment("wide", halfWidth),
		Narrow: r.Fragment("narrow", narrowWidth),
	}
}

// thin returns at most pointsMax of the points, evenly chosen, with both ends.
func thin[T any](points []T) []T {
	if len(points) <= pointsMax {
		return points
	}
	some := make([]T, pointsMax)
	for i := range some {
		some[i] = points[i*(len(points)-1)/(pointsMax-1)]
	}
	return some
}
