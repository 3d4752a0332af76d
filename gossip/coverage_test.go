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
