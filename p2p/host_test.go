package p2p_test

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
	"github.com/busnode/busnode/p2p/discovery"
	"github.com/busnode/busnode/p2p/streams"
)

func (n *node) send(t *testing.T, to *node, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Carrier().Send(ctx, to.ID(), carrier.News, []byte(text)); err != nil {
		t.Fatalf("Send: %v", err)
	}
	select {
	case got := <-to.got:
		if got != text {
			t.Fatalf("got %q, want %q", got, text)
		}
	case <-ctx.Done():
		t.Fatal("the frame did not arrive in time")
	}
}

func TestStaticPeerIsLinkedOverEitherTransport(t *testing.T) {
	for listen, path := range map[string]carrier.Path{overTCP: carrier.PathDirectTCP, overQUIC: carrier.PathDirectQUIC} {
		b := started(t, p2p.Config{Listen: []string{listen}})
		a := started(t, p2p.Config{Listen: []string{listen}, Peers: b.Addrs()})
		if l := a.awaitUp(t, b); l.Path != path || l.Limited {
			t.Errorf("the link is %+v, want path %s", l, path)
		}
		b.awaitUp(t, a)
		a.send(t, b, "there")
		b.send(t, a, "and back")
		peers := a.Peers()
		if len(peers) != 1 || peers[0].Peer != b.ID() || peers[0].Up.IsZero() {
			t.Errorf("Peers: %+v", peers)
		}
		for deadline := time.Now().Add(patience); a.Carrier().RoundTrip(b.ID()) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no round trip was measured")
			}
		}
	}
}

func TestSimultaneousConnectMakesOneLink(t *testing.T) {
	for range 5 {
		a, b := started(t, p2p.Config{}), started(t, p2p.Config{})
		done := make(chan error, 2)
		go func() { done <- a.Connect(t.Context(), b.Addrs()[0]) }()
		go func() { done <- b.Connect(t.Context(), a.Addrs()[0]) }()
		for range 2 {
			// Both sides may be in the client's role when TCP opens from both ends at
			// once: then the dial fails, and the next one does not.
			if err := <-done; err != nil {
				t.Logf("Connect: %v", err)
			}
		}
		a.awaitUp(t, b)
		b.awaitUp(t, a)
		a.send(t, b, "hello")
		b.send(t, a, "hello")
		if n := len(a.Peers()); n != 1 {
			t.Errorf("%d links, want 1", n)
		}
	}
}

func TestStrangersOfAnotherNetworkAreToldApart(t *testing.T) {
	key, other := p2p.GenerateNetworkKey(), p2p.GenerateNetworkKey()
	tests := []struct {
		name string
		a, b p2p.Config
	}{
		{"another name", p2p.Config{Network: "kestrel"}, p2p.Config{Network: "osprey"}},
		{"another key", p2p.Config{NetworkKey: key}, p2p.Config{NetworkKey: other}},
		{"a key and none", p2p.Config{}, p2p.Config{NetworkKey: key}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := started(t, tt.b)
			tt.a.Peers = b.Addrs()
			a := started(t, tt.a)
			trouble := a.awaitTrouble(t, b)
			if !errors.Is(trouble.Err, p2p.ErrOtherNetwork) || !trouble.Static {
				t.Errorf("trouble %+v, want ErrOtherNetwork with a static peer", trouble)
			}
			if name := tt.b.Network; name != "" && strings.Contains(trouble.Err.Error(), name) {
				t.Errorf("the error tells the other network's name: %v", trouble.Err)
			}
			if len(a.ups) != 0 || len(b.ups) != 0 || len(a.Peers()) != 0 {
				t.Error("a link came up between two networks")
			}
		})
	}
}

func TestLinkComesBackAfterTheConnectionDrops(t *testing.T) {
	b := started(t, p2p.Config{})
	a := started(t, p2p.Config{Peers: b.Addrs()})
	a.awaitUp(t, b)
	b.awaitUp(t, a)
	for range 3 {
		if err := a.Block(b.ID()); err != nil {
			t.Fatalf("Block: %v", err)
		}
		a.awaitDown(t, b)
		b.awaitDown(t, a)
		if err := b.Connect(t.Context(), a.Addrs()[0]); err == nil && len(a.Peers()) != 0 {
			t.Error("a blocked peer got a link")
		}
		began := time.Now()
		if err := a.Unblock(b.ID()); err != nil {
			t.Fatalf("Unblock: %v", err)
		}
		a.awaitUp(t, b)
		b.awaitUp(t, a)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the link came back after %v", took)
		}
		a.send(t, b, "again")
	}
}

