package bus_test

import (
	"bytes"
	"testing"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
)

// onLoopback returns a node that has the machine's own wire alone: no other
// knows its address.
func onLoopback(t *testing.T, mode bus.MulticastMode, opts ...bus.Option) *bus.Bus {
	t.Helper()
	return openReal(t, append([]bus.Option{
		bus.WithNetworkKey(bytes.Repeat([]byte{7}, 32)), bus.WithMulticast(mode, bus.MulticastInterfaces("lo")),
	}, opts...)...)
}

// multicastPeers counts the peers that only multicast reaches.
func multicastPeers(b *bus.Bus) (n int) {
	for _, p := range b.Peers() {
		if p.Path == "multicast" {
			n++
		}
	}
	return n
}

func TestEventsFlowWhereNoStreamCan(t *testing.T) {
	for _, mode := range []bus.MulticastMode{bus.MulticastFallback, bus.MulticastAlways} {
		t.Run(mode.String(), func(t *testing.T) {
			a, b := onLoopback(t, mode), onLoopback(t, mode)
			sub := bustest.Subscribe(t, textTopic(t, b), bus.FromStart())
			until(t, "each hears the other", func() bool { return multicastPeers(a) == 1 && multicastPeers(b) == 1 })
			id := bustest.Publish(t, textTopic(t, a), "one", "two", "three")[2]
			expectValues(t, sub, []string{"one", "two", "three"})
			if err := a.WaitHeld(t.Context(), id, 1); err != nil {
				t.Error(err)
			}
			m := a.Multicast()
			if m.Key != bus.MulticastKeyNetwork || m.Inert != bus.MulticastWorks || len(m.Segments) != 1 {
				t.Fatalf("%+v", m)
			}
			if s := m.Segments[0]; s.Interface != "lo" || !s.Active || s.Reason == "" || s.Members != 1 ||
				s.Figures.DatagramsSent == 0 || s.Figures.DatagramsReceived == 0 || s.Figures.Rate == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestWhoIsBlockedOrNotAllowedIsNotHeard(t *testing.T) {
	keyA, idA := newIdentity(t)
	keyB, idB := newIdentity(t)
	a := onLoopback(t, bus.MulticastFallback, bus.WithIdentity(keyA), bus.WithAllowedPeers(idA, idB))
	b := onLoopback(t, bus.MulticastFallback, bus.WithIdentity(keyB))
	stranger := onLoopback(t, bus.MulticastFallback)
	until(t, "the others hear all, and the first who is listed", func() bool {
		return multicastPeers(b) == 2 && multicastPeers(stranger) == 2 && multicastPeers(a) == 1
	})
	if p := a.Peers()[0]; p.ID != idB {
		t.Errorf("%s is heard, want %s", p.ID, idB)
	}
	if err := a.Block(idB); err != nil {
		t.Fatal(err)
	}
	until(t, "the blocked one is gone", func() bool { return len(a.Peers()) == 0 })
	if err := a.Block(); err != nil {
		t.Fatal(err)
	}
	until(t, "it is back", func() bool { return multicastPeers(a) == 1 })
	if err := a.Allow(idA); err != nil {
		t.Fatal(err)
	}
	until(t, "it is gone from the list", func() bool { return len(a.Peers()) == 0 })
	if err := a.Allow(idA, idB); err != nil {
		t.Fatal(err)
	}
	until(t, "it is on the list again", func() bool { return multicastPeers(a) == 1 })
	if err := b.Block(stranger.ID()); err != nil {
		t.Fatal(err)
	}
	until(t, "one is left", func() bool { return len(b.Peers()) == 1 })
}
