package driver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// twoWires is a carrier with two segments, on which the test says who is heard.
type twoWires struct {
	carrier.Carrier
	handler carrier.Handler
}

func (w *twoWires) Traits() carrier.Traits {
	return carrier.Traits{Name: "two wires", Many: true, MTU: segmentMTU}
}

func (w *twoWires) Start(h carrier.Handler) error {
	w.handler = h
	return w.Carrier.Start(h)
}

// A node hears a publisher on two segments, and a neighbour by stream on the first of them.
// What the second brings, the neighbour has to be told; what the first brings, it hears.
func TestWhatOneSegmentBringsIsNotTakenForAnothers(t *testing.T) {
	for _, c := range []struct {
		came wire.PeerID
		told int // events that the neighbour has at once, two of which it had before
	}{{"first", 2}, {"second", 5}} {
		bubble(t, func(t *testing.T, r *rig) {
			wires := &twoWires{Carrier: carrier.NewNetwork(2).JoinSegment("none", peerOf(testKey(1)))}
			n := r.start(1, func(c *Config) { c.Carriers = append(c.Carriers, wires) })
			neighbour := r.start(2)
			r.connect(n, neighbour)
			time.Sleep(time.Second)
			author := testKey(9)
			publisher := peerOf(author)
			heard := wires.handler.(carrier.MemberHandler)
			for _, s := range []wire.PeerID{"first", "second"} {
				wires.handler.LinkUp(carrier.Link{Peer: s, Path: carrier.PathMulticast})
				heard.MemberUp(carrier.Member{Peer: publisher, Segment: s})
			}
			heard.MemberUp(carrier.Member{Peer: neighbour.id, Segment: "first"})
			n.publish("n", 0, 1)
			neighbour.publish("q", 0, 1) // now the topic is known to both, and each other's interest
			time.Sleep(5 * time.Second)
			var prev wire.Prev
			for i := range uint64(3) {
				at := wire.TimeOf(time.Now())
				h := wire.Header{
					Network: "test", Topic: testTopic, Epoch: 1 << 16, First: 1 + i, Count: 1, Time: at, Prev: prev,
				}
				b, err := wire.Seal(h, wire.AppendEvent(nil, at, &wire.Event{Payload: []byte("x")}), wire.NewSigner(author))
				if err != nil {
					t.Fatal(err)
				}
				prev = wire.Prev{Mark: b.Header.End(), Time: at}
				wires.handler.(carrier.SegmentHandler).SegmentFrame(
					c.came, publisher, carrier.News, wire.AppendPush(nil, b.Raw, false))
				time.Sleep(5 * time.Millisecond)
				synctest.Wait()
			}
			if n.count() != 5 || neighbour.count() != c.told {
				t.Errorf("came over the %s: %d events here, %d there at once", c.came, n.count(), neighbour.count())
			}
		})
	}
}
