package p2p_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
)

// TestOnlyThoseAreLinkedWhomTheNodeAdmits holds for a host of its own, which
// takes no connection of others, and for a program's, which takes no stream.
func TestOnlyThoseAreLinkedWhomTheNodeAdmits(t *testing.T) {
	for name, given := range map[string]bool{"own host": false, "program's host": true} {
		t.Run(name, func(t *testing.T) {
			var admitted atomic.Pointer[wire.PeerID]
			cfg := p2p.Config{Admits: func(p wire.PeerID) bool {
				only := admitted.Load()
				return only != nil && *only == p
			}}
			if given {
				cfg.Host = programsHost(t)
			}
			a, b, c := started(t, cfg), started(t, p2p.Config{}), started(t, p2p.Config{})
			allow := func(n *node) {
				id := n.ID()
				admitted.Store(&id)
				a.Readmit()
			}
			// Whether the dial itself fails depends on whose host it is.
			_ = b.Connect(t.Context(), a.Addrs()[0])
			_ = c.Connect(t.Context(), a.Addrs()[0])
			select {
			case l := <-a.ups:
				t.Fatalf("a link with one that is not admitted: %+v", l)
			case <-time.After(300 * time.Millisecond):
			}
			allow(b)
			a.awaitUp(t, b)
			b.awaitUp(t, a)
			allow(c)
			a.awaitDown(t, b)
			a.awaitUp(t, c)
			if peers := a.Peers(); len(peers) != 1 || peers[0].Peer != c.ID() {
				t.Errorf("links: %+v, want the admitted one alone", peers)
			}
		})
	}
}

func programsHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings(overTCP), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestWhoIsHeardOnTheLocalNetworkIsDialled(t *testing.T) {
	a, b := started(t, p2p.Config{}), started(t, p2p.Config{})
	a.Heard(b.ID(), append([]string{"nonsense"}, addrsOf(b)...))
	a.awaitUp(t, b)
}

func addrsOf(n *node) []string {
	var addrs []string
	for _, addr := range n.Libp2p().Addrs() {
		addrs = append(addrs, addr.String())
	}
	return addrs
}
