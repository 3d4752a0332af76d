package segment

import (
	"bytes"
	"container/heap"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

var (
	testRoot  = datagram.RootOf("test", []byte("a key of the network's own"))
	testStart = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// testKey returns the key of a peer.
func testKey(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(n)+1)
	return ed25519.NewKeyFromSeed(seed)
}

func testPeer(n int) wire.PeerID {
	return wire.Author(testKey(n).Public().(ed25519.PublicKey)).PeerID()
}

// testConfig returns what the nth engine of a test with this seed is made of.
func testConfig(n int, r *rand.Rand) Config {
	key := testKey(n)
	cfg := Config{
		Self:  testPeer(n),
		Sign:  func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil },
		Roots: []datagram.Root{testRoot},
		Rand:  rand.New(rand.NewPCG(r.Uint64(), r.Uint64())),
		Kind:  Wired,
	}
	binary.BigEndian.PutUint64(cfg.Stream[:], r.Uint64())
	binary.BigEndian.PutUint64(cfg.Stream[8:], r.Uint64())
	return cfg
}

// segmentWire is a simulated segment: what one node sends reaches all others, each by
// its own fate.
type segmentWire struct {
	t     *testing.T
	rng   *rand.Rand
	nodes []*node
	now   Time
	queue events
	order uint64

	loss      float64       // of each datagram at each receiver, independently
	burst     int           // mean length of runs of loss; 0: none, losses are independent
	reorder   float64       // of datagrams, delayed by 0 to 50 ms more
	duplicate float64       // of datagrams that come twice
	least     time.Duration // delays
	most      time.Duration
	capacity  int // bit/s that all share, 0: no limit; what waits for more than 20 ms is lost
	freeAt    Time
	skew      time.Duration                   // of all clocks
	drop      func(from *node, d []byte) bool // what nobody receives
	tap       func(from *node, d []byte)      // sees all that is sent

	datagrams, bytes uint64
}

type node struct {
	w       *segmentWire
	n       int
	e       *Engine
	from    netip.AddrPort
	timer   Time
	lossy   map[int]bool // senders from whom a run of loss is on
	deaf    bool         // hears nothing
	dead    bool
	frames  []arrival
	changes []MemberChange
	onFrame func(f Frame)
	onRoom  func(lane carrier.Lane)
	skew    time.Duration

	late    time.Duration // acts only once in such a time; 0: at once
	peeks   bool          // tells what waits to be received
	asleep  bool          // until its next turn, which is scheduled
	waiting []func()      // receptions until then
}

type arrival struct {
	Frame
	at Time
}

func newWire(t *testing.T, seed uint64, nodes int) *segmentWire {
	w := &segmentWire{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)),
		least: 50 * time.Microsecond, most: 250 * time.Microsecond,
	}
	for range nodes {
		w.add(func(*Config) {})
	}
	return w
}

func (w *segmentWire) add(change func(*Config)) *node {
	cfg := testConfig(len(w.nodes), w.rng)
	change(&cfg)
	e, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{w: w, n: len(w.nodes), e: e, timer: Never, lossy: map[int]bool{}}
	n.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n.n >> 8), byte(n.n)}), 7447)
	w.nodes = append(w.nodes, n)
	n.settle()
	return n
}

func (w *segmentWire) wall(n *node) time.Time {
	return testStart.Add(time.Duration(w.now) + w.skew + n.skew)
}

// run lets d pass.
func (w *segmentWire) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) != 0 && w.queue[0].at <= end {
		ev := heap.Pop(&w.queue).(event)
		w.now = ev.at
		ev.f()
	}
	w.now = end
}

func (w *segmentWire) at(at Time, f func()) {
	w.order++
	heap.Push(&w.queue, event{at, w.order, f})
}

// send queues a frame at a node.
func (n *node) send(to wire.PeerID, lane carrier.Lane, frame []byte) error {
	err := n.e.Send(n.w.now, to, lane, frame)
	n.settle()
	return err
}

func (n *node) receive(d []byte, from netip.AddrPort) {
	if n.dead || n.deaf {
		return
	}
	if n.late != 0 {
		n.waiting = append(n.waiting, func() {
			n.e.Receive(n.w.now, n.w.wall(n), from, d)
			n.act()
		})
		n.settle()
		return
	}
	n.e.Receive(n.w.now, n.w.wall(n), from, d)
	n.act()
}

// settle carries out what the engine wants, now or when the node has its turn.
func (n *node) settle() {
	if n.late == 0 {
		n.act()
		return
	}
	if n.asleep {
		return
	}
	n.asleep = true
	n.w.at((n.w.now/Time(n.late)+1)*Time(n.late), n.turn)
}

