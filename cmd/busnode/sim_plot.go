package main

import (
	"fmt"
	"io"
	"math"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
	"github.com/busnode/busnode/cmd/busnode/internal/report"
	"github.com/busnode/busnode/gossip/sim"
)

// draw writes the pictures that are wanted, each file whole.
func (p *pictureFlags) draw(page func() report.Report, plot func() chart.Plot) error {
	if p.report != "" {
		err := writeWhole(p.report, func(w io.Writer) error { return report.Write(w, page()) })
		if err != nil {
			return err
		}
	}
	if p.plot == "" {
		return nil
	}
	return writeWhole(p.plot, func(w io.Writer) error {
		drawing := plot()
		return drawing.Write(w)
	})
}

func (s *simulation) drawPictures() error { return s.flags.picture.draw(s.report, s.plot) }

func (s *sweep) drawPictures() error { return s.flags[0].picture.draw(s.report, s.plot) }

func (p *paper) drawPictures() error { return p.flags.picture.draw(p.report, p.plot) }

// plot is the epidemic's course in rounds, else the distribution of latencies.
func (s *simulation) plot() chart.Plot {
	p := chart.Plot{Title: "Latency: nothing was delivered"}
	if s.flags.rounds {
		p = s.epidemic().Plot(nil)
	} else if l := report.NewLatency(s.latencies()); l != nil {
		p = l.Histogram()
		p.Subtitle = s.lead()
	}
	p.Note = commandLine("busnode sim", s.flags.set)
	return p
}

// plot is the law of residue against traffic, with the points on it.
func (p *paper) plot() chart.Plot {
	plot := p.laws()[0].Plot()
	plot.Title = fmt.Sprintf("Demers et al. 1987, table %d: residue against traffic", p.flags.table)
	plot.Subtitle, plot.Note = p.what(), p.command()
	return plot
}

// plot is the last arrival against the number of nodes with the law that was fitted, the
// law of residue against traffic for k, and for other flags what latencies, or in rounds
// residues, go with their values.
func (s *sweep) plot() chart.Plot {
	var p chart.Plot
	switch {
	case s.flag == "nodes":
		p = s.scaling()[0].Plot()
	case s.flag == "k" && s.rows[0].flags.rounds:
		p = s.laws()[0].Plot()
	default:
		p = s.valuesPlot()
	}
	p.Subtitle, p.Note = s.rows[0].flags.how(), s.command()
	return p
}

// valuesPlot is latencies, or in rounds residues, against what varies.
func (s *sweep) valuesPlot() chart.Plot {
	p := chart.Plot{
		Title: "Latency by " + s.flag, X: s.axis(),
		Y: chart.Axis{Label: "from publishing to delivery", Unit: chart.Seconds},
	}
	add := func(name string, of func(*sim.Result) float64) {
		series := chart.Series{Name: name, Kind: chart.Marked}
		for i, row := range s.rows {
			series.Points = append(series.Points, chart.Point{X: s.place(i), Y: of(&row.result), Note: s.texts[i]})
		}
		p.Series = append(p.Series, series)
	}
	if s.rows[0].flags.rounds {
		p.Title = "Residue by " + s.flag
		p.Y = chart.Axis{Label: "share of the nodes that an event missed", Unit: chart.Share}
		add("residue", func(r *sim.Result) float64 { return r.Residue })
		return p
	}
	add("p50", func(r *sim.Result) float64 { return r.P50.Seconds() })
	add("p99", func(r *sim.Result) float64 { return r.P99.Seconds() })
	add("max", func(r *sim.Result) float64 { return r.Max.Seconds() })
	return p
}

// place returns where a row stands on the axis: at its value, or if that is no number, at its turn.
func (s *sweep) place(i int) float64 {
	switch v := s.value(i).(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return float64(i + 1)
}

// axis returns that of the values: logarithmic if they span more than a factor of 30.
func (s *sweep) axis() chart.Axis {
	a := chart.Axis{Label: s.flag}
	least, most := math.Inf(1), 0.0
	for i := range s.rows {
		v := s.place(i)
		least, most = min(least, v), max(most, v)
	}
	a.Log = least > 0 && most/least > 30
	switch s.set.Lookup(s.flag).Value.(type) {
	case *share:
		a.Unit = chart.Share
	case *quantity.Size:
		a.Unit = chart.Bytes
	}
	if s.set.Lookup(s.flag).Value.Type() == "duration" {
		a.Label += ", ms"
	}
	return a
}
