package gossip

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// rounds runs cores in synchronous cycles, as Demers et al. (PODC 1987) do: all
// begin a cycle at one instant, and a contact takes no time. Any node reaches
// any other: each has a few peers up, which stand for another node at random
// in each cycle («anycast»).
type rounds struct {
	t      testing.TB
	rng    *rand.Rand
	cycle  Time // in number
	every  time.Duration
	peers  []wire.PeerID
	nodes  []*Core
	route  [][]int  // of each node and peer: whom it stands for in this cycle
	said   [][]Send // of each node, at the beginning of its cycle
	rumors map[wire.BatchID]*roundsRumor

	pushes int // batches sent
	named  int // rumors in answers to a pull
	seq    uint64
}

// roundsRumor is a batch on its way.
type roundsRumor struct {
	batch *wire.Batch
	held  int  // by how many nodes
	last  Time // the cycle in which it came to the last of them
}

func newRounds(t testing.TB, seed uint64, size int, m Mongering) *rounds {
	n := &rounds{
		t: t, rng: rand.New(rand.NewPCG(seed, 42)), every: m.Interval, rumors: map[wire.BatchID]*roundsRumor{},
	}
	cfg := DefaultConfig()
	cfg.HeartbeatInterval = 365 * 24 * time.Hour
	cfg.Topics = []TopicConfig{{Filter: "x", Mongering: &m, NoAntiEntropy: true}}
	for i := range m.Fanout + m.Hunt {
		n.peers = append(n.peers, wire.Author{0xff, byte(i)}.PeerID())
	}
	for i := range size {
		var self wire.Author
		binary.BigEndian.PutUint32(self[:], uint32(i))
		c, err := New(self, cfg, n.rng.Uint64(), 0, testEpoch)
		if err != nil {
			t.Fatal(err)
		}
		c.AddInterest("x")
		for _, p := range n.peers {
			c.PeerUp(p, PeerInfo{})
			c.Receive(p, &wire.Hello{Mine: 1, Yours: c.peers[p].mine})
			c.Receive(p, &wire.Interest{Add: []string{"x"}})
			c.Receive(p, &wire.Topics{Add: []wire.TopicEntry{{Name: "x"}}})
		}
		c.Tick(0, testEpoch)
		c.Take()
		n.nodes = append(n.nodes, c)
		n.route = append(n.route, make([]int, len(n.peers)))
	}
	n.said = make([][]Send, size)
	return n
}

// publish makes a batch of the node's.
func (n *rounds) publish(node int) wire.BatchID {
	n.seq++
	c := n.nodes[node]
	h := wire.Header{
		Topic: "x", Author: c.self, Epoch: wire.Epoch(n.seq), First: 1, Count: 1, BodyLen: 100,
		Time: c.wall + wire.Time(n.seq),
	}
	b := &wire.Batch{Header: h}
	binary.BigEndian.PutUint64(b.ID[:], n.seq*0x9e3779b97f4a7c15)
	n.rumors[b.ID] = &roundsRumor{batch: b, held: 1}
	c.Publish(b.ID, &b.Header)
	n.settle(node, c.Take())
	return b.ID
}

// settle stores what the node persists, and gives the cycle to what came in it.
func (n *rounds) settle(node int, out Output) []Send {
	c := n.nodes[node]
	for _, id := range out.Persist {
		r := n.rumors[id]
		r.held++
		r.last = n.cycle
	}
	if len(out.Persist) > 0 {
		c.Stored(out.Persist)
	}
	c.Tick(n.now(), testEpoch+wire.Time(n.now()))
	return slices.Clone(out.Send) // the node may be asked again before all is delivered
}

func (n *rounds) now() Time { return n.cycle * Time(n.every) }

// run runs a cycle.
func (n *rounds) run() {
	n.cycle++
	for i, c := range n.nodes {
		c.Tick(n.now(), testEpoch+wire.Time(n.now()))
		n.said[i] = append(n.said[i][:0], c.Take().Send...)
		n.draw(i)
	}
	for _, i := range n.rng.Perm(len(n.nodes)) { // which contact comes first at a node is chance
		for _, s := range n.said[i] {
			n.deliver(i, s)
		}
	}
}

// draw chooses whom the node's peers stand for.
func (n *rounds) draw(node int) {
	route := n.route[node]
	for i := range route {
		for again := true; again; {
			route[i] = n.rng.IntN(len(n.nodes))
			again = route[i] == node
			for _, earlier := range route[:i] {
				again = again || earlier == route[i]
			}
		}
	}
}

// deliver hands a message to whoever the peer stands for, and what that says in
// turn back to the sender, and so on.
func (n *rounds) deliver(from int, s Send) {
	slot := 0
	for n.peers[slot] != s.To {
		slot++
	}
	n.carry(from, n.route[from][slot], s, s.To)
}

func (n *rounds) carry(from, to int, s Send, peer wire.PeerID) {
	c := n.nodes[to]
	if s.Msg != nil {
		if m, ok := s.Msg.(*wire.Rumors); ok {
			n.named += len(m.Rumors)
		}
		c.Receive(peer, s.Msg)
	} else {
		n.pushes++
		c.Receive(peer, &wire.Push{Batch: n.rumors[s.Batch].batch})
	}
	for _, answer := range n.settle(to, c.Take()) {
		if answer.To == peer {
			n.carry(to, from, answer, peer)
		} else {
			n.deliver(to, answer) // it hunts
		}
	}
}

// outcome is what became of rumors, on average: the residue, batches sent a
// node, the cycle of the last arrival, and rumors named a node in answers to a pull.
type outcome struct{ s, m, last, named float64 }

// spread has rumors spread until none is infective, several at a time: one does
// not know of another.
func (n *rounds) spread(rumors int) outcome {
	n.pushes, n.named = 0, 0
	began := n.cycle
	var ids []wire.BatchID
	for range rumors {
		ids = append(ids, n.publish(n.rng.IntN(len(n.nodes))))
	}
	for n.infective() {
		n.run()
	}
	all, sent := float64(rumors), float64(rumors*len(n.nodes))
	o := outcome{m: float64(n.pushes) / sent, named: float64(n.named) / sent}
	for _, id := range ids {
		r := n.rumors[id]
		o.s += (1 - float64(r.held)/float64(len(n.nodes))) / all
		o.last += float64(max(r.last, began)-began) / all
		for _, c := range n.nodes {
			c.Trim([]wire.BatchID{id})
		}
		delete(n.rumors, id)
	}
	return o
}

func (n *rounds) infective() bool {
	return slices.ContainsFunc(n.nodes, func(c *Core) bool { return c.infective > 0 })
}

// mongerMany has so many rumors spread among so many nodes, and returns the
// average.
func mongerMany(t testing.TB, m Mongering, size, rumors int) (sum outcome) {
	m.Interval = 100 * time.Millisecond
	const atOnce = 20
	n := newRounds(t, 1, size, m)
	times := float64(rumors / atOnce)
	for range rumors / atOnce {
		o := n.spread(atOnce)
		sum.s, sum.m = sum.s+o.s/times, sum.m+o.m/times
		sum.last, sum.named = sum.last+o.last/times, sum.named+o.named/times
	}
	return sum
}