// turn is what a node does that is late: what is due by its clock, which is told first,
// and then what has come meanwhile.
func (n *node) turn() {
	n.asleep = false
	n.act()
	waiting := n.waiting
	n.waiting = nil
	for _, receive := range waiting {
		receive()
	}
}

// act carries out what the engine wants now.
func (n *node) act() {
	if n.dead {
		return
	}
	for {
		if n.e.NextDeadline() <= n.w.now {
			if n.peeks && len(n.waiting) > 0 && n.e.Seeks(n.w.now) {
				n.e.Behind()
			}
			n.e.Tick(n.w.now, n.w.wall(n))
		}
		out := n.e.Take()
		n.changes = append(n.changes, out.Members...)
		for _, d := range out.Datagrams {
			n.w.transmit(n, d)
		}
		frames := slices.Clone(out.Frames)
		for _, f := range frames {
			if n.onFrame != nil {
				n.onFrame(f)
			} else {
				n.frames = append(n.frames, arrival{f, n.w.now})
			}
		}
		for lane, room := range out.Room {
			if room && n.onRoom != nil {
				n.onRoom(carrier.Lane(lane))
			}
		}
		if len(out.Datagrams) == 0 {
			break
		}
	}
	if at := n.e.NextDeadline(); at < n.timer {
		if at <= n.w.now {
			n.w.t.Fatalf("node %d: the deadline %v is due at %v after Tick and Take", n.n, at, n.w.now)
		}
		n.timer = at
		n.w.at(at, func() {
			if n.timer == at {
				n.timer = Never
				n.settle()
			}
		})
	}
}

func (w *segmentWire) transmit(from *node, d []byte) {
	w.datagrams++
	w.bytes += uint64(len(d) + headersBytes)
	if w.tap != nil {
		w.tap(from, d)
	}
	if w.drop != nil && w.drop(from, d) {
		return
	}
	d = bytes.Clone(d)
	wait := time.Duration(0)
	if w.capacity != 0 {
		if wait = time.Duration(max(0, w.freeAt-w.now)); wait > 20*time.Millisecond {
			return
		}
		w.freeAt = max(w.freeAt, w.now).Add(time.Duration(len(d)+headersBytes) * 8 * time.Second / time.Duration(w.capacity))
	}
	for _, to := range w.nodes {
		if to == from || to.dead {
			continue
		}
		if w.lost(from, to) {
			continue
		}
		w.deliver(from, to, d, wait)
		if w.rng.Float64() < w.duplicate {
			w.deliver(from, to, d, wait)
		}
	}
}

func (w *segmentWire) deliver(from, to *node, d []byte, delay time.Duration) {
	delay += w.least + time.Duration(w.rng.Float64()*float64(w.most-w.least))
	if w.rng.Float64() < w.reorder {
		delay += time.Duration(w.rng.Float64() * float64(50*time.Millisecond))
	}
	w.at(w.now.Add(delay), func() { to.receive(d, from.from) })
}

// lost draws a datagram's fate: independent, or by the Gilbert–Elliott model
// with the same share lost.
func (w *segmentWire) lost(from, to *node) bool {
	if w.burst == 0 {
		return w.rng.Float64() < w.loss
	}
	if to.lossy[from.n] {
		to.lossy[from.n] = w.rng.Float64() >= 1/float64(w.burst)
	} else {
		to.lossy[from.n] = w.rng.Float64() < w.loss/(1-w.loss)/float64(w.burst)
	}
	return to.lossy[from.n]
}

type event struct {
	at    Time
	order uint64
	f     func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// frame returns a frame that tells its number, of some length.
func frame(number, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, uint64(number))
	for i := 8; i < size; i++ {
		b[i] = byte(number*31 + i)
	}
	return b
}

// checkFrames reports whether the node got frames first to last of from, each
// whole, once and in order.
func (n *node) checkFrames(from wire.PeerID, lane carrier.Lane, addressed bool, sizes []int) error {
	next := 0
	for _, a := range n.frames {
		if a.From != from || a.Lane != lane || a.Addressed != addressed {
			continue
		}
		if next >= len(sizes) || !bytes.Equal(a.Bytes, frame(next, sizes[next])) {
			return fmt.Errorf("node %d: frame %d is %x… of %d bytes", n.n, next, a.Bytes[:min(8, len(a.Bytes))], len(a.Bytes))
		}
		next++
	}
	if next != len(sizes) {
		return fmt.Errorf("node %d: %d of %d frames", n.n, next, len(sizes))
	}
	return nil
}

// hears reports whether another is a member to the node.
func (n *node) hears(other *node) bool {
	return slices.ContainsFunc(n.e.Members(nil), func(m Member) bool { return m.Peer == other.e.cfg.Self })
}
