package multicast

import (
	"fmt"
	"os"
	"testing"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// On any machine: real sockets, on the loopback interface, which has to be asked for.
func TestNodesMeetOnLoopback(t *testing.T) {
	all, err := socket.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, i := range all {
		if i.Kind == socket.Loopback && i.V4 {
			name = i.Name
		}
	}
	if name == "" {
		t.Skipf("skipped: no loopback interface with an IPv4 address among %v", all)
	}
	var nodes []*node
	for i := range 2 {
		cfg := configOf(t, i)
		cfg.Network = fmt.Sprint("loopback-", os.Getpid())
		cfg.Interfaces = []string{name}
		n := &node{Carrier: newOn(t, system{}, cfg), t: t}
		if err := n.Start(n); err != nil {
			t.Fatal(err)
		}
		defer closeNodes(t, n)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		await(t, "the two hear each other", func() bool { return len(n.Members()) == 1 })
	}
	nodes[0].send(wire.PeerID(segmentPrefix+name), carrier.News, "to all")
	nodes[0].send(nodes[1].Self(), carrier.Repair, "to you")
	await(t, "both frames", func() bool { return nodes[1].count() == 2 })
}
