package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
	"github.com/busnode/busnode/cmd/busnode/internal/report"
	"github.com/busnode/busnode/gossip/sim"
)

// report makes a page's data of a sweep.
func (s *sweep) report() report.Report {
	header, rows := s.table()
	first := s.rows[0]
	r := report.Report{
		Title: "busnode sim sweep: " + s.flag,
		Lead: fmt.Sprintf("The same simulation with %s values of --%s: %s.",
			humanize.Comma(int64(len(s.rows))), s.flag, first.flags.how()),
		Tables: []report.Table{{Title: "A row for each value of --" + s.flag, Headers: header, Rows: rows}},
		Laws:   s.laws(), Command: s.command(), Seed: fmt.Sprint(first.flags.seed), Version: versionText(),
		Parameters: slices.DeleteFunc(first.flags.parameters(), func(p report.Parameter) bool { return p.Name == s.flag }),
	}
	if s.flag == "nodes" {
		r.Scaling = s.scaling()
	}
	return r
}

// scaling are the quantities that a sweep over nodes has against their number.
func (s *sweep) scaling() []report.Scaling {
	last := report.Scaling{Title: "Last arrival", Label: "last arrival, ms"}
	hops := report.Scaling{Title: "Hops to the last node", Label: "hops"}
	copies := report.Scaling{Title: "Copies", Label: "payloads a node and event"}
	control := report.Scaling{Title: "Control", Label: "bytes a node and event", Unit: chart.Bytes}
	if s.rows[0].flags.rounds {
		last.Label = "last arrival, cycles"
	}
	for _, row := range s.rows {
		r := &row.result
		low, high := row.lastRange()
		n := float64(row.flags.nodes)
		last.Points = append(last.Points, report.ScalingPoint{Nodes: n, Value: r.TLast, Low: low, High: high})
		level := func(to *report.Scaling, v float64) {
			to.Points = append(to.Points, report.ScalingPoint{Nodes: n, Value: v, Low: v, High: v})
		}
		level(&hops, float64(r.HopsMax))
		level(&copies, r.CopiesPerNode)
		level(&control, r.ControlBytesPerNode)
	}
	if fit := s.fit(); fit != nil {
		last.Fit, hops.Fit = reportFit(fit), fitLog(hops.Points)
	}
	return []report.Scaling{last, hops, copies, control}
}

// fitLog fits the points, of which not all are of as many nodes.
func fitLog(points []report.ScalingPoint) *report.Fit {
	var xs, ys []float64
	for _, p := range points {
		xs, ys = append(xs, p.Nodes), append(ys, p.Value)
	}
	fit := sim.FitLog(xs, ys)
	return reportFit(&fit)
}

func reportFit(fit *sim.Fit) *report.Fit { return &report.Fit{A: fit.A, B: fit.B, R2: fit.R2} }

// lastRange returns the least and the greatest of the runs' last arrivals.
func (s *simulation) lastRange() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	take := func(v float64) { low, high = min(low, v), max(high, v) }
	for _, o := range s.rounds {
		for _, rumor := range o.Rumors {
			take(rumor.TLast)
		}
	}
	for _, o := range s.outcomes {
		if n := len(o.Latencies); n > 0 {
			take(milliseconds(o.Latencies[n-1]))
		}
	}
	if low > high {
		return s.result.TLast, s.result.TLast
	}
	return low, high
}

// laws are those of mongering in rounds, with the sweep's rows on them.
func (s *sweep) laws() []report.Law {
	if !s.rows[0].flags.rounds {
		return nil
	}
	points := report.Series{Name: "measured"}
	for i, row := range s.rows {
		point := chart.Point{X: row.result.Traffic, Y: row.result.Residue, Note: s.flag + " " + s.texts[i]}
		points.Points = append(points.Points, point)
	}
	return []report.Law{report.TrafficLaw(sim.ResidueOfTraffic, points)}
}

// report makes a page's data of a table of the paper.
func (p *paper) report() report.Report {
	_, rows := p.table()
	header := []string{
		"k", "busnode", "paper", "reproduced", "busnode", "paper", "reproduced", "busnode", "paper",
		"busnode", "paper", "reproduced",
	}
	m := p.rows[curveK-1].Rounds.Mongering
	r := report.Report{
		Title: fmt.Sprintf("Demers et al. 1987, table %d", p.flags.table),
		Lead: fmt.Sprintf("Rumor mongering among 1,000 sites in synchronous cycles: %s; %s of each row.",
			p.what(), countOf(p.flags.runs, "run")),
		Laws: p.laws(), Command: p.command(), Seed: fmt.Sprint(p.flags.seed), Version: versionText(),
		Tables: []report.Table{{
			Title: "Ours beside the paper's, and beside an independent simulation", Headers: header, Rows: rows,
			Groups: []report.Group{
				{Name: "", Columns: 1},
				{Name: "residue", Columns: 3},
				{Name: "traffic", Columns: 3},
				{Name: "mean arrival", Columns: 2},
				{Name: "last arrival", Columns: 3},
			},
		}},
	}
	e := &report.Epidemic{Cycles: true, Measured: states(p.curves[curveK-1], 1), Note: fmt.Sprintf(
		"k = %d, the rumors that are under way in a cycle.", curveK)}
	e.Theory, e.Law = theory(p.rows[curveK-1].Rounds.Nodes, m, len(e.Measured))
	r.Epidemic = e
	return r
}

// curveK is the k of the row whose course is drawn.
const curveK = 2

// laws are the paper's, with our points and the paper's on them.
func (p *paper) laws() []report.Law {
	traffic := []report.Series{{Name: "busnode"}, {Name: "the paper"}}
	counter := []report.Series{{Name: "busnode"}, {Name: "the paper"}}
	for i, found := range p.found {
		k, note := p.rows[i].K, fmt.Sprintf("k = %d", p.rows[i].K)
		add := func(to int, m, s float64) {
			if s > 0 {
				traffic[to].Points = append(traffic[to].Points, chart.Point{X: m, Y: s, Note: note})
				counter[to].Points = append(counter[to].Points, chart.Point{X: float64(k), Y: s, Note: note})
			}
		}
		add(0, found.Traffic, found.Residue)
		add(1, p.rows[i].Paper.Traffic, p.rows[i].Paper.Residue)
	}
	laws := []report.Law{report.TrafficLaw(sim.ResidueOfTraffic, traffic...)}
	if p.flags.table == 1 {
		laws = append(laws, report.CounterLaw(sim.ResidueOfCounter, counter...))
	}
	return laws
}
