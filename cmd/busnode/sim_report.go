package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
	"github.com/busnode/busnode/cmd/busnode/internal/report"
	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/sim"
)

// report makes a page's data of a simulation. What has a course is of the first run.
func (s *simulation) report() report.Report {
	f := s.flags
	r := report.Report{
		Title: fmt.Sprintf("busnode sim: %s nodes, %s", humanize.Comma(int64(f.nodes)), f.strategy),
		Lead:  s.lead(), Tiles: s.tiles(), Epidemic: s.epidemic(), Spread: s.spread(), Traffic: s.traffic(),
		Faults: f.faults(), Command: commandLine("busnode sim", f.set), Seed: fmt.Sprint(f.seed),
		Version:    versionText(),
		Parameters: f.parameters(),
	}
	if !f.rounds {
		r.Latency = report.NewLatency(s.latencies())
		r.Duration = s.outcomes[0].Elapsed.Round(100 * time.Millisecond).String()
	}
	return r
}

// parameters are all settings that a simulation has, also those left at their defaults or open. The
// seed is not among them: pages have it anyhow.
func (f *simFlags) parameters() []report.Parameter {
	settled := map[string]string{
		"strategy": f.strategy, "events": strconv.Itoa(f.events.n), "warmup": strconv.Itoa(f.warmup.n),
		"publishers": strconv.Itoa(f.publishers.n),
	}
	unused := []string{"seed"}
	if f.rounds {
		unused = append(append(unused, withoutTime...), "anti-entropy")
	}
	if f.strategy == strategyTree {
		unused = append(unused, ofMongering...)
	}
	var all []report.Parameter
	f.set.VisitAll(func(flag *pflag.Flag) {
		value, ok := settled[flag.Name]
		if !ok {
			value = flag.Value.String()
		}
		if value != "" && !isOutput(flag.Name) && !slices.Contains(unused, flag.Name) {
			all = append(all, report.Parameter{Name: flag.Name, Value: value})
		}
	})
	return all
}

func versionText() string {
	v := currentVersion()
	if v.Revision == "" {
		return v.Version
	}
	return fmt.Sprintf("%s (%.12s)", v.Version, v.Revision)
}

// lead says in a sentence what was run.
func (s *simulation) lead() string {
	f := s.flags
	events, size := countOf(f.events.n-f.warmup.n, "event"), humanize.IBytes(uint64(f.payload))
	text := fmt.Sprintf("%s nodes on links of %v and %s spread %s of %s from %s, by %s",
		humanize.Comma(int64(f.nodes)), f.latency, f.bandwidth.text, events, size,
		countOf(f.publishers.n, "publisher"), f.how())
	if f.rounds {
		text = fmt.Sprintf("%s nodes spread %s in synchronous cycles with uniform partners, by %s",
			humanize.Comma(int64(f.nodes)), countOf(f.events.n, "event"), f.how())
	}
	switch {
	case f.antiEntropy.off:
		text += ", without anti-entropy"
	default:
		text += ", with anti-entropy behind it"
	}
	if f.runs > 1 {
		text += "; " + countOf(f.runs, "run")
	}
	return text + "."
}

// how names the strategy with its variant.
func (f *simFlags) how() string {
	if f.strategy == strategyTree {
		return "a tree for each publisher"
	}
	return fmt.Sprintf("rumor mongering (%s, %s, %s, k = %d, fanout %d)", f.mode, f.variant, f.stop, f.k, f.fanout)
}

