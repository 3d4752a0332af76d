package gossip

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// measure publishes events of 1 KiB in one go, some to a batch, and returns the bytes
// sent until all hold them, in copies of the payload, and how long it took.
func measure(n *network, nodes []*node, batches, events int) (streams, segment float64, took time.Duration) {
	had := nodes[0].events("x")
	before, beforeOn, began := n.streamBytes, n.segment.bytes, n.now
	nodes[0].padding = 1 << 10
	for range batches {
		nodes[0].publish("x", events)
	}
	last := n.now
	for i := range nodes {
		nodes[i].onRead = func(*wire.Header) { last = n.now }
	}
	n.run(5 * time.Second)
	n.expect("x", had+batches*events, nodes...)
	payload := float64(batches * events << 10)
	streams, segment = float64(n.streamBytes-before)/payload, float64(n.segment.bytes-beforeOn)/payload
	return streams, segment, time.Duration(last - began)
}

// The point 6: 20 nodes, 1,000 events of 1 KiB in one go.
func TestTheShortCutSendsOneCopy(t *testing.T) {
	always := func(c *Config) { c.Multicast = MulticastAlways }
	const slow = 20e6 / 8 // where carriers begin
	for _, c := range []struct{ batches, events, rate int }{
		{20, 50, 0}, {1000, 1, slow}, {20, 50, slow}, {4, 250, slow},
	} {
		n, nodes := lan(t, 20, 20, always)
		n.segment.rate = c.rate
		n.connectAll(nodes...)
		n.run(10 * time.Second)
		streams, segment, took := measure(n, nodes, c.batches, c.events)
		t.Logf("%+v: copies %.3f on streams, %.3f on the segment, %v", c, streams, segment, took)
		bound := 50 * time.Millisecond
		if c.rate > 0 {
			bound += time.Duration(1.25 * 1000 * 1024 * 1e9 / slow)
		}
		if streams+segment > 1.3 || took > bound {
			t.Errorf("%+v: %.3f copies, %v", c, streams+segment, took)
		}
	}
}

// The point 6, the other half: multicast is killed and nobody says so.
func TestStreamsBringWhatASegmentDoesNot(t *testing.T) {
	n, nodes := lan(t, 21, 20, func(c *Config) { c.Multicast = MulticastAlways })
	n.connectAll(nodes...)
	n.run(10 * time.Second)
	measure(n, nodes, 10, 1)
	n.segment.killed = true
	// What streams alone take for two hops, and 50 ms and a round trip more.
	bound := 2*(n.latency+n.storing) + 50*time.Millisecond + 2*n.latency
	for i := range 5 {
		streams, segment, took := measure(n, nodes, 1, 10)
		t.Logf("event %d after the end: copies %.2f on streams, %.2f on the segment, %v", i, streams, segment, took)
		if took > bound || i > 0 && took > 2*(n.latency+n.storing) {
			t.Errorf("event %d after the end took %v, want at most %v", i, took, bound)
		}
	}
	if s := nodes[0].core.Stats(); s.MembersDeaf < 8 {
		t.Errorf("%d members were found deaf", s.MembersDeaf)
	}
	n.segment.killed = false
	n.run(30 * time.Second)
	measure(n, nodes, 1, 10) // shows whom it reaches
	n.run(30 * time.Second)
	streams, segment, took := measure(n, nodes, 100, 1)
	t.Logf("when it is back: copies %.3f on streams, %.3f on the segment, %v", streams, segment, took)
	if streams+segment > 1.3 {
		t.Errorf("%.3f copies", streams+segment)
	}
}

// twice returns how many batches came to nodes that held them.
func twice(nodes []*node) (n int) {
	for _, x := range nodes {
		s := x.core.Stats()
		n += int(s.SegmentDuplicate + s.RepairDuplicate)
	}
	return n
}

// The rate of acknowledgements on a segment does not grow with its members.
func TestAcknowledgementsAreBounded(t *testing.T) {
	for _, count := range []int{3, 20, 50} {
		n, nodes := lan(t, 63, count, nil)
		n.run(5 * time.Second)
		words := func() (sum uint64) {
			for _, x := range nodes {
				sum += x.core.Stats().SegmentWords
			}
			return sum
		}
		before, frames := words(), n.segment.frames
		for range 50 {
			nodes[0].publish("x", 1)
			n.run(200 * time.Millisecond)
		}
		frames = n.segment.frames - frames
		t.Logf("%d members: %d words and %d frames in 10 s with 50 batches", count, words()-before, frames)
		if frames > 50+10*25 {
			t.Errorf("%d members: %d frames", count, frames)
		}
		n.run(5 * time.Second)
		n.expect("x", 50, nodes...)
		key := nodes[0].signer.Author()
		if held := nodes[0].core.HeldBy("x", key, nodes[0].core.Head("x", key)); held != count-1 {
			t.Errorf("%d members: held by %d", count, held)
		}
	}
}
