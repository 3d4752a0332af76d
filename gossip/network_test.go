package gossip

import (
	"crypto/ed25519"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// network runs cores on virtual time in one goroutine. Every message passes
// through the codec. A link is ordered and reliable per lane while it is up;
// pushes may be dropped at the sender, as a full outbox does.
type network struct {
	t      *testing.T
	rng    *rand.Rand
	now    Time
	events eventHeap
	seq    uint64
	nodes  []*node
	byID   map[wire.PeerID][]*node // several only if a key is used twice

	latency    time.Duration
	rate       int     // bytes a second and direction of a link; 0: no limit
	dropPush   float64 // share of pushes that meet a full outbox
	dropRepair float64 // share of batches asked for that do
	storing    time.Duration
	trace      uint64         // hash of all that was sent
	sent       map[string]int // messages, by type; pushes are not in it
	batches    int            // batches sent

	streamBytes int // sent over links

	segment  *testSegment                     // that nodes may join; nil: there is none
	silent   bool                             // links carry nothing, and nobody knows
	wall     map[*node]bool                   // the nodes on one side of a cut; nil: there is none
	exchange bool                             // nodes have records, and are dialled and disconnected
	tap      func(x, y *node, m wire.Message) // hears of each message; nil: nobody asks
}

type event struct {
	at  Time
	seq uint64
	do  func()
}

// eventHeap is typed, unlike container/heap: networks of 100 nodes have
// millions of events.
type eventHeap []event

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

func (h *eventHeap) push(e event) {
	*h = append(*h, e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = e
}

func (h *eventHeap) pop() event {
	s := *h
	first, last := s[0], s[len(s)-1]
	s[len(s)-1] = event{}
	s = s[:len(s)-1]
	*h = s
	i := 0
	for len(s) > 0 {
		kid := 2*i + 1
		if kid >= len(s) {
			break
		}
		if kid+1 < len(s) && s[kid+1].before(&s[kid]) {
			kid++
		}
		if !s[kid].before(&last) {
			break
		}
		s[i] = s[kid]
		i = kid
	}
	if len(s) > 0 {
		s[i] = last
	}
	return first
}

const testEpoch = 1_800_000_000_000_000_000 // wall clock at Time 0

func newNetwork(t *testing.T, seed uint64) *network {
	return &network{
		t: t, rng: rand.New(rand.NewPCG(seed, 99)), latency: 10 * time.Millisecond,
		storing: time.Millisecond, byID: map[wire.PeerID][]*node{},
		sent: map[string]int{},
	}
}

func testConfig() Config { return DefaultConfig() }

func (n *network) add(name string, cfg Config) *node {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	return n.addSigner(name, cfg, wire.NewSigner(ed25519.NewKeyFromSeed(seed)))
}

func (n *network) addSigner(name string, cfg Config, s wire.Signer) *node {
	x := &node{
		net: n, name: name, cfg: cfg, signer: s, id: s.Author().PeerID(),
		links: map[*node]int{}, pipes: map[*node]*pipe{},
		log: map[wire.BatchID]*logged{}, topics: map[string][]record{}, trimmed: map[wire.BatchID]*wire.Header{},
		sentBytes: map[string]int{}, banned: map[*node]bool{},
	}
	n.nodes = append(n.nodes, x)
	n.byID[x.id] = append(n.byID[x.id], x)
	x.start()
	return x
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (n *network) at(d time.Duration, do func()) {
	n.seq++
	n.events.push(event{n.now.Add(d), n.seq, do})
}

// run lets virtual time pass.
func (n *network) run(d time.Duration) {
	end := n.now.Add(d)
	for len(n.events) > 0 && n.events[0].at <= end {
		e := n.events.pop()
		n.now = e.at
		e.do()
	}
	n.now = end
}

func (n *network) connect(x, y *node) {
	if x.links[y] != 0 || x.dead || y.dead || x == y || n.wall[x] != n.wall[y] {
		return
	}
	x.gens++
	y.gens++
	x.links[y], y.links[x] = x.gens, y.gens
	x.pipes[y], y.pipes[x] = newPipe(x, y), newPipe(y, x)
	x.core.PeerUp(y.id, PeerInfo{})
	y.core.PeerUp(x.id, PeerInfo{})
	x.step()
	y.step()
}

func (n *network) cut(x, y *node) {
	if x.links[y] == 0 {
		return
	}
	x.links[y], y.links[x] = 0, 0
	x.core.PeerDown(y.id)
	y.core.PeerDown(x.id)
	n.segment.fallBack(x, y)
	n.segment.fallBack(y, x)
	x.step()
	y.step()
}

func (n *network) connectAll(nodes ...*node) {
	for i, x := range nodes {
		for _, y := range nodes[:i] {
			n.connect(x, y)
		}
	}
}

// recordOf returns what stands for the node's signed peer record.
func recordOf(id wire.PeerID) wire.Record {
	return wire.Record{Peer: id, Signed: []byte("signed by " + id)}
}

// dial connects the two as a carrier does that was asked to: x learns of what
// became of it later.
func (n *network) dial(x *node, r wire.Record) {
	core := x.core
	n.at(3*n.latency, func() {
		for _, y := range n.byID[r.Peer] {
			if !y.dead && !y.banned[x] && !x.dead && x.core == core && n.wall[x] == n.wall[y] {
				x.dialled++
				n.connect(x, y)
				return
			}
		}
		n.at(time.Second, func() {
			if x.core == core && !x.dead {
				x.core.DialFailed(r.Peer)
				x.step()
			}
		})
	})
}

// disconnect drops the peer as a carrier does: one that broke the rules stays away.
func (n *network) disconnect(x *node, d Disconnect) {
	for _, y := range n.byID[d.Peer] {
		if !d.Surplus {
			x.banned[y] = true
		}
		n.cut(x, y)
	}
}

func (n *network) note(from, to string, frame []byte) {
	h := fnv.New64a()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.trace)
	binary.BigEndian.PutUint64(b[8:], uint64(n.now))
	h.Write(b[:])
	h.Write([]byte(from + to))
	h.Write(frame)
	n.trace = h.Sum64()
}

func (n *network) expect(topic string, events int, nodes ...*node) {
	n.t.Helper()
	for _, x := range nodes {
		if got := x.events(topic); got != events {
			n.t.Errorf("%s holds %d events, want %d; %+v", x.name, got, events, x.core.Stats())
		}
		x.checkOrder(topic)
	}
}

// Head returns up to where this node holds the author's events of the topic.
func (c *Core) Head(topic string, key wire.Author) wire.Mark {
	if t := c.topics[topic]; t != nil && t.authors[key] != nil {
		return t.authors[key].held
	}
	return wire.Mark{}
}
