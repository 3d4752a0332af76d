package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip"
)

// Plan is a whole fault run, drawn from one seed. Faults that come again and
// again have the mean time between two of them; zero: they do not come.
type Plan struct {
	Seed       uint64
	Nodes      int
	Overlay    string // line, ring, star, tree, regular or full
	Links      int    // a node, of a regular overlay
	Config     gossip.Config
	Net        Network
	Faults     Faults
	Encode     bool
	StoreDelay time.Duration
	Topics     []string
	Shy        float64 // share of nodes that only publish
	Picky      float64 // share of the others that read but some topics
	Batches    int     // of load
	Payload    int     // bytes, at most
	Span       time.Duration

	Skew      time.Duration // clocks are off by up to so much; within what is accepted
	FarSkew   time.Duration // one node's clock is off by so much, until all heals
	Cuts      time.Duration // connections that are lost, and come back
	Splits    time.Duration // partitions
	OneWay    bool          // some of which let one direction through
	Crashes   time.Duration
	Lost      float64 // share of crashes that lose the log
	Joins     time.Duration
	Leaves    time.Duration
	Clogs     time.Duration
	Refusals  time.Duration // of logs, to write
	Trims     time.Duration
	Interests time.Duration // that come or go
	Twins     time.Duration // equivocations
}

// Swarm draws a fault run from a seed: each fault is there or not, with a
// strength. Equal seeds give equal plans.
func Swarm(seed uint64) Plan {
	d := drawer{rand.New(rand.NewPCG(seed, 0x7377))}
	p := Plan{
		Seed: seed, Nodes: 2 + d.IntN(6), Config: gossip.DefaultConfig(), Payload: 1 + d.IntN(2000),
		Overlay: []string{"line", "ring", "star", "tree", "regular", "full"}[d.IntN(6)], Links: 3 + d.IntN(4),
		Topics: []string{"x", "y.z", "y.w"}[:1+d.IntN(3)], Batches: 10 + d.IntN(70), Span: d.between(5, 30),
	}
	if d.IntN(3) == 0 {
		p.Nodes = 2 + d.IntN(29)
	}
	p.Config.Degree = 3 + d.IntN(6)
	p.Config.AuthorsMax = []int{3, 1 << 16, 1 << 16}[d.IntN(3)]
	p.Config.ServeMaxBytes = []int{100, 1 << 20, 1 << 20}[d.IntN(3)]
	p.Config.Mode = []gossip.Mode{gossip.PushPull, gossip.PushPull, gossip.PushPull, gossip.Push, gossip.Pull}[d.IntN(5)]
	p.Config.HeartbeatInterval = []time.Duration{time.Second, time.Second, 300 * time.Millisecond}[d.IntN(3)]
	p.drawTopics(&d)
	p.Encode = d.sometimes(0.3)
	if d.sometimes(0.6) {
		p.StoreDelay = time.Duration(d.IntN(20)) * time.Millisecond
	}
	if d.sometimes(0.5) {
		p.Shy = d.share(0.5)
	}
	if d.sometimes(0.5) {
		p.Picky = d.share(0.6)
	}
	p.drawNetwork(&d)
	p.drawFaults(&d)
	return p
}

// drawTopics chooses topics that spread by mongering, with anti-entropy behind it: without
// it nothing is promised.
func (p *Plan) drawTopics(d *drawer) {
	if !d.sometimes(0.3) {
		return
	}
	m := gossip.Mongering{
		Mode:  []gossip.Mode{gossip.PushPull, gossip.Push, gossip.Pull}[d.IntN(3)],
		Blind: d.sometimes(0.3), Coin: d.sometimes(0.3), K: 1 + d.IntN(4), Fanout: 1 + d.IntN(3),
		Interval: time.Duration(50+d.IntN(500)) * time.Millisecond,
	}
	if d.sometimes(0.3) {
		m.ConnectionLimit, m.Hunt = 1+d.IntN(3), d.IntN(3)
	}
	m.Minimize = m.Mode == gossip.PushPull && !m.Blind && !m.Coin && d.sometimes(0.5)
	filter := []string{">", "x", "y.*"}[d.IntN(3)]
	p.Config.Topics = []gossip.TopicConfig{{Filter: filter, Mongering: &m}}
}

