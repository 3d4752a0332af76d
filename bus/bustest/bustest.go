// Package bustest gives tests a network of buses in memory: real nodes, with
// logs in memory and the real protocol, joined by a network that can be cut,
// delayed and made to break.
//
//	net := bustest.New(t, 3)
//	orders, err := bus.TopicOf(net.Bus(0), "orders", bus.Text{})
//	net.Cut([]int{0}, []int{1, 2})
//	…
//	net.Heal()
//
// It waits on channels and timers alone, so it also runs inside
// testing/synctest, where seconds of waiting pass at once.
package bustest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/gossip/carrier"
)

// peerIDPrefix starts the bytes of the libp2p peer ID of every Ed25519 key.
const peerIDPrefix = "\x00\x24\x08\x01\x12\x20"

// Network is a set of buses that are connected with each other in memory.
// Its methods are safe for concurrent use. Nodes are numbered from 0 in the
// order in which they were added, and keep number and identity over [Network.Restart].
type Network struct {
	carriers *carrier.Network
	opts     []bus.Option

	mu    sync.Mutex // guards the field below
	nodes []*node
}

type node struct {
	key  ed25519.PrivateKey
	peer string // bytes of the peer ID
	opts []bus.Option
	bus  *bus.Bus
}

// New returns a network of n connected buses, each opened with opts. They are
// closed when the test ends.
func New(t testing.TB, n int, opts ...bus.Option) *Network {
	t.Helper()
	net, err := Start(t.Context(), n, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Close(); err != nil {
			t.Errorf("bustest: close: %v", err)
		}
	})
	return net
}

// Start is New without a test, for examples. The caller closes the network.
func Start(ctx context.Context, n int, opts ...bus.Option) (*Network, error) {
	net := &Network{carriers: carrier.NewNetwork(1), opts: opts}
	net.carriers.ConnectAll()
	for range n {
		if _, err := net.Add(ctx); err != nil {
			return nil, errors.Join(err, net.Close())
		}
	}
	return net, nil
}

// Add opens another bus, with opts after those of the network, and returns its
// number: a late joiner.
func (n *Network) Add(ctx context.Context, opts ...bus.Option) (int, error) {
	n.mu.Lock()
	i := len(n.nodes)
	nd := &node{key: keyOf(i), opts: opts}
	nd.peer = peerIDPrefix + string(nd.key.Public().(ed25519.PublicKey))
	n.nodes = append(n.nodes, nd)
	n.mu.Unlock()
	return i, n.Restart(ctx, i)
}

// keyOf returns the identity of a node: the same in every run.
func keyOf(i int) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("bustest"), uint64(i)))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Bus returns node i; after [Network.Stop] the closed one.
func (n *Network) Bus(i int) *bus.Bus { return n.node(i).bus }

// Len returns the number of nodes.
func (n *Network) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.nodes)
}

// Buses returns all nodes, by number.
func (n *Network) Buses() []*bus.Bus {
	n.mu.Lock()
	defer n.mu.Unlock()
	buses := make([]*bus.Bus, len(n.nodes))
	for i, nd := range n.nodes {
		buses[i] = nd.bus
	}
	return buses
}

// node returns a copy of what is known of node i.
func (n *Network) node(i int) node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *n.nodes[i]
}

// Stop closes node i without waiting for anything, as a program that ends.
func (n *Network) Stop(i int) error { return n.node(i).bus.Close() }

// Restart opens node i again, if need be after closing it, with the same
// identity. What its log held is there again if it was opened with
// [bus.WithDataDir].
func (n *Network) Restart(ctx context.Context, i int) error {
	nd := n.node(i)
	if nd.bus != nil {
		if err := nd.bus.Close(); err != nil {
			return err
		}
	}
	opts := []bus.Option{
		bus.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))),
		bus.WithIdentity(nd.key),
		bus.WithCarrier(join(n.carriers.Join, nd.peer)),
	}
	opts = append(append(opts, n.opts...), nd.opts...)
	b, err := bus.Open(ctx, opts...)
	if err != nil {
		return fmt.Errorf("bustest: node %d: %w", i, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[i].bus = b
	return nil
}

// Connect links nodes a and b. All nodes are linked to begin with.
func (n *Network) Connect(a, b int) { pair(n.carriers.Connect, n.node(a).peer, n.node(b).peer) }

// Disconnect ends the link of nodes a and b until Connect.
func (n *Network) Disconnect(a, b int) { pair(n.carriers.Disconnect, n.node(a).peer, n.node(b).peer) }

// Chain leaves the links between neighbouring numbers alone: 0–1–2–….
func (n *Network) Chain() {
	for a := range n.Len() {
		for b := a + 2; b < n.Len(); b++ {
			n.Disconnect(a, b)
		}
	}
}

// Cut takes down all links between a node of the one side and one of the
// other, until Heal.
func (n *Network) Cut(one, other []int) {
	groups(n.carriers.Cut, n.peers(one), n.peers(other))
}

// Heal ends all cuts.
func (n *Network) Heal() { n.carriers.Heal() }

// Loss sets the share of frames, from 0 to 1, that do not arrive. As streams
// are reliable, a lost frame breaks its link, which then comes up again.
func (n *Network) Loss(share float64) { n.carriers.SetLoss(share) }

// Delay makes each frame take between min and max.
func (n *Network) Delay(min, max time.Duration) { n.carriers.SetDelay(min, max) }

// Bandwidth limits each direction of each link; zero is no limit.
func (n *Network) Bandwidth(bytesPerSecond int) { n.carriers.SetBandwidth(bytesPerSecond) }

// Close closes all nodes.
func (n *Network) Close() error {
	var errs []error
	for _, b := range n.Buses() {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}

func (n *Network) peers(numbers []int) []string {
	peers := make([]string, len(numbers))
	for i, number := range numbers {
		peers[i] = n.node(number).peer
	}
	return peers
}

// The carrier's network names peers by a string type of a package that this
// one does not import; these helpers infer it.

func join[P ~string](f func(P, ...carrier.MemoryOption) carrier.Carrier, peer string) carrier.Carrier {
	return f(P(peer))
}

func pair[P ~string](f func(a, b P), a, b string) { f(P(a), P(b)) }

func groups[P ~string](f func(a, b []P), a, b []string) { f(convert[P](a), convert[P](b)) }

func convert[P ~string](in []string) []P {
	out := make([]P, len(in))
	for i, s := range in {
		out[i] = P(s)
	}
	return out
}
