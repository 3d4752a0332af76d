package bus_test

import (
	"testing"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
	"github.com/busnode/busnode/gossip"
)

// peersOf waits until a bus has so many peers.
func peersOf(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); len(b.Peers()) != n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d peers, want %d; %v", len(b.Peers()), n, b.Stats().Counters)
		}
	}
}

func TestBusesFindEachOtherThroughOneThatTheyKnow(t *testing.T) {
	seed := openReal(t, bus.WithForward("orders"))
	known := bus.WithPeers(addrOf(t, seed))
	a, c := openReal(t, known), openReal(t, known)
	orders := bustest.Topic(t, a, "orders", bus.Text{})
	for _, b := range []*bus.Bus{a, c} {
		if _, err := bustest.Topic(t, b, "orders", bus.Text{}).Subscribe(t.Context(), bus.FromNow()); err != nil {
			t.Fatal(err)
		}
	}
	peersOf(t, a, 2)
	peersOf(t, c, 2)
	if err := seed.Close(); err != nil {
		t.Fatal(err)
	}
	id, err := orders.Publish(t.Context(), "through no seed")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitHeld(t.Context(), id, 1); err != nil {
		t.Error(err)
	}
}

func TestBusesWithoutPeerExchangeKnowWhomTheyWereGiven(t *testing.T) {
	cfg := gossip.DefaultConfig()
	cfg.NoPeerExchange = true
	seed := openReal(t, bus.WithForward("orders"))
	opts := []bus.Option{bus.WithPeers(addrOf(t, seed)), bus.WithForward("orders"), bus.WithGossip(cfg)}
	a, c := openReal(t, opts...), openReal(t, opts...)
	peersOf(t, seed, 2)
	time.Sleep(time.Second) // they would have met long before
	if len(a.Peers()) != 1 || len(c.Peers()) != 1 {
		t.Errorf("%d and %d peers, want the seed alone", len(a.Peers()), len(c.Peers()))
	}
	for _, b := range []*bus.Bus{a, c} {
		if s := b.Stats().Counters; s["gossip_shuffles"]+s["gossip_dials_wished"]+s["gossip_passive"] > 0 {
			t.Errorf("peers were exchanged: %v", s)
		}
	}
}
