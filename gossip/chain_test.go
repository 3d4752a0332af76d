package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

const chainLatency = 50 * time.Millisecond // one way

// TestChain lets a writer that published alone meet one end of a chain of ten:
// its events take two round trips a hop at most, whether the chain knew the
// writer before, and from which side, or not.
func TestChain(t *testing.T) {
	for _, batches := range []int{1, 200} {
		for _, known := range []int{-1, 0, 4, 9} {
			for _, only := range []bool{false, true} {
				name := fmt.Sprintf("%d batches, linked to %d before, publish-only %v", batches, known, only)
				t.Run(name, func(t *testing.T) {
					for seed := range uint64(3) {
						chain(t, 80+seed, batches, known, only)
					}
				})
			}
		}
	}
}

// chain has the writer published while linked to node known of the chain, if
// that is not negative, and be alone for a minute before it publishes again.
func chain(t *testing.T, seed uint64, batches, known int, only bool) {
	n := newNetwork(t, seed)
	n.latency = chainLatency
	writer := n.add("writer", testConfig())
	if !only {
		writer.interest("x")
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
	n.run(time.Minute)
	for range batches {
		writer.publish("x", 1)
		n.run(time.Millisecond)
	}
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
	n.connect(writer, nodes[0])
	n.run(20 * time.Second)
	n.expect("x", before+batches, nodes...)
	worst := time.Duration(0)
	for i, at := range complete {
		hops := time.Duration(i + 1)
		took := time.Duration(at - start)
		worst = max(worst, took/hops)
		if bound := hops * (4*chainLatency + n.storing); took > bound {
			t.Errorf("hop %d has all after %v, want at most %v", hops, took, bound)
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
	n.run(time.Second)
	n.expect("x", before+batches+1, nodes...)
	if took, bound := time.Duration(complete[9]-next), 10*(chainLatency+n.storing); took > bound {
		t.Errorf("the next event takes %v to the end of the chain, want %v", took, bound)
	}
	if got := n.batches - pushed; got != len(nodes) {
		t.Errorf("%d batches sent for the next event, want %d", got, len(nodes))
	}
}
