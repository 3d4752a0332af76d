package bus

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/driver"
	"github.com/busnode/busnode/p2p/multicast"
	"github.com/busnode/busnode/p2p/multicast/segment"
)

// TestASilentSegmentIsShown has two interfaces on one wire. The driver knows of the one
// that speaks alone.
func TestASilentSegmentIsShown(t *testing.T) {
	since := time.Unix(1_800_000_000, 0)
	c := multicast.Status{Segments: []multicast.SegmentStatus{
		{Name: "segment:eth2", Passive: "segment:eth1", Since: since},
		{Name: "segment:eth1", Counters: multicast.Counters{Engine: segment.Stats{Opened: 7}}},
	}}
	for _, up := range [][]driver.Segment{
		{{Name: "segment:eth1", Reason: "quiet", Members: 3}},
		{{Name: "segment:eth1", Reason: "quiet", Members: 3}, {Name: "segment:eth2", Active: true}}, // a moment before
	} {
		all := segmentsOf(up, &c)
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		if s := all[0]; s.Interface != "eth1" || s.Sibling != "" || s.Members != 3 || s.Figures.DatagramsReceived != 7 {
			t.Errorf("%+v", s)
		}
		s := all[1]
		if s.Interface != "eth2" || s.Sibling != "eth1" || s.Active || s.Since != since ||
			s.Reason != "eth1 of this node is on the same wire and speaks" {
			t.Errorf("%+v", s)
		}
	}
}