func (p *Plan) drawNetwork(d *drawer) {
	p.Net.Latency = time.Duration(1+d.IntN(80)) * time.Millisecond
	if d.sometimes(0.5) {
		p.Net.Jitter = time.Duration(d.Int64N(int64(p.Net.Latency)))
	}
	if d.sometimes(0.3) {
		p.Net.Rate = 100_000 << d.IntN(8)
	}
	if d.sometimes(0.3) {
		p.Net.Loss = d.share(0.2)
	}
	if d.sometimes(0.25) {
		p.Faults.Drop = d.share(0.1)
	}
	if d.sometimes(0.25) {
		p.Faults.Duplicate = d.share(0.3)
	}
	if d.sometimes(0.25) {
		p.Faults.Reorder, p.Faults.ReorderBy = d.share(0.3), time.Duration(1+d.IntN(1000))*time.Millisecond
	}
	if d.sometimes(0.1) {
		p.Faults.Corrupt, p.Encode = d.share(0.05), true
	}
	if d.sometimes(0.3) {
		p.Faults.Outbox = d.share(0.3)
	}
}

func (p *Plan) drawFaults(d *drawer) {
	if d.sometimes(0.5) {
		p.Skew = d.between(0, 14)
	}
	for _, f := range []struct {
		every    *time.Duration
		p        float64
		min, max int // seconds
	}{
		{&p.Cuts, 0.4, 1, 5},
		{&p.Splits, 0.3, 4, 15},
		{&p.Crashes, 0.4, 2, 10},
		{&p.Joins, 0.2, 4, 15},
		{&p.Leaves, 0.2, 5, 20},
		{&p.Clogs, 0.2, 2, 10},
		{&p.Refusals, 0.2, 3, 10},
		{&p.Trims, 0.25, 1, 10},
		{&p.Interests, 0.25, 1, 10},
		{&p.Twins, 0.1, 5, 20},
	} {
		if d.sometimes(f.p) {
			*f.every = d.between(f.min, f.max)
		}
	}
	p.OneWay = d.sometimes(0.5)
	if d.sometimes(0.3) {
		p.Lost = d.share(0.5)
	}
	if d.sometimes(0.15) {
		p.FarSkew = []time.Duration{1, -1}[d.IntN(2)] * d.between(31, 90)
		// A node whose clock is set back when it has lost its log begins an epoch below that
		// of what others hold of it, and they take what it publishes for late. Nothing is promised.
		p.Lost = 0
	}
}

// vanishes reports whether frames are kept from arriving as they were sent, in
// order and once. A carrier does not do that to a connection that goes on.
func (p *Plan) vanishes() bool {
	f := &p.Faults
	return f.Drop > 0 || f.Duplicate > 0 || f.Reorder > 0 || f.Corrupt > 0
}

