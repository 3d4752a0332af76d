package driver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

const segmentMTU = 260 << 10 // as a multicast carrier has it

// onSegment puts the node on a segment, beside its streams or in their stead.
func onSegment(lan *carrier.Network, n byte, streams bool, opts ...carrier.MemoryOption) func(*Config) {
	return func(c *Config) {
		if !streams {
			c.Carriers = nil
		}
		opts = append([]carrier.MemoryOption{carrier.MemoryMTU(segmentMTU)}, opts...)
		c.Carriers = append(c.Carriers, lan.JoinSegment("lan", peerOf(testKey(n)), opts...))
	}
}

func TestASegmentAloneBringsAll(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		var nodes []*node
		for n := byte(1); n <= 4; n++ {
			nodes = append(nodes, r.start(n, onSegment(lan, n, false)))
		}
		time.Sleep(5 * time.Second)
		a := nodes[0]
		peers := a.Peers()
		if len(peers) != 3 || peers[0].Link.Path != carrier.PathMulticast || len(peers[0].Link.Addrs) != 1 {
			t.Errorf("Peers: %+v", peers)
		}
		ids := a.publish("a", 0, 50)
		ctx, cancel := r.within(10 * time.Second)
		defer cancel()
		if err := a.WaitHeld(ctx, ids[49], 3); err != nil {
			t.Errorf("WaitHeld: %v", err)
		}
		segments := a.Segments()
		if len(segments) != 1 || !segments[0].Active || segments[0].Members != 3 || segments[0].Uncovered != 3 ||
			segments[0].Name != "lan" || segments[0].Since.After(time.Now()) {
			t.Errorf("Segments: %+v", segments)
		}
		for _, x := range nodes[1:] {
			x.wantAll(5*time.Second, map[string]int{"a": 50})
		}
		late := r.start(9, onSegment(lan, 9, false))
		late.wantAll(30*time.Second, map[string]int{"a": 50})
		if s := a.Stats(); s.SendFailed != 0 || s.Malformed != 0 || s.Gossip.Demerits != 0 || s.Disconnects != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
	})
}

// A large batch goes to a segment in parts, and is news all the same.
func TestALargeBatchGoesToASegmentInParts(t *testing.T) {
	t.Run("that fit a small frame", func(t *testing.T) { largeBatchOnASegment(t, 4<<10) })
	t.Run("however large a frame may be", func(t *testing.T) { largeBatchOnASegment(t, segmentMTU) })
}

func largeBatchOnASegment(t *testing.T, mtu int) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		limit := carrier.MemoryMTU(mtu)
		a, b := r.start(1, onSegment(lan, 1, false, limit)), r.start(2, onSegment(lan, 2, false, limit))
		synctest.Wait()
		a.publish("a", 0, 1)
		time.Sleep(5 * time.Second)
		payload := append([]byte("a-0"), make([]byte, 200<<10)...)
		if _, err := a.Publish(t.Context(), testTopic, wire.Event{Payload: payload}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if b.count() != 2 || b.Stats().Gossip.Repaired > 0 {
			t.Errorf("%d events; %v", b.count(), nonzero(b.Stats().Counters()))
		}
		if s := a.Stats(); s.PartsOut < 10 || s.SendFailed != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
	})
}

func TestAStreamIsUsedBeforeASegmentAndTheSegmentAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		a, b := r.start(1, onSegment(lan, 1, true)), r.start(2, onSegment(lan, 2, true))
		synctest.Wait()
		if p := a.Peers(); len(p) != 1 || p[0].Link.Path != carrier.PathMulticast {
			t.Errorf("Peers: %+v", p)
		}
		r.connect(a, b)
		time.Sleep(time.Second)
		if p := a.Peers(); len(p) != 1 || p[0].Link.Path != carrier.PathMemory {
			t.Errorf("Peers: %+v", p)
		}
		a.publish("a", 0, 10)
		b.wantAll(time.Second, map[string]int{"a": 10})
		if s := a.Segments(); s[0].Active || a.Stats().Gossip.SegmentPushes != 0 {
			t.Errorf("Segments: %+v", s)
		}
		r.net.Disconnect(a.id, b.id)
		synctest.Wait()
		if p := a.Peers(); len(p) != 1 || p[0].Link.Path != carrier.PathMulticast {
			t.Errorf("Peers: %+v", p)
		}
		a.publish("a", 10, 10)
		b.wantAll(3*time.Second, map[string]int{"a": 20})
		r.net.Connect(a.id, b.id)
		time.Sleep(time.Minute)
		if s := a.Segments(); s[0].Active {
			t.Errorf("Segments: %+v", s)
		}
		a.publish("a", 20, 10)
		b.wantAll(time.Second, map[string]int{"a": 30})
	})
}

func TestMembersThatSayNothingOrNonsenseAreQuiet(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		a := r.start(1, onSegment(lan, 1, false))
		other := lan.JoinSegment("lan", peerOf(testKey(2)))
		if err := other.Start(silentHandler{}); err != nil {
			t.Fatal(err)
		}
		other.(carrier.Segmented).Announce([]byte{0xff})
		time.Sleep(time.Minute)
		a.publish("a", 0, 10)
		time.Sleep(time.Minute)
		if s := a.Stats(); s.Malformed != 1 || s.FramesOut != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if p := a.Peers(); len(p) != 0 {
			t.Errorf("Peers: %+v", p)
		}
	})
}

type silentHandler struct{}

func (silentHandler) LinkUp(carrier.Link)                     {}
func (silentHandler) LinkDown(wire.PeerID, error)             {}
func (silentHandler) Frame(wire.PeerID, carrier.Lane, []byte) {}

// slowSegment is a segment's carrier that says it has not sent what it took.
type slowSegment struct {
	carrier.Carrier
	carrier.Segmented
	left chan struct{} // closed when it has
}

func (s *slowSegment) Backlog(wire.PeerID, carrier.Lane) int {
	select {
	case <-s.left:
		return 0
	default:
		return 1
	}
}

// While a segment sends what was pushed to it, word of that does not go over streams.
func TestWordOverStreamsWaitsForTheSegment(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		slow := &slowSegment{left: make(chan struct{})}
		always := func(c *Config) { c.Gossip.Multicast = gossip.MulticastAlways }
		a := r.start(1, func(c *Config) {
			s := lan.JoinSegment("lan", peerOf(testKey(1)), carrier.MemoryMTU(segmentMTU))
			slow.Carrier, slow.Segmented = s, s.(carrier.Segmented)
			c.Carriers = append(c.Carriers, slow)
		}, always)
		b := r.start(2, onSegment(lan, 2, true), always)
		r.connect(a, b)
		time.Sleep(time.Second)
		a.publish("a", 0, 1) // the topic is new
		time.Sleep(time.Minute)
		lan.SetLoss(1)
		a.publish("a", 1, 1)
		time.Sleep(400 * time.Millisecond)
		if n := b.count(); n != 1 {
			t.Errorf("%d events while the segment is sending, want 1", n)
		}
		close(slow.left)
		b.wantAll(50*time.Millisecond, map[string]int{"a": 2})
	})
}