func (s *simulation) tiles() []report.Tile {
	r := &s.result
	nodes := report.Tile{Name: "Nodes", Value: float64(r.Nodes), Unit: chart.Count}
	residue := report.Tile{Name: "Residue", Value: r.Residue, Unit: chart.Share, Note: "missed by spreading"}
	hops := report.Tile{Name: "Hops", Value: float64(r.HopsMax), Unit: chart.Count, Note: "the longest way"}
	if s.flags.rounds {
		cycles := func(name string, v float64, note string) report.Tile {
			return report.Tile{Name: name, Value: v, Note: note}
		}
		return []report.Tile{
			nodes, residue,
			{Name: "Traffic", Value: r.Traffic, Note: "payloads sent a node"},
			cycles("Mean arrival", r.TAve, "cycles"), cycles("Last arrival", r.TLast, "cycles"),
			cycles("Nobody spreads", r.Rounds, "cycles"), hops,
		}
	}
	tiles := []report.Tile{
		nodes,
		{
			Name: "Delivered", Value: 1 - float64(r.Missing)/float64(max(1, r.Delivered+r.Missing)),
			Unit: chart.Share,
			Note: fmt.Sprintf("%s of %s", humanize.Comma(int64(r.Delivered)),
				humanize.Comma(int64(r.Delivered+r.Missing))),
		},
		residue,
		{Name: "Copies", Value: r.CopiesPerNode, Note: "a node and event"},
		{Name: "Latency p50", Value: r.P50.Seconds(), Unit: chart.Seconds},
		{Name: "Latency p99", Value: r.P99.Seconds(), Unit: chart.Seconds},
		{Name: "Latency max", Value: r.Max.Seconds(), Unit: chart.Seconds},
		hops,
	}
	if s.flags.payload > 0 {
		useful := r.BytesPerNode / float64(s.flags.payload)
		tiles = append(tiles, report.Tile{Name: "Bytes a useful byte", Value: useful})
	}
	if r.Recovery >= 0 && len(s.flags.faults()) > 0 {
		tiles = append(tiles, report.Tile{
			Name: "Recovery", Value: r.Recovery.Seconds(), Unit: chart.Seconds, Note: "after the last fault",
		})
	}
	return tiles
}

// epidemic is the course of the first event that counts; in rounds, of the first run's events.
func (s *simulation) epidemic() *report.Epidemic {
	f := s.flags
	if !f.rounds {
		if len(s.outcomes[0].Curve) == 0 {
			return nil
		}
		return &report.Epidemic{
			Measured: states(s.outcomes[0].Curve, time.Second),
			Note: "The first event that counts. Of a tree, a node is infective while it does not know that " +
				"its neighbours hold the event.",
		}
	}
	e := &report.Epidemic{Cycles: true, Measured: states(s.rounds[0].Curve, 1)}
	e.Theory, e.Law = theory(f.nodes, f.mongering(), len(e.Measured))
	if f.events.n > 1 {
		e.Note = fmt.Sprintf("%s, one after the other.", countOf(f.events.n, "event"))
	}
	return e
}

// states makes shares of counts of nodes. unit is what At counts.
func states(curve []sim.Sample, unit time.Duration) []report.State {
	out := make([]report.State, 0, len(curve))
	for _, c := range curve {
		if sum := c.Susceptible + c.Infective + c.Removed; sum > 0 {
			out = append(out, report.State{
				At: float64(c.At) / float64(unit), Susceptible: c.Susceptible / sum,
				Infective: c.Infective / sum, Removed: c.Removed / sum,
			})
		}
	}
	return out
}

// theory returns what is expected of mongering in synchronous cycles, and which law says so.
// There is none for more than one partner a cycle.
func theory(nodes int, m gossip.Mongering, cycles int) (course []report.State, law string) {
	switch {
	case m.Fanout != 1 || m.ConnectionLimit > 0:
		return nil, ""
	case m.Mode == gossip.Push:
		push := report.Push{Nodes: nodes, K: m.K, Blind: m.Blind, Coin: m.Coin}
		return push.Curve(cycles), "the mean-field recursion of push"
	}
	simple := report.Simple{Nodes: nodes, PushToo: m.Mode == gossip.PushPull}
	return simple.Curve(cycles), "the simple epidemic, in which nobody loses interest"
}

