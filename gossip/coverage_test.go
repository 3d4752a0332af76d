package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// chainOfMembers returns a core with a stream to the first of count members, each of which has
// streams to those before and after it alone: in the order of their IDs, or against it. All
// want all topics.
func chainOfMembers(tb testing.TB, count, topics int, against bool) *Core {
	c, err := New(wire.Author{1}, testConfig(), 1, Time(time.Second), wire.Time(time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	ids := make([]wire.PeerID, count)
	for i := range ids {
		ids[i] = wire.Author{2, byte(i >> 8), byte(i)}.PeerID()
	}
	slices.Sort(ids)
	if against {
		slices.Reverse(ids)
	}
	for i := range topics {
		c.AddInterest(fmt.Sprintf("t%d", i))
	}
	c.SegmentUp("segment:test")
	for i, id := range ids {
		p := &wire.Presence{Any: true}
		for _, j := range [...]int{i - 1, i + 1} {
			if j >= 0 && j < count {
				p.Peers = append(p.Peers, ids[j].Tag())
			}
		}
		c.MemberUp("segment:test", id, p)
		info := PeerInfo{Segment: "segment:test"}
		if i == 0 {
			info.Segment = ""
		}
		c.PeerUp(id, info)
	}
	first := &wire.Interest{}
	for i := range topics {
		first.Add = append(first.Add, fmt.Sprintf("t%d", i))
	}
	c.Receive(ids[0], first)
	return c
}

func TestALongChainCovers(t *testing.T) {
	for _, against := range []bool{false, true} {
		c := chainOfMembers(t, 100, 2, against)
		c.cover()
		if s := c.Segments()[0]; s.Members != 100 || s.Uncovered != 0 {
			t.Errorf("%+v", s)
		}
		broken := c.lan.list[0].members[50]
		broken.presence.Peers, broken.peer.topics[0].wants = nil, false
		c.cover()
		if s := c.Segments()[0]; s.Uncovered == 0 {
			t.Errorf("the chain is broken: %+v", s)
		}
	}
}

func BenchmarkCoverage(b *testing.B) {
	for _, against := range []bool{false, true} {
		b.Run(fmt.Sprintf("chain of 500 against the order of IDs %v", against), func(b *testing.B) {
			c := chainOfMembers(b, 500, 1, against)
			for b.Loop() {
				c.cover()
			}
		})
	}
}

// Two overlays on one segment, of which one has a peer elsewhere: what that publishes
// crosses the segment once, though it is nobody's own there.
func TestASegmentJoinsTwoOverlays(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		n, nodes := lan(t, 60, 12, nil)
		n.segment.loss = loss
		away := n.add("away", nodes[0].cfg).interest("x")
		n.connectAll(nodes[:6]...)
		n.connectAll(nodes[6:]...)
		n.connect(away, nodes[0])
		n.run(15 * time.Second)
		for i, x := range nodes {
			if s := x.segmentState(); !s.Active || s.Uncovered != 6 {
				t.Fatalf("node %d: %+v", i, s)
			}
		}
		pushed := func() (n uint64) {
			for _, x := range nodes {
				n += x.core.Stats().SegmentPushes
			}
			return n
		}
		before := pushed()
		var worst time.Duration
		var born Time
		for _, x := range nodes {
			x.onRead = func(*wire.Header) { worst = max(worst, time.Duration(n.now-born)) }
		}
		for range 50 {
			born = n.now
			away.publish("x", 1)
			n.run(2 * time.Second)
		}
		n.run(10 * time.Second)
		n.expect("x", 50, append(nodes, away)...)
		t.Logf("loss %v: %d pushes to the segment for 50 events, the slowest took %v", loss, pushed()-before, worst)
		if loss == 0 && (pushed()-before > 60 || worst > 1500*time.Millisecond) {
			t.Errorf("%d pushes to the segment for 50 events, the slowest took %v", pushed()-before, worst)
		}
	}
}

// A chain of streams covers, whoever is in it.
func TestAChainOfStreamsCovers(t *testing.T) {
	n, nodes := lan(t, 61, 6, nil)
	away := n.add("away", nodes[0].cfg).interest("x")
	for i := range nodes[1:3] {
		n.connect(nodes[i], nodes[i+1])
	}
	n.connect(nodes[2], away)
	n.connect(away, nodes[3])
	n.connect(nodes[4], nodes[3])
	n.run(20 * time.Second)
	for i, x := range nodes[:5] {
		if s := x.segmentState(); s.Uncovered != 1 {
			t.Errorf("node %d: %+v", i, s)
		}
	}
	if s := nodes[5].segmentState(); s.Uncovered != 5 {
		t.Errorf("who has no stream: %+v", s)
	}
	n.connect(nodes[5], nodes[4])
	n.run(time.Minute)
	for i, x := range nodes {
		if s := x.segmentState(); s.Uncovered != 0 || s.Active {
			t.Errorf("node %d: %+v", i, s)
		}
	}
}

// A chain over a node that does not want the topic carries nothing of it.
func TestAChainOverStrangersDoesNotCover(t *testing.T) {
	n, nodes := lan(t, 66, 3, nil)
	stranger := n.add("stranger", testConfig()).interest("y")
	n.segment.join(stranger)
	n.connect(nodes[0], nodes[1])
	n.connect(nodes[1], stranger)
	n.connect(stranger, nodes[2])
	n.run(20 * time.Second)
	for i, want := range []int{1, 1, 2} {
		if s := nodes[i].segmentState(); s.Uncovered != want || !s.Active {
			t.Errorf("node %d: %+v, want %d uncovered", i, s, want)
		}
	}
	nodes[0].publish("x", 1)
	n.run(time.Second)
	n.expect("x", 1, nodes...)
}
