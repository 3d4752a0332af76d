package carrier

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Defaults of the in-memory network.
const (
	memoryQueueBytes   = 1 << 20 // frames on the way on one lane of a one-to-one link, as a window of a stream
	memoryQueueFrames  = 256     // the same, counted in frames
	memorySegmentMTU   = 1196    // bytes of a datagram
	memorySegmentQueue = 4096    // datagrams waiting at one member and lane; more are lost
	memoryRefusal      = 10 * time.Second
)

// Reasons for which the in-memory network takes a link down.
var (
	errCut          = errors.New("carrier: the network was cut")
	errDisconnected = errors.New("carrier: disconnected")
	errFrameLost    = errors.New("carrier: a frame was lost")
)

// Network is an in-memory network for tests and simulations. Peers join it
// with a one-to-one carrier ([Network.Join]) or on a segment
// ([Network.JoinSegment]); its methods cut, delay and lose what they send.
//
// It waits on channels and timers alone, so it runs inside testing/synctest.
// What it draws by chance comes from the seed, one stream of it per sender,
// receiver and lane: frames of one lane meet the same fate in each run,
// whatever the scheduler does to the others.
//
// Its methods are safe for concurrent use.
type Network struct {
	seed uint64

	mu       sync.Mutex // guards the fields below
	members  map[wire.PeerID]*memoryCarrier
	segments map[wire.PeerID]*memorySegment
	pairs    map[pairKey]*memoryPair
	mesh     bool // every pair is connected unless it was disconnected by name
	cuts     map[direction]bool
	weather  weather
}

// weather is what the network does to frames.
type weather struct {
	loss     float64
	min, max time.Duration
	rate     int // bytes per second of each lane and direction; 0: no limit
}

type direction struct{ from, to wire.PeerID }

// pairKey names a pair of peers, the smaller first.
type pairKey struct{ a, b wire.PeerID }

func pairOf(a, b wire.PeerID) pairKey {
	if b < a {
		a, b = b, a
	}
	return pairKey{a, b}
}

// NewNetwork returns a network without members, in which nothing is lost or delayed.
func NewNetwork(seed uint64) *Network {
	return &Network{
		seed:     seed,
		members:  map[wire.PeerID]*memoryCarrier{},
		segments: map[wire.PeerID]*memorySegment{},
		pairs:    map[pairKey]*memoryPair{},
		cuts:     map[direction]bool{},
	}
}

// Connect links two peers as soon as both have joined and started, and again
// whenever what kept them apart is over.
func (n *Network) Connect(a, b wire.PeerID) {
	n.change(func() {
		p := n.pair(pairOf(a, b))
		p.want, p.parted = true, false
	})
}

// Disconnect ends the link of two peers until Connect: they cannot dial each
// other either.
func (n *Network) Disconnect(a, b wire.PeerID) {
	n.change(func() {
		p := n.pair(pairOf(a, b))
		p.want, p.parted = false, true
	})
}

// ConnectAll connects all peers with each other, those that join later too.
func (n *Network) ConnectAll() {
	n.change(func() {
		n.mesh = true
		for _, p := range n.pairs {
			p.want, p.parted = true, false
		}
	})
}

// Cut lets no frame pass between a peer of the one group and one of the other,
// until [Network.Heal]. One-to-one links between them go down.
func (n *Network) Cut(a, b []wire.PeerID) {
	n.change(func() {
		n.cutOneWay(a, b)
		n.cutOneWay(b, a)
	})
}

// CutOneWay lets no frame pass from a peer of the first group to one of the
// second. A one-to-one link needs both directions and goes down; a segment
// goes on in the other direction.
func (n *Network) CutOneWay(from, to []wire.PeerID) {
	n.change(func() { n.cutOneWay(from, to) })
}

func (n *Network) cutOneWay(from, to []wire.PeerID) {
	for _, f := range from {
		for _, t := range to {
			if f != t {
				n.cuts[direction{f, t}] = true
			}
		}
	}
}

// Heal ends all cuts.
func (n *Network) Heal() {
	n.change(func() { clear(n.cuts) })
}

// SetLoss sets the share of frames that are lost, from 0 to 1. A segment drops
// them; a one-to-one link, which is reliable, breaks and comes up again.
func (n *Network) SetLoss(share float64) {
	n.change(func() { n.weather.loss = share })
}

// SetDelay makes each frame take between min and max. Datagrams of a segment
// overtake each other; frames of one-to-one links stay in order.
func (n *Network) SetDelay(min, max time.Duration) {
	n.change(func() { n.weather.min, n.weather.max = min, max })
}

// SetBandwidth limits each lane and direction of one-to-one links; zero is no limit.
func (n *Network) SetBandwidth(bytesPerSecond int) {
	n.change(func() { n.weather.rate = bytesPerSecond })
}

// change applies f and lets the links follow.
func (n *Network) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	for _, k := range n.pairKeys() {
		n.settle(n.pairs[k])
	}
	for _, s := range n.segments {
		s.settle()
	}
}

// pairKeys returns the pairs in a fixed order, for runs that repeat. n.mu is held.
func (n *Network) pairKeys() []pairKey {
	keys := make([]pairKey, 0, len(n.pairs))
	for k := range n.pairs {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y pairKey) int {
		if x.a != y.a {
			return strings.Compare(string(x.a), string(y.a))
		}
		return strings.Compare(string(x.b), string(y.b))
	})
	return keys
}

// pair returns the pair of that name. n.mu is held.
func (n *Network) pair(k pairKey) *memoryPair {
	p := n.pairs[k]
	if p == nil {
		p = &memoryPair{key: k, want: n.mesh}
		n.pairs[k] = p
	}
	return p
}

// chance returns the random numbers of one sender, receiver and lane.
func (n *Network) chance(from, to wire.PeerID, lane Lane) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %d", from, to, lane)
	return rand.New(rand.NewPCG(n.seed, h.Sum64()))
}

// delay draws how long a frame takes.
func (w weather) delay(r *rand.Rand) time.Duration {
	if w.max <= w.min {
		return w.min
	}
	return w.min + time.Duration(r.Int64N(int64(w.max-w.min)+1))
}

func (w weather) lost(r *rand.Rand) bool {
	return w.loss > 0 && r.Float64() < w.loss
}

// wait waits for d, or returns false when done is closed first.
func wait(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// join copies a frame's parts into one slice that its receiver may keep.
func join(parts [][]byte) []byte {
	frame := make([]byte, 0, size(parts))
	for _, p := range parts {
		frame = append(frame, p...)
	}
	return frame
}

func size(parts [][]byte) int {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n
}
