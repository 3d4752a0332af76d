package gossip

import (
	"testing"
	"time"
)

// TestWhyASegmentIsNotUsed tells the reasons apart that show in busnode status: a reader of
// whom nobody wants anything has no streams that could reach anybody.
func TestWhyASegmentIsNotUsed(t *testing.T) {
	for mode, want := range map[Multicast]string{
		MulticastFallback: SegmentUnwanted, MulticastAlways: SegmentUnwanted, MulticastOff: SegmentOff,
	} {
		n := newNetwork(t, 60)
		n.addSegment()
		cfg := testConfig()
		cfg.Multicast = mode
		reader, sensor := n.add("reader", cfg).interest("x"), n.add("sensor", cfg)
		n.segment.join(reader, sensor)
		sensor.publish("x", 1)
		n.run(10 * time.Second)
		if s := reader.segmentState(); s.Active || s.Reason != want {
			t.Errorf("mode %d: the reader: %+v, want %q", mode, s, want)
		}
		if s := sensor.segmentState(); s.Active != (mode != MulticastOff) {
			t.Errorf("mode %d: the sensor: %+v", mode, s)
		}
		sensor.interest("x") // from now on the reader has what somebody wants
		n.connectAll(reader, sensor)
		n.run(2 * time.Minute)
		want = map[Multicast]string{
			MulticastFallback: SegmentIdle, MulticastAlways: SegmentAlways, MulticastOff: SegmentOff,
		}[mode]
		for _, x := range []*node{reader, sensor} {
			if s := x.segmentState(); s.Active != (mode == MulticastAlways) || s.Reason != want {
				t.Errorf("mode %d: %s on streams: %+v, want %q", mode, x.name, s, want)
			}
		}
	}
}
