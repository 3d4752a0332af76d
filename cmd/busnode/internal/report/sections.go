package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

// section is a part of the page.
type section struct {
	ID, Title, Text string
	Figures         []figure
	Tables          []tableFigure
	Spread          *spreadFigure
}

// sections returns the parts that have data, in the order of the page.
func (r *Report) sections() []section {
	var all []section
	if r.Epidemic != nil && len(r.Epidemic.Measured) > 0 {
		all = append(all, r.epidemic())
	}
	if r.Spread != nil && len(r.Spread.Nodes) > 0 {
		all = append(all, r.Spread.section())
	}
	if r.Latency != nil && len(r.Latency.Bins) > 0 {
		all = append(all, r.Latency.section())
	}
	if r.Traffic != nil && len(r.Traffic.Kinds) > 0 {
		all = append(all, r.Traffic.section())
	}
	if len(r.Faults) > 0 {
		all = append(all, r.faults())
	}
	if len(r.Scaling) > 0 {
		all = append(all, scaling(r.Scaling))
	}
	if len(r.Laws) > 0 {
		all = append(all, laws(r.Laws))
	}
	if len(r.Tables) > 0 {
		all = append(all, section{ID: "tables", Title: "Tables", Tables: tables(r.Tables)})
	}
	return all
}

func (r *Report) epidemic() section {
	e := r.Epidemic
	return section{
		ID: "epidemic", Title: "The epidemic",
		Text: "A node is susceptible until the rumor comes, infective while it spreads it, and removed once it " +
			"has lost interest. What stays susceptible is the residue.",
		Figures: []figure{newFigure(e.Plot(r.Faults), false)},
	}
}

func (l *Latency) section() section {
	text := "Over " + chart.Format(chart.Count, float64(l.Samples)) + " deliveries: half took at most " +
		chart.Format(chart.Seconds, l.P50) + ", 99 in 100 at most " + chart.Format(chart.Seconds, l.P99) +
		", the longest " + chart.Format(chart.Seconds, l.Max) + "."
	return section{
		ID: "latency", Title: "Latency", Text: text,
		Figures: []figure{newFigure(l.Histogram(), true), newFigure(l.Cumulative(), true)},
	}
}

func (t *Traffic) section() section {
	var sum, useful, copies float64
	rows := make([][]string, 0, len(t.Kinds))
	for _, k := range t.Kinds {
		rows = append(rows, []string{k.Name, chart.Format(chart.Number, k.Messages), chart.Format(chart.Bytes, k.Bytes)})
		sum += k.Bytes
		if k.Class == Payload {
			useful += k.Bytes
		}
		if k.Class == Payload || k.Class == Redundant {
			copies += k.Messages
		}
	}
	text := "For each event a node received " + chart.Format(chart.Number, copies) + " copies of the payload, and " +
		chart.Format(chart.Bytes, sum) + " were sent to it in all"
	if useful > 0 {
		text += ", " + chart.Format(chart.Number, sum/useful) + " times the copy that it needed"
	}
	s := section{ID: "traffic", Title: "Copies and bytes", Text: text + "."}
	for _, r := range []chart.Ranking{t.Bytes(), t.Messages()} {
		f := newRanking(r)
		f.Data = newGrid(r.Title, []string{"message", "messages", "bytes"}, rows)
		s.Figures = append(s.Figures, f)
	}
	return s
}

func (r *Report) faults() section {
	faults := Table{Title: "From the first event that counts", Headers: []string{"fault", "from", "to"}}
	for _, f := range r.Faults {
		to := "at once"
		if f.To > f.From {
			to = chart.Format(chart.Seconds, f.To)
		}
		faults.Rows = append(faults.Rows, []string{f.Name, chart.Format(chart.Seconds, f.From), to})
	}
	return section{ID: "faults", Title: "Faults", Tables: tables([]Table{faults})}
}

func scaling(all []Scaling) section {
	s := section{
		ID: "scaling", Title: "Scaling",
		Text: "On a logarithmic axis of nodes, what grows as log n is a straight line, and what does not grow is level.",
	}
	for _, one := range all {
		s.Figures = append(s.Figures, newFigure(one.Plot(), len(all) > 1))
	}
	return s
}

func laws(all []Law) section {
	s := section{ID: "laws", Title: "Laws"}
	for _, l := range all {
		s.Figures = append(s.Figures, newFigure(l.Plot(), len(all) > 1))
	}
	return s
}

func nodeName(i int) string { return "node " + strconv.Itoa(i) }

func (s *Spread) section() section {
	data := s.draw()
	unit, total := chart.Seconds, len(s.Nodes)
	if s.Cycles {
		unit = chart.Count
	}
	came, rows := s.byHop(unit)
	when := chart.Format(unit, data.End)
	if s.Cycles {
		when = "cycle " + when
	}
	text := fmt.Sprintf("One rumor on its way from the origin, in the middle, to %s of %s nodes, the last at %s "+
		"over %d hops. Each ring is one hop; a line is the link that brought the rumor; color is the order of arrival.",
		chart.Format(chart.Count, float64(came)), chart.Format(chart.Count, float64(total)), when, max(0, len(rows)-1))
	if came < total {
		text += " The nodes that it never reached stand on the outermost ring."
	}
	if len(data.X) < total {
		text += fmt.Sprintf(" Drawn are %s nodes, evenly chosen, with those that brought them the rumor.",
			chart.Format(chart.Count, float64(len(data.X))))
	}
	return section{ID: "spread", Title: "The way of a rumor", Spread: &spreadFigure{
		Text: text, Note: s.Note, Data: data,
		Hops:  newGrid("The way of a rumor", []string{"hop", "nodes", "first", "last"}, rows),
		Label: "Animation of the rumor's spread. The table below holds its data by hops.",
	}}
}

// byHop returns how many nodes the rumor came to, and a row for each hop.
func (s *Spread) byHop(unit chart.Unit) (came int, rows [][]string) {
	type ring struct {
		nodes       int
		first, last float64
	}
	var rings []ring
	for i, hop := range s.hops() {
		if hop < 0 {
			continue
		}
		came++
		for len(rings) <= hop {
			rings = append(rings, ring{first: math.Inf(1)})
		}
		r := &rings[hop]
		r.nodes++
		r.first, r.last = min(r.first, s.Nodes[i].At), max(r.last, s.Nodes[i].At)
	}
	for hop, r := range rings {
		rows = append(rows, []string{
			strconv.Itoa(hop), chart.Format(chart.Count, float64(r.nodes)),
			chart.Format(unit, r.first), chart.Format(unit, r.last),
		})
	}
	return came, rows
}