// String tells the plan in a line, without what is as ever.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes=%d overlay=%s/%d degree=%d topics=%d batches=%d payload=%d span=%v latency=%v",
		p.Nodes, p.Overlay, p.Links, p.Config.Degree, len(p.Topics), p.Batches, p.Payload, p.Span, p.Net.Latency)
	for _, f := range []struct {
		name string
		v    any
		on   bool
	}{
		{"mode", p.Config.Mode, p.Config.Mode != gossip.PushPull},
		{"heartbeat", p.Config.HeartbeatInterval, p.Config.HeartbeatInterval != time.Second},
		{"authors", p.Config.AuthorsMax, p.Config.AuthorsMax < 1<<16},
		{"serve", p.Config.ServeMaxBytes, p.Config.ServeMaxBytes < 1<<20},
		{"store", p.StoreDelay, p.StoreDelay > 0},
		{"shy", p.Shy, p.Shy > 0},
		{"picky", p.Picky, p.Picky > 0},
		{"jitter", p.Net.Jitter, p.Net.Jitter > 0},
		{"rate", p.Net.Rate, p.Net.Rate > 0},
		{"loss", p.Net.Loss, p.Net.Loss > 0},
		{"drop", p.Faults.Drop, p.Faults.Drop > 0},
		{"duplicate", p.Faults.Duplicate, p.Faults.Duplicate > 0},
		{"reorder", p.Faults.Reorder, p.Faults.Reorder > 0},
		{"by", p.Faults.ReorderBy, p.Faults.Reorder > 0},
		{"corrupt", p.Faults.Corrupt, p.Faults.Corrupt > 0},
		{"outbox", p.Faults.Outbox, p.Faults.Outbox > 0},
		{"skew", p.Skew, p.Skew > 0},
		{"far-skew", p.FarSkew, p.FarSkew != 0},
		{"cuts", p.Cuts, p.Cuts > 0},
		{"splits", p.Splits, p.Splits > 0},
		{"one-way", p.OneWay, p.Splits > 0 && p.OneWay},
		{"crashes", p.Crashes, p.Crashes > 0},
		{"lost", p.Lost, p.Crashes > 0 && p.Lost > 0},
		{"joins", p.Joins, p.Joins > 0},
		{"leaves", p.Leaves, p.Leaves > 0},
		{"clogs", p.Clogs, p.Clogs > 0},
		{"refusals", p.Refusals, p.Refusals > 0},
		{"trims", p.Trims, p.Trims > 0},
		{"interests", p.Interests, p.Interests > 0},
		{"twins", p.Twins, p.Twins > 0},
	} {
		if f.on {
			fmt.Fprintf(&b, " %s=%v", f.name, f.v)
		}
	}
	for _, t := range p.Config.Topics {
		fmt.Fprintf(&b, " mongering=%s%+v", t.Filter, *t.Mongering)
	}
	return b.String()
}

// drawer draws what plans are made of.
type drawer struct{ *rand.Rand }

func (d *drawer) sometimes(p float64) bool { return d.Float64() < p }

// share returns a share from a hundredth up to limit, in hundredths: so that plans are easy to read.
func (d *drawer) share(limit float64) float64 { return float64(1+d.IntN(int(limit*100))) / 100 }

// between returns a time between two numbers of seconds, in steps of 10 ms.
func (d *drawer) between(least, most int) time.Duration {
	return time.Duration(100*least+d.IntN(100*(most-least)+1)) * 10 * time.Millisecond
}

// overlay returns the links of a plan's overlay.
func (p *Plan) overlay(rng *rand.Rand) []Edge {
	switch p.Overlay {
	case "line":
		return Line(p.Nodes)
	case "ring":
		return Ring(p.Nodes)
	case "star":
		return Star(p.Nodes)
	case "tree":
		return Tree(p.Nodes, rng)
	case "full":
		return Full(p.Nodes)
	}
	edges, err := Regular(p.Nodes, p.Links, rng)
	mustf(err == nil, "%v", err)
	return edges
}

// Line returns the edges of n nodes in a row.
func Line(n int) (edges []Edge) {
	for i := range n - 1 {
		edges = append(edges, Edge{i, i + 1})
	}
	return edges
}

// Ring returns the edges of n nodes in a circle.
func Ring(n int) []Edge {
	edges := Line(n)
	if n > 2 {
		edges = append(edges, Edge{0, n - 1})
	}
	return edges
}

// Star returns the edges between the first of n nodes and each other.
func Star(n int) (edges []Edge) {
	for i := range n - 1 {
		edges = append(edges, Edge{0, i + 1})
	}
	return edges
}

// Tree returns the edges between each of n nodes but the first and one before it, at random.
func Tree(n int, rng *rand.Rand) (edges []Edge) {
	for i := range n - 1 {
		edges = append(edges, Edge{rng.IntN(i + 1), i + 1})
	}
	return edges
}

// filters draws the interests of a node.
func (p *Plan) filters(d *drawer, first bool) []string {
	switch {
	case !first && d.sometimes(p.Shy):
		return nil
	case !first && d.sometimes(p.Picky):
		return []string{[]string{"x", "y.*", "y.z", "*"}[d.IntN(4)]}
	}
	return []string{">"}
}
