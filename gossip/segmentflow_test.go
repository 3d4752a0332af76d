package gossip

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// An author that publishes more often than word takes: each batch that leaves for a segment put
// the word of all before it off, and of other authors' too.
func TestWordOverStreamsIsNotPutOffByASegmentThatIsBusy(t *testing.T) {
	n, nodes := lan(t, 22, 6, func(c *Config) { c.Multicast = MulticastAlways })
	n.connectAll(nodes...)
	n.run(10 * time.Second)
	n.segment.killed = true
	born := map[wire.Mark]Time{}
	var worst time.Duration
	for _, x := range nodes {
		x.onRead = func(h *wire.Header) { worst = max(worst, time.Duration(n.now-born[h.End()])) }
	}
	for range 100 {
		b := nodes[0].publish("x", 1)
		born[b.Header.End()] = n.now
		n.run(20 * time.Millisecond)
	}
	n.run(5 * time.Second)
	n.expect("x", 100, nodes...)
	t.Logf("an event took up to %v", worst)
	if most := 200 * time.Millisecond; worst > most {
		t.Errorf("an event took %v, want at most %v", worst, most)
	}
}

// Whoever asks is answered to all, and many ask at once.
func TestABatchIsPushedToASegmentOnceInAWhile(t *testing.T) {
	n, nodes := lan(t, 23, 3, nil)
	n.run(5 * time.Second)
	b := nodes[0].publish("x", 1)
	n.run(time.Second)
	n.expect("x", 1, nodes...)
	for i, x := range nodes[:2] { // whose it is, and to whom the segment brought it
		c := x.core
		c.SegmentUp("segment:other")
		e, before := c.batch(b.ID), c.Stats().SegmentPushes
		for range 5 {
			for _, s := range c.lan.list {
				c.cast(s, e, Repair)
			}
		}
		if pushes := c.Stats().SegmentPushes - before; pushes != 2 {
			t.Errorf("node %d pushed a batch %d times to two segments", i, pushes)
		}
	}
}

// A member's frame may come after its MemberDown. A stream may lead to it: but that frame was
// none of the stream's.
func TestWhatAGoneMemberSentIsNotTakenForAStreams(t *testing.T) {
	n, nodes := lan(t, 24, 2, nil)
	n.connectAll(nodes...)
	n.run(5 * time.Second)
	b := nodes[0].publish("x", 1)
	n.run(time.Second)
	c := nodes[1].core
	for range 2 {
		c.ReceiveFrom("segment:gone", nodes[0].id, &wire.Push{Batch: b})
	}
	if s := c.Stats(); s.Prunes != 0 || s.Duplicate != 0 || s.Unsolicited < 2 {
		t.Errorf("%+v", s)
	}
}

// A node whose beacons are heard, and that hears no frames, got what others passed on by word
// alone, a third of a second late. Who is asked by stream for what a segment should have brought learns
// that it does not reach the peer, whoever published it; and tries again after deafRelay.
func TestWhoIsHeardAndDoesNotHearIsPushedToByStream(t *testing.T) {
	n, nodes := lan(t, 25, 6, func(c *Config) { c.Multicast = MulticastAlways })
	author, between, half := nodes[0], nodes[1], nodes[2]
	n.segment.half[half] = true
	n.connectAll(nodes[0], nodes[1], nodes[3], nodes[4])
	n.connect(between, half)
	n.run(20 * time.Second)
	var born Time
	slow := 0
	half.onRead = func(*wire.Header) {
		if n.now >= born.Add(100*time.Millisecond) {
			slow++
		}
	}
	for i := range 60 {
		if i == 10 {
			slow = 0
		}
		born = n.now
		author.publish("x", 1)
		n.run(time.Second)
	}
	n.run(5 * time.Second)
	n.expect("x", 60, nodes...)
	if s := between.core.Stats(); s.SegmentAccepted < 60 || slow > 2 {
		t.Errorf("%d of 50 events were slow; %d came by the segment", slow, s.SegmentAccepted)
	}
}
