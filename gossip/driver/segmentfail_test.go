package driver

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// failingSegment is a segment's carrier that says of some frames that the link is gone.
type failingSegment struct {
	carrier.Carrier
	carrier.Segmented
	fails atomic.Int32 // so many of the next frames
}

func (s *failingSegment) Send(ctx context.Context, to wire.PeerID, lane carrier.Lane, frame ...[]byte) error {
	if s.fails.Add(-1) >= 0 {
		return carrier.ErrNoLink
	}
	return s.Carrier.Send(ctx, to, lane, frame...)
}

// A frame that a segment's carrier did not take, as while an interface is opened anew, kept
// the segment from being pushed to ever after: its outbox was not full, so nothing told of room.
func TestASegmentIsPushedToAfterAFrameItDidNotTake(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		failing := &failingSegment{}
		a := r.start(1, func(c *Config) {
			s := lan.JoinSegment("lan", peerOf(testKey(1)), carrier.MemoryMTU(segmentMTU))
			failing.Carrier, failing.Segmented = s, s.(carrier.Segmented)
			c.Carriers = []carrier.Carrier{failing}
		})
		b := r.start(2, onSegment(lan, 2, false))
		time.Sleep(5 * time.Second)
		a.publish("a", 0, 1)
		b.wantAll(5*time.Second, map[string]int{"a": 1})
		failing.fails.Store(1)
		a.publish("a", 1, 1)
		time.Sleep(time.Minute)
		if s := a.Stats(); s.SendFailed != 1 {
			t.Fatalf("%v", nonzero(s.Counters()))
		}
		before := a.Stats().Gossip
		for i := range 20 {
			a.publish("a", 2+i, 1)
			time.Sleep(100 * time.Millisecond)
		}
		b.wantAll(time.Second, map[string]int{"a": 22})
		s := a.Stats().Gossip
		if s.SegmentDropped != before.SegmentDropped || s.SegmentPushes < before.SegmentPushes+20 {
			t.Errorf("%v", nonzero(a.Stats().Counters()))
		}
	})
}
