package groupkey

import (
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// node is a host with an exchange.
type node struct {
	*Exchange
	host host.Host
}

func (n *node) id() wire.PeerID { return wire.PeerID(n.host.ID()) }

// newHosts returns hosts on loopback that are closed when the test ends.
func newHosts(t *testing.T, n int) []host.Host {
	t.Helper()
	hosts := make([]host.Host, n)
	for i := range hosts {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		hosts[i] = h
	}
	return hosts
}

// start runs an exchange on the host.
func start(t *testing.T, h host.Host, network, file string, allowed ...host.Host) *node {
	t.Helper()
	x, err := New(Config{
		Host: h, Network: network, File: file, Allowed: ids(allowed...), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	return &node{x, h}
}

func ids(hosts ...host.Host) []wire.PeerID {
	list := make([]wire.PeerID, len(hosts))
	for i, h := range hosts {
		list[i] = wire.PeerID(h.ID())
	}
	return list
}

func connect(t *testing.T, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// await waits until what holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// sameRoot reports whether all nodes seal under one root.
func sameRoot(nodes ...*node) bool {
	for _, n := range nodes {
		roots := n.Roots()
		if len(roots) == 0 || roots[0] != nodes[0].Roots()[0] {
			return false
		}
	}
	return true
}
