package multicast

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// keyOf returns the key of a test's node.
func keyOf(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Append(nil, "node ", n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func configOf(t testing.TB, n int) Config {
	return Config{
		Key: keyOf(n), Network: "test", NetworkKey: make([]byte, 32),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func newOn(t testing.TB, m machine, cfg Config) *Carrier {
	t.Helper()
	c, err := newCarrier(cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var both = []socket.Family{socket.IPv6, socket.IPv4}

// node is a carrier of a test, and what its handler was told.
type node struct {
	*Carrier
	t       testing.TB
	machine *fakeMachine
	hold    chan struct{} // Frame of News waits until it is closed; nil: no waiting

	mu     sync.Mutex // guards the fields below
	calls  []string
	frames []string
}

func (n *node) add(list *[]string, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

func (n *node) LinkUp(l carrier.Link)           { n.add(&n.calls, "up %s", l.Peer) }
func (n *node) LinkDown(p wire.PeerID, _ error) { n.add(&n.calls, "down %s", p) }
func (n *node) MemberUp(m carrier.Member)       { n.add(&n.calls, "member %s %q", who(m.Peer), m.Text) }
func (n *node) MemberDown(m carrier.Member)     { n.add(&n.calls, "gone %s", who(m.Peer)) }

func (n *node) Frame(p wire.PeerID, l carrier.Lane, b []byte) {
	if n.hold != nil && l == carrier.News {
		<-n.hold
	}
	n.add(&n.frames, "%s/%d %.40s", who(p), l, b)
}

// who returns a test's number of a peer.
func who(p wire.PeerID) string {
	for i := range 60 {
		if wire.Author(keyOf(i).Public().(ed25519.PublicKey)).PeerID() == p {
			return fmt.Sprint("n", i)
		}
	}
	return "nobody"
}

func take(n *node, list *[]string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := *list
	*list = nil
	return l
}

// told waits for the time, and compares the calls about links and members since.
func (n *node) told(after time.Duration, want ...string) {
	n.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := take(n, &n.calls); !slices.Equal(got, want) {
		n.t.Errorf("told %q, want %q", got, want)
	}
}

func (n *node) got(after time.Duration, want ...string) {
	n.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := take(n, &n.frames); !slices.Equal(got, want) {
		n.t.Errorf("got %q, want %q", got, want)
	}
}

func (n *node) send(to wire.PeerID, lane carrier.Lane, text string) {
	n.t.Helper()
	if err := n.Send(n.t.Context(), to, lane, []byte(text)); err != nil {
		n.t.Errorf("Send: %v", err)
	}
}

// startNode starts a node whose interfaces the test has plugged in.
func startNode(t testing.TB, number int, m *fakeMachine, change ...func(*Config)) *node {
	t.Helper()
	cfg := configOf(t, number)
	for _, f := range change {
		f(&cfg)
	}
	n := &node{Carrier: newOn(t, m, cfg), t: t, machine: m}
	if err := n.Start(n); err != nil {
		t.Fatal(err)
	}
	return n
}

// onWire starts a node with one interface.
func onWire(t testing.TB, number int, w *ether, families ...socket.Family) *node {
	t.Helper()
	m := newFakeMachine(byte(number + 1))
	m.plug(2, "eth0", w, families...)
	return startNode(t, number, m)
}

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.frames)
}

func closeNodes(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}
