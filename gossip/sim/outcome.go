package sim

import (
	"math"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
)

// Outcome is what one run of an experiment brought.
type Outcome struct {
	Seed      uint64
	Nodes     int             // up at the end
	Pairs     int             // of an event that counts and a node that is up at the end, the publisher excluded
	Delivered int             // of them: the node can read the event
	Spread    int             // of them: the first copy came by spreading, not by repair
	Latencies []time.Duration // ascending: what nodes waited for events, see Arrival.Waited
	Hops      int             // the longest way of a first copy
	Recovery  time.Duration   // from the end of load and faults until all held all; negative: they did not in time
	Tally     Tally
	Share     float64 // of all copies and bytes that are one node's and event's: 1/(receivers × events)
	Curve     []Sample
	Edges     []Edge    // of the overlay at the end
	Tree      []TreeHop // of the first event that counts
	Elapsed   time.Duration
	Events    uint64 // that the simulator handled
}

// Sample is how many nodes are in each state as to one event.
type Sample struct {
	At                              time.Duration // since its publication; in rounds: cycles as nanoseconds
	Susceptible, Infective, Removed float64
}

// TreeHop is how an event came to a node first.
type TreeHop struct {
	Node, From int // alike for the publisher
	At         time.Duration
	Hops       int
	Repaired   bool
}

func (x *experimenter) outcome() *Outcome {
	s := x.sim
	o := &Outcome{
		Seed: x.seed, Tally: s.Tally(), Curve: x.curve, Edges: s.Edges(), Elapsed: s.Now(), Events: s.Events(),
		Recovery: -1,
	}
	if x.isComplete() {
		over := max(x.ends, x.began.Add(x.lastFault))
		o.Recovery = max(0, time.Duration(x.complete-over))
	}
	events := 0
	for i := x.first; i < len(s.store.batches); i++ {
		events++
		o.Share += float64(x.sizes[i] - 1)
	}
	if o.Share > 0 {
		o.Share = 1 / o.Share
	}
	for _, n := range s.nodes {
		if n.Up() {
			o.Nodes++
			x.gather(o, n)
		}
	}
	slices.Sort(o.Latencies)
	x.tree(o)
	return o
}

// gather adds what one node has got.
func (x *experimenter) gather(o *Outcome, n *Node) {
	for i := x.first; i < len(x.sim.store.batches); i++ {
		p := &x.sim.store.batches[i]
		if p.Author == n.Index {
			continue
		}
		o.Pairs++
		a := n.Arrival(i)
		if !a.IsReleased() {
			continue
		}
		o.Delivered++
		if a.state&repaired == 0 {
			o.Spread++
		}
		o.Hops = max(o.Hops, int(a.Hops))
		o.Latencies = append(o.Latencies, a.Waited)
	}
}

// tree notes how the first event that counts came to each node.
func (x *experimenter) tree(o *Outcome) {
	if x.first >= len(x.sim.store.batches) {
		return
	}
	at := x.sim.store.batches[x.first].At
	for _, n := range x.sim.nodes {
		if a := n.Arrival(x.first); a.Seen() {
			o.Tree = append(o.Tree, TreeHop{
				Node: n.Index, From: int(a.From), At: time.Duration(a.Reached - at), Hops: int(a.Hops),
				Repaired: a.state&repaired != 0,
			})
		}
	}
}

// Result is what a person is told of an experiment's runs.
type Result struct {
	Nodes               int
	Residue             float64 // share of (node, event) that spreading missed: repaired, or never there
	Traffic             float64 // payloads sent, a node and event
	TAve, TLast         float64 // mean and last arrival: in cycles, or milliseconds where there are none
	Rounds              float64 // cycles until nobody spreads any more; 0 where there are none
	CopiesPerNode       float64 // payloads received, a node and event
	BytesPerNode        float64 // of all messages, a node and event
	ControlBytesPerNode float64 // of those without payload
	P50, P99, Max       time.Duration
	HopsMax             int
	Delivered, Missing  int
	Duplicates          int           // events that a subscription could read twice
	Recovery            time.Duration // negative: not all held all in time
	Seed                uint64
}

// Summarize makes one result of the runs of an experiment.
func (e *Experiment) Summarize(runs []*Outcome) Result {
	r := Result{Nodes: e.Nodes, Seed: e.Seed}
	if len(runs) == 0 {
		return r
	}
	var all []time.Duration
	spread, pairs := 0, 0
	for _, o := range runs {
		all = append(all, o.Latencies...)
		spread += o.Spread
		pairs += o.Pairs
		r.Delivered += o.Delivered
		r.Missing += o.Pairs - o.Delivered
		r.Duplicates += int(o.Tally.Duplicates)
		r.HopsMax = max(r.HopsMax, o.Hops)
		bytes, control := o.Tally.Bytes()
		r.CopiesPerNode += float64(o.Tally.Copies) * o.Share
		r.BytesPerNode += float64(bytes) * o.Share
		r.ControlBytesPerNode += float64(control) * o.Share
		r.Recovery = max(r.Recovery, o.Recovery)
	}
	for _, o := range runs {
		if o.Recovery < 0 {
			r.Recovery = -1
		}
	}
	n := float64(len(runs))
	r.CopiesPerNode /= n
	r.BytesPerNode /= n
	r.ControlBytesPerNode /= n
	r.Traffic = r.CopiesPerNode
	if pairs > 0 {
		r.Residue = 1 - float64(spread)/float64(pairs)
	}
	slices.Sort(all)
	r.P50, r.P99 = Quantile(all, 0.5), Quantile(all, 0.99)
	if len(all) > 0 {
		r.Max = all[len(all)-1]
		sum := 0.0
		for _, d := range all {
			sum += float64(d)
		}
		r.TAve = sum / float64(len(all)) / float64(time.Millisecond)
		r.TLast = float64(r.Max) / float64(time.Millisecond)
	}
	return r
}

// Quantile returns the smallest of sorted values that the share q of them does not exceed.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// sample looks at the states of the first event that counts, again and again.
func (x *experimenter) sample() {
	s := x.sim
	if x.Curve <= 0 {
		return
	}
	s.At(0, func() {
		if x.first < len(s.store.batches) && len(x.curve) < samplesMax {
			x.curve = append(x.curve, s.states(x.first))
			if last := x.curve[len(x.curve)-1]; last.Susceptible > 0 || last.Infective > 0 {
				s.At(x.Curve, x.sample)
			}
		}
	})
}

const samplesMax = 1000

// states counts the nodes that are up by their state as to a batch.
func (s *Sim) states(batch int) Sample {
	p := &s.store.batches[batch]
	sample := Sample{At: time.Duration(s.now - p.At)}
	for _, n := range s.nodes {
		if !n.Up() {
			continue
		}
		switch n.core.State(p.Batch.ID) {
		case gossip.Susceptible:
			sample.Susceptible++
		case gossip.Infective:
			sample.Infective++
		case gossip.Removed:
			sample.Removed++
		}
	}
	return sample
}

// SumCurves adds up the states of two epidemics, sample by sample. One that ends before the
// other stays as it ended.
func SumCurves(a, b []Sample) []Sample {
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := slices.Clone(a)
	for i := range sum {
		if len(b) == 0 {
			break
		}
		m := b[min(i, len(b)-1)]
		sum[i].Susceptible += m.Susceptible
		sum[i].Infective += m.Infective
		sum[i].Removed += m.Removed
	}
	return sum
}
