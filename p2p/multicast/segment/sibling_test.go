package segment

import (
	"testing"
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// TestASiblingsBeaconCountsOnce has somebody play the beacons of a node's other interface
// again once that has fallen silent: the node must not go on believing that it is there.
func TestASiblingsBeaconCountsOnce(t *testing.T) {
	w := newWire(t, 61, 1)
	r := w.record(w.nodes[0])
	n := w.add(func(c *Config) { c.Self, c.Sign = testPeer(0), testConfig(0, w.rng).Sign })
	n.e.SetPassive(true)
	w.run(3 * time.Second)
	w.nodes[0].dead, w.tap = true, nil
	before := n.e.Stats()
	if before.Siblings < 3 {
		t.Fatalf("%d beacons of the sibling were heard", before.Siblings)
	}
	for range 100 {
		r.play(n)
		w.run(50 * time.Millisecond)
	}
	after := n.e.Stats()
	if after.Siblings != before.Siblings {
		t.Errorf("%d beacons counted again", after.Siblings-before.Siblings)
	}
	if got := after.Refused[datagram.RefusedReplay] - before.Refused[datagram.RefusedReplay]; got == 0 {
		t.Error("none was refused as a replay")
	}
	w.add(func(c *Config) { c.Self, c.Sign = testPeer(0), testConfig(0, w.rng).Sign })
	w.run(3 * time.Second)
	if n.e.Stats().Siblings == after.Siblings {
		t.Error("the sibling's next run is not heard")
	}
}

// TestSiblingsThatAreRememberedAreBounded has a node be heard on more streams than are remembered.
func TestSiblingsThatAreRememberedAreBounded(t *testing.T) {
	w := newWire(t, 62, 1)
	e := w.nodes[0].e
	for i := range 3 * siblingsMax {
		m := datagram.Message{Stream: datagram.StreamID{byte(i)}, Seq: 7}
		if e.siblingReplayed(&m) {
			t.Fatalf("stream %d is taken for one that was heard", i)
		}
		e.heardSibling(&m)
		if !e.siblingReplayed(&m) {
			t.Fatalf("stream %d is not remembered", i)
		}
		first := datagram.Message{Stream: datagram.StreamID{0}, Seq: uint64(8 + i)}
		e.heardSibling(&first) // is heard all the time
	}
	if len(e.heardSiblings) != siblingsMax {
		t.Errorf("%d streams are remembered, want %d", len(e.heardSiblings), siblingsMax)
	}
	if m := (datagram.Message{Stream: datagram.StreamID{0}, Seq: 9}); !e.siblingReplayed(&m) {
		t.Error("the one that was heard all the time is forgotten")
	}
}
