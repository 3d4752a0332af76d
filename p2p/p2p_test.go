package p2p_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
)

const (
	overTCP  = "/ip4/127.0.0.1/tcp/0"
	overQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
	patience = 20 * time.Second
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// libp2p's hosts leave these behind when they close.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/transport/quicreuse.(*reuse).gc"),
		goleak.IgnoreAnyFunction("github.com/quic-go/quic-go.(*Transport).runSendQueue"),
	)
}

// node is a host with the handler that its test looks at.
type node struct {
	*p2p.Host
	ups   chan carrier.Link
	downs chan wire.PeerID
	got   chan string
	frame func(carrier.Lane, []byte) // nil: to got
}

func (n *node) LinkUp(l carrier.Link)                { n.ups <- l }
func (n *node) LinkDown(peer wire.PeerID, err error) { n.downs <- peer }
func (n *node) Frame(_ wire.PeerID, lane carrier.Lane, frame []byte) {
	if n.frame != nil {
		n.frame(lane, frame)
		return
	}
	n.got <- string(frame)
}

// newHost returns a node on loopback without mDNS that is closed when the test ends.
func newHost(t testing.TB, cfg p2p.Config) *node {
	t.Helper()
	if cfg.Host == nil && cfg.Listen == nil {
		cfg.Listen = []string{overTCP, overQUIC}
	}
	cfg.NoMDNS = true
	cfg.Logger = slog.New(slog.DiscardHandler)
	h, err := p2p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &node{
		Host: h, ups: make(chan carrier.Link, 64), downs: make(chan wire.PeerID, 64), got: make(chan string, 64),
	}
}

func (n *node) start(t testing.TB) {
	t.Helper()
	if err := n.Carrier().Start(n); err != nil {
		t.Fatal(err)
	}
}

// started returns a new node with a started carrier.
func started(t testing.TB, cfg p2p.Config) *node {
	t.Helper()
	n := newHost(t, cfg)
	n.start(t)
	return n
}

func (n *node) connect(t testing.TB, to *node) {
	t.Helper()
	if err := n.Connect(t.Context(), to.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

func (n *node) awaitUp(t testing.TB, peer *node) carrier.Link {
	t.Helper()
	select {
	case l := <-n.ups:
		if l.Peer != peer.ID() {
			t.Fatalf("LinkUp of %v, want %v", l.Peer, peer.ID())
		}
		return l
	case <-time.After(patience):
		t.Fatal("no LinkUp in time")
		return carrier.Link{}
	}
}

func (n *node) awaitDown(t testing.TB, peer *node) {
	t.Helper()
	select {
	case p := <-n.downs:
		if p != peer.ID() {
			t.Fatalf("LinkDown of %v, want %v", p, peer.ID())
		}
	case <-time.After(patience):
		t.Fatal("no LinkDown in time")
	}
}

// awaitTrouble returns the trouble with a peer once there is one.
func (n *node) awaitTrouble(t testing.TB, peer *node) p2p.Trouble {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		troubles := n.Troubles()
		if i := slices.IndexFunc(troubles, func(x p2p.Trouble) bool { return x.Peer == peer.ID() }); i >= 0 {
			return troubles[i]
		}
	}
	t.Fatal("no trouble in time")
	return p2p.Trouble{}
}
