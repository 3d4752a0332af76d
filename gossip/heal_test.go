package gossip

import (
	"fmt"
	"testing"
	"time"
)

// TestHeal joins two halves of 50 nodes that published apart: all reach
// everybody, and hardly a batch comes to a node twice.
func TestHeal(t *testing.T) {
	for _, live := range []int{0, 10} {
		t.Run(fmt.Sprint(live, " events a second meanwhile"), func(t *testing.T) { heal(t, 90, live) })
	}
}

// halves are the nodes of a network of which half may be cut off.
type halves struct {
	n     *network
	nodes []*node
	cross [][2]*node // links between the halves
}

// newHalves connects each node to some others, whichever half they are in: more
// than Degree of them, so that not all are neighbours.
func newHalves(n *network, size int) *halves {
	h := &halves{n: n}
	for i := range size {
		h.nodes = append(h.nodes, n.add(fmt.Sprint("n", i), testConfig()).interest("x"))
	}
	for i, x := range h.nodes {
		n.connect(x, h.nodes[(i+2)%size]) // one piece, when all is well and in each half
		for range 8 {
			n.connect(x, h.nodes[n.rng.IntN(size)])
		}
	}
	for i, x := range h.nodes {
		for j, y := range h.nodes[:i] {
			if (i^j)&1 == 1 && x.links[y] != 0 {
				h.cross = append(h.cross, [2]*node{x, y})
			}
		}
	}
	return h
}

// publish lets some authors of each half publish times batches in all, a
// half, evenly over a time.
func (h *halves) publish(times int, over time.Duration) {
	for i := range times {
		h.nodes[i%10*2].publish("x", 1)
		h.nodes[i%10*2+1].publish("x", 1)
		h.n.run(over / time.Duration(times))
	}
}

func heal(t *testing.T, seed uint64, live int) {
	size, times := 100, 200
	if testing.Short() {
		size, times = 40, 100
	}
	n := newNetwork(t, seed)
	n.latency = 20 * time.Millisecond
	h := newHalves(n, size)
	n.run(3 * time.Second)
	h.publish(50, 5*time.Second)
	n.run(3 * time.Second)
	n.expect("x", 100, h.nodes...)
	for _, l := range h.cross {
		n.cut(l[0], l[1])
	}
	n.run(3 * time.Second)
	h.publish(times, 20*time.Second)
	n.run(20 * time.Second)
	before := received(h.nodes)
	clear(n.sent)
	for _, l := range h.cross {
		n.at(time.Duration(n.rng.Int64N(int64(time.Second))), func() { n.connect(l[0], l[1]) })
	}
	start := n.now
	missing := size * times // each node lacks what the other half published
	if live > 0 {
		h.publish(live*5/2, 5*time.Second)
		missing += (size - 1) * (live * 5 / 2) * 2
	}
	for !h.complete(2*times+100+live*5/2*2) && n.now < start.Add(time.Minute) {
		n.run(10 * time.Millisecond)
	}
	t.Logf("all have all %v after the first link; %d links between the halves", time.Duration(n.now-start), len(h.cross))
	n.run(20 * time.Second)
	n.expect("x", 2*times+100+live*5/2*2, h.nodes...)
	got := received(h.nodes) - before
	sum := sumStats(h.nodes)
	t.Logf("%d bodies came for %d missing: %.3f; since the start %d duplicates, %d in repair, %d exchanges; sent %v",
		got, missing, float64(got)/float64(missing), sum.Duplicate, sum.RepairDuplicate, sum.Sessions, n.sent)
	if got > missing*11/10 {
		t.Errorf("%d bodies came for %d that were missing, want at most 1.1 times as many", got, missing)
	}
	if sum.Gaps != 0 {
		t.Errorf("%d gaps", sum.Gaps)
	}
}

func (h *halves) complete(events int) bool {
	for _, x := range h.nodes {
		if len(x.topics["x"]) < events {
			return false
		}
	}
	return true
}

func sumStats(nodes []*node) (sum Stats) {
	for _, x := range nodes {
		s := x.core.Stats()
		sum.Duplicate += s.Duplicate
		sum.RepairDuplicate += s.RepairDuplicate
		sum.Sessions += s.Sessions
		sum.Gaps += s.Gaps
	}
	return sum
}