// spread is the way of the first event that counts, in the first run.
func (s *simulation) spread() *report.Spread {
	var tree []sim.TreeHop
	sp := &report.Spread{Cycles: s.flags.rounds, Note: "The first event that counts."}
	unit := time.Second
	if s.flags.rounds {
		tree, unit = s.rounds[0].Tree, 1
	} else {
		tree = s.outcomes[0].Tree
		for _, e := range s.outcomes[0].Edges {
			sp.Edges = append(sp.Edges, e)
		}
	}
	last := s.flags.nodes - 1 // nodes that joined come after
	for _, hop := range tree {
		last = max(last, hop.Node, hop.From)
	}
	for _, e := range sp.Edges {
		last = max(last, e[0], e[1])
	}
	sp.Nodes = make([]report.Node, last+1)
	for i := range sp.Nodes {
		sp.Nodes[i] = report.Node{At: -1, Parent: -1}
	}
	for _, hop := range tree {
		n := &sp.Nodes[hop.Node]
		n.At = float64(hop.At) / float64(unit)
		if hop.From != hop.Node {
			n.Parent = hop.From
		}
	}
	return sp
}

// latencies returns those of all runs, in seconds.
func (s *simulation) latencies() []float64 {
	var all []float64
	for _, o := range s.outcomes {
		for _, d := range o.Latencies {
			all = append(all, d.Seconds())
		}
	}
	return all
}

// traffic is what was sent in the first run, a node and event, by kinds of messages.
func (s *simulation) traffic() *report.Traffic {
	t := &report.Traffic{Note: "Messages of the core, without what encryption and transport add."}
	var tally *sim.Tally
	var each, copies, needed float64 // payloads that arrived, and that somebody needed
	if s.flags.rounds {
		o := s.rounds[0]
		tally, each = &o.Tally, 1/float64((s.flags.nodes-1)*len(o.Rumors))
		for _, rumor := range o.Rumors {
			needed += float64(s.flags.nodes)*(1-rumor.Residue) - 1
		}
		copies = math.Inf(1)
	} else {
		o := s.outcomes[0]
		tally, each, copies, needed = &o.Tally, o.Share, float64(o.Tally.Copies), float64(o.Tally.Releases)
	}
	for _, k := range tally.Kinds {
		m := report.MessageKind{
			Name: k.Kind, Class: report.Control, Messages: float64(k.Messages) * each, Bytes: float64(k.Bytes) * each,
		}
		switch {
		case k.Messages == 0:
		case k.Kind == "push":
			sent := float64(k.Messages)
			arrived := min(1, (copies-float64(tally.Repairs))/sent)
			useful := min(arrived, max(0, needed-float64(tally.Repairs))/sent)
			t.Kinds = append(t.Kinds, part(m, "push, needed", report.Payload, useful))
			t.Kinds = append(t.Kinds, part(m, "push, redundant", report.Redundant, arrived-useful))
			if arrived < 1 {
				t.Kinds = append(t.Kinds, part(m, "push, lost", report.Lost, 1-arrived))
				t.Note += " Lost are pushes on links that went down, and to nodes that did."
			}
		case k.Kind == "repair":
			t.Kinds = append(t.Kinds, part(m, "repair", report.Payload, 1))
		default:
			t.Kinds = append(t.Kinds, m)
		}
	}
	return t
}

// part returns a share of a kind of message under a name and class of its own.
func part(m report.MessageKind, name string, class report.Class, share float64) report.MessageKind {
	return report.MessageKind{Name: name, Class: class, Messages: m.Messages * share, Bytes: m.Bytes * share}
}

// faults are what struck the network, from the first event that counts.
func (f *simFlags) faults() []report.Fault {
	var all []report.Fault
	for _, p := range f.partitions.items {
		all = append(all, report.Fault{
			Name: "partition, " + percent(p.Share) + " apart", From: p.At.Seconds(), To: (p.At + p.For).Seconds(),
		})
	}
	for _, c := range f.crashes.items {
		all = append(all, report.Fault{Name: "crash of " + percent(c.Share), From: c.At.Seconds()})
	}
	if f.churn.Share > 0 {
		load := time.Duration(f.events.n-f.warmup.n-1) * f.interval
		for _, one := range all {
			load = max(load, time.Duration(max(one.From, one.To)*float64(time.Second)))
		}
		name := fmt.Sprintf("churn of %s in %v", percent(f.churn.Share), f.churn.Every)
		all = append(all, report.Fault{Name: name, To: load.Seconds()})
	}
	return all
}
