package streams_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/streams"
)

func TestLinkOverRelayMovesToDirectConnection(t *testing.T) {
	middle := newHost(t, overTCP)
	limit := &relay.RelayLimit{Data: 1 << 20, Duration: time.Minute}
	service, err := relay.New(middle, relay.WithLimit(limit))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	a, b := newHost(t, overTCP), newHost(t, overTCP, libp2p.EnableRelay())
	connect(t, b, middle)
	if _, err := client.Reserve(t.Context(), b, peer.AddrInfo{ID: middle.ID(), Addrs: middle.Addrs()}); err != nil {
		t.Fatal(err)
	}
	ca, ha := startOn(t, streams.Config{Host: a, OwnHost: true})
	_, hb := startOn(t, streams.Config{Host: b, OwnHost: true})
	circuit := ma.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", middle.Addrs()[0], middle.ID()))
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{circuit}}); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*handler{ha, hb} {
		l := await(t, "LinkUp", h.ups)
		if l.Path != carrier.PathRelayed || !l.Limited || l.Relay != middle.ID().String() {
			t.Errorf("link %+v, want one that is relayed by %v and limited", l, middle.ID())
		}
	}
	send := func(text string) {
		t.Helper()
		if err := ca.Send(t.Context(), wire.PeerID(b.ID()), carrier.Repair, []byte(text)); err != nil {
			t.Fatalf("Send: %v", err)
		}
		if got := await(t, "frame", hb.frames); string(got) != text {
			t.Fatalf("got %q, want %q", got, text)
		}
	}
	send("through the relay")

	b.Peerstore().ClearAddrs(a.ID())
	ctx := directly(t)
	if err := b.Connect(ctx, peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()}); err != nil {
		t.Fatal(err)
	}
	// Each side sees the connection at its own time, so the link may go down and up twice.
	deadline := time.Now().Add(patience)
	for {
		err := ca.Send(t.Context(), wire.PeerID(b.ID()), carrier.Repair, []byte("directly"))
		if links := ca.Links(); err == nil && len(links) == 1 && links[0].Path == carrier.PathDirectTCP {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no direct link in time; Send: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	await(t, "LinkDown", ha.downs)
	if got := await(t, "frame", hb.frames); string(got) != "directly" {
		t.Errorf("got %q", got)
	}
}
