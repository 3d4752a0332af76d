package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

const chainLatency = 50 * time.Millisecond // one way

// TestChain lets a writer that published alone meet one end of a chain of ten:
// its events take two round trips at most to the first, and one and a half a hop
// from there, whether the chain knew the writer before, and from which side, or
// not, and whether the writer comes or another who was with it.
func TestChain(t *testing.T) {
	for _, batches := range []int{1, 200} {
		for _, known := range []int{-1, 0, 4, 9} {
			for _, who := range []string{"publish-only writer", "writer", "companion"} {
				t.Run(fmt.Sprintf("%d batches, linked to %d before, %s", batches, known, who), func(t *testing.T) {
					for seed := range unlessRace[uint64](3, 1) {
						chain(t, 80+seed, batches, known, who)
					}
				})
			}
		}
	}
}

// chain has the writer published while linked to node known of the chain, if
// that is not negative, and be away for a minute before it publishes again.
func chain(t *testing.T, seed uint64, batches, known int, who string) {
	n := newNetwork(t, seed)
	n.latency = chainLatency
	writer := n.add("writer", testConfig())
	if who != "publish-only writer" {
		writer.interest("x")
	}
	comes := writer
	if who == "companion" {
		comes = n.add("companion", testConfig()).interest("x")
	}
	var nodes []*node
	for i := range 10 {
		x := n.add(fmt.Sprint("n", i), testConfig()).interest("x")
		if i > 0 {
			n.connect(x, nodes[i-1])
		}
		nodes = append(nodes, x)
	}
	n.run(3 * time.Second)
	before := 0
	if known >= 0 {
		n.connect(writer, nodes[known])
		n.run(time.Second)
		for range 20 {
			writer.publish("x", 1)
			before++
			n.run(100 * time.Millisecond)
		}
		n.run(3 * time.Second)
		n.expect("x", before, nodes...)
		n.cut(writer, nodes[known])
	}
	n.connect(writer, comes)
	n.run(time.Minute)
	for range batches {
		writer.publish("x", 1)
		n.run(time.Millisecond)
	}
	n.run(3 * time.Second)
	n.expect("x", before+batches, comes)
	complete := make([]Time, len(nodes))
	for i, x := range nodes {
		left := batches
		x.onRead = func(*wire.Header) {
			if left--; left <= 0 {
				complete[i] = n.now
			}
		}
	}
	sent := n.batches
	start := n.now
	n.connect(comes, nodes[0])
	n.run(20 * time.Second)
	n.expect("x", before+batches, nodes...)
	worst := time.Duration(0)
	for i, at := range complete {
		hops := time.Duration(i + 1)
		took := time.Duration(at - start)
		worst = max(worst, took/hops)
		bound := 4*chainLatency + n.storing + (hops-1)*(3*chainLatency+n.storing)
		if took > bound {
			t.Errorf("seed %d: hop %d has all after %v, want at most %v", seed, hops, took, bound)
		}
	}
	t.Logf("all after %v; at most %v a hop", time.Duration(complete[9]-start), worst)
	if got := n.batches - sent; got > len(nodes)*batches {
		t.Errorf("%d batches sent for %d that were missing", got, len(nodes)*batches)
	}
	// The tree grows where the writer is now: what it publishes next is pushed.
	pushed := n.batches
	next := n.now
	writer.publish("x", 1)
	n.run(2 * time.Second)
	n.expect("x", before+batches+1, nodes...)
	hops := time.Duration(len(nodes))
	if comes != writer {
		hops++
	}
	if took, bound := time.Duration(complete[9]-next), hops*(chainLatency+n.storing); took > bound {
		t.Errorf("seed %d: the next event takes %v to the end of the chain, want at most %v", seed, took, bound)
	}
	if got := n.batches - pushed; got != int(hops) {
		t.Errorf("%d batches sent for the next event, want %d", got, hops)
	}
}
