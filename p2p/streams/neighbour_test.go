package streams

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// ups is a handler that tells of links.
type ups chan carrier.Link

func (u ups) LinkUp(l carrier.Link)                   { u <- l }
func (u ups) LinkDown(wire.PeerID, error)             {}
func (u ups) Frame(wire.PeerID, carrier.Lane, []byte) {}
func (u ups) await(t *testing.T) {
	t.Helper()
	select {
	case <-u:
	case <-time.After(10 * time.Second):
		t.Fatal("no link in time")
	}
}

func newTestHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newTestCarrier(t *testing.T, h host.Host) *Carrier {
	t.Helper()
	c := New(Config{Host: h, Secret: []byte("secret")})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (u ups) start(t *testing.T, c *Carrier) {
	t.Helper()
	if err := c.Start(u); err != nil {
		t.Fatal(err)
	}
}

// staleHost says once that a peer is not connected, while its connection comes.
type staleHost struct {
	host.Host
	stale *staleNetwork
}

func (h *staleHost) Network() network.Network { return h.stale }

type staleNetwork struct {
	network.Network
	once      sync.Once
	meanwhile func(peer.ID)
}

func (n *staleNetwork) Connectedness(p peer.ID) network.Connectedness {
	c := n.Network.Connectedness(p)
	n.once.Do(func() {
		n.meanwhile(p)
		c = network.NotConnected
	})
	return c
}

func TestConnectionThatComesWhileItsPeerIsForgottenIsNotMissed(t *testing.T) {
	b := newTestHost(t)
	make(ups, 4).start(t, newTestCarrier(t, b))
	a := newTestHost(t)
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	stale := &staleNetwork{Network: a.Network()}
	c := newTestCarrier(t, &staleHost{a, stale})
	stale.meanwhile = c.consider
	u := make(ups, 4)
	u.start(t, c)
	u.await(t)
}

func TestPeerThatCannotBeIdentifiedIsLinked(t *testing.T) {
	b := newTestHost(t)
	b.RemoveStreamHandler(identify.ID)
	make(ups, 4).start(t, newTestCarrier(t, b))
	a := newTestHost(t)
	u := make(ups, 4)
	u.start(t, newTestCarrier(t, a))
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	u.await(t)
}

func TestPeerThatDoesNotSpeakOurProtocolIsAskedAFewTimes(t *testing.T) {
	b := newTestHost(t)
	b.RemoveStreamHandler(identify.ID)
	a := newTestHost(t)
	c := newTestCarrier(t, a)
	make(ups, 4).start(t, c)
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	asked := false
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		n := c.neighbour(b.ID())
		asked = asked || n != nil
		if asked && n == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("asked: %v; still a neighbour: %v", asked, n != nil)
		}
	}
}

func TestHostHasOneCarrier(t *testing.T) {
	h := newTestHost(t)
	first, second := newTestCarrier(t, h), newTestCarrier(t, h)
	make(ups, 4).start(t, first)
	if err := second.Start(make(ups, 4)); !errors.Is(err, ErrHostTaken) {
		t.Errorf("Start of a second carrier: %v, want ErrHostTaken", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(make(ups, 4)); err != nil {
		t.Errorf("Start after the first is closed: %v", err)
	}
}

func TestStoppedProcessDoesNotTakeItsPeersForSilent(t *testing.T) {
	const second = int64(time.Second)
	a := attention{lateMax: second}
	for now := int64(0); now < 10*second; now += second / 4 {
		if since := a.tick(now); since != 0 {
			t.Fatalf("after %v without a break, attentive since %v only", time.Duration(now), time.Duration(since))
		}
	}
	resumed := 20 * second
	if since := a.tick(resumed); since != resumed {
		t.Errorf("after a stop, attentive since %v, want %v", since, resumed)
	}
	c := &Carrier{born: time.Now().Add(-time.Hour)}
	l := &link{n: &neighbour{c: c}}
	l.waiting.Store(1)
	if !l.silent(4*time.Second, 0) {
		t.Error("a peer of which nothing came for an hour is not silent")
	}
	if l.silent(4*time.Second, l.now()-second) {
		t.Error("a peer is silent a second after this process was stopped")
	}
}
