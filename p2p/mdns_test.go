package p2p_test

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
)

func TestNodesOfOneNetworkFindEachOtherWithMDNS(t *testing.T) {
	if !multicastWorks(t) {
		t.Skip("no interface with multicast")
	}
	nodes := make([]*node, 3)
	for i, network := range []string{"kestrel", "kestrel", "osprey"} {
		h, err := p2p.New(p2p.Config{Network: network, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		nodes[i] = &node{Host: h, ups: make(chan carrier.Link, 8), downs: make(chan wire.PeerID, 8)}
		nodes[i].start(t)
	}
	nodes[0].awaitUp(t, nodes[1])
	nodes[1].awaitUp(t, nodes[0])
	select {
	case l := <-nodes[2].ups:
		t.Errorf("a node of another network got a link: %+v", l)
	case <-time.After(time.Second):
	}
	if len(nodes[2].Troubles()) != 0 {
		t.Error("a node of another network was found")
	}
}

func multicastWorks(t *testing.T) bool {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&(net.FlagUp|net.FlagMulticast|net.FlagLoopback) == net.FlagUp|net.FlagMulticast {
			return true
		}
	}
	return false
}