func TestRestartedPeerIsFoundAgain(t *testing.T) {
	_, key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	b := started(t, p2p.Config{Identity: key, Listen: []string{overTCP}})
	addrs := b.Addrs()
	a := started(t, p2p.Config{Peers: addrs})
	a.awaitUp(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	a.awaitDown(t, b)
	listen, _, _ := strings.Cut(addrs[0], "/p2p/")
	b = started(t, p2p.Config{Identity: key, Listen: []string{listen}})
	a.awaitUp(t, b)
}

func TestDisconnectedPeerIsRefused(t *testing.T) {
	a, b := started(t, p2p.Config{}), started(t, p2p.Config{})
	a.connect(t, b)
	a.awaitUp(t, b)
	b.awaitUp(t, a)
	a.Carrier().Disconnect(b.ID(), "a test")
	a.awaitDown(t, b)
	b.awaitDown(t, a)
	if trouble := a.awaitTrouble(t, b); !errors.Is(trouble.Err, streams.ErrDisconnected) {
		t.Errorf("trouble %v, want ErrDisconnected", trouble.Err)
	}
	if err := b.Connect(t.Context(), a.Addrs()[0]); err == nil && len(a.Peers()) != 0 {
		t.Error("a refused peer got a link")
	}
}

func TestLastGoodPeersAreRemembered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peers")
	b := started(t, p2p.Config{})
	a := started(t, p2p.Config{PeersFile: file, Peers: b.Addrs()})
	a.awaitUp(t, b)
	b.awaitUp(t, a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b.awaitDown(t, a)
	a = started(t, p2p.Config{PeersFile: file})
	a.awaitUp(t, b)
}

func TestGivenHostIsLeftAsItWas(t *testing.T) {
	h, err := libp2p.New(libp2p.ListenAddrStrings(overTCP), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	before := h.Mux().Protocols()
	a, b := started(t, p2p.Config{Host: h}), started(t, p2p.Config{})
	added := slices.DeleteFunc(h.Mux().Protocols(), func(p protocolID) bool { return slices.Contains(before, p) })
	slices.Sort(added)
	if want := []protocolID{streams.NewsID, streams.RepairID}; !slices.Equal(added, want) {
		t.Errorf("protocols added: %v, want %v", added, want)
	}
	b.connect(t, a)
	b.awaitUp(t, a)
	a.awaitUp(t, b)
	a.send(t, b, "from the program's host")
	if err := a.Block(b.ID()); !errors.Is(err, p2p.ErrNotOwnHost) {
		t.Errorf("Block: %v, want ErrNotOwnHost", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b.awaitDown(t, a)
	if after := h.Mux().Protocols(); len(after) != len(before) {
		t.Errorf("protocols left: %v, want %v", after, before)
	}
	if h.Network().Connectedness(peer.ID(b.ID())) != network.Connected {
		t.Error("Close closed the host's connection")
	}
}

func TestHostWithoutEd25519KeyIsRefused(t *testing.T) {
	key, _, err := crypto.GenerateECDSAKeyPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if _, err := p2p.New(p2p.Config{Host: h}); !errors.Is(err, p2p.ErrHostKey) {
		t.Errorf("New: %v, want ErrHostKey", err)
	}
}

func TestConfigReportsAllThatIsWrong(t *testing.T) {
	_, err := p2p.New(p2p.Config{
		Network: strings.Repeat("x", 65), NetworkKey: []byte("short"), Listen: []string{"nonsense"},
		Peers: []string{"/ip4/127.0.0.1/tcp/1"}, ConnectionsMax: -1, Identity: make([]byte, 3),
	})
	wants := []error{p2p.ErrConfig, p2p.ErrNetworkName, p2p.ErrNetworkKey, discovery.ErrAddress}
	for _, want := range wants {
		if !errors.Is(err, want) {
			t.Errorf("the error does not wrap %v:\n%v", want, err)
		}
	}
	for _, word := range []string{"nonsense", "ConnectionsMax", "/p2p/ID", "identity"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not name %q:\n%v", word, err)
		}
	}
}

func TestAddrsAreFullAndResolved(t *testing.T) {
	n := newHost(t, p2p.Config{Listen: []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}})
	addrs := n.Addrs()
	if len(addrs) < 2 {
		t.Fatalf("addresses %v, want TCP and QUIC", addrs)
	}
	for _, addr := range addrs {
		if strings.Contains(addr, "0.0.0.0") || !strings.HasSuffix(addr, "/p2p/"+n.ID().String()) {
			t.Errorf("address %s is not full", addr)
		}
	}
	if wire.PeerID(peer.ID(n.ID())) != n.ID() {
		t.Error("the ID is not libp2p's")
	}
	if len(n.PrivateKey()) == 0 {
		t.Error("no private key")
	}
}
