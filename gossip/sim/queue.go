package sim

import "github.com/busnode/busnode/gossip"

// happening is what an event is. Those of the simulation's own are one pointer each, so that to
// make them takes no memory.
type happening interface{ happen(s *Sim, at gossip.Time) }

type (
	call   func()                // of whoever drives the simulation
	wake   struct{ n *Node }     // a node's deadline
	uplink struct{ n *Node }     // a node's uplink is free
	reach  struct{ d *delivery } // a frame's first byte is at its receiver
	arrive struct{ d *delivery } // a frame's last byte is
)

func (f call) happen(*Sim, gossip.Time)        { f() }
func (e wake) happen(_ *Sim, at gossip.Time)   { e.n.woken(at) }
func (e uplink) happen(_ *Sim, at gossip.Time) { e.n.uplinkFree(at) }
func (e reach) happen(s *Sim, _ gossip.Time)   { s.reach(e.d) }
func (e arrive) happen(s *Sim, _ gossip.Time)  { s.arrive(e.d) }

// event is something that happens at an instant. Those of one instant happen in
// the order of their making.
type event struct {
	at  gossip.Time
	seq uint64 // the queue's
	do  happening
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

// queue is a heap with four children a node: half as deep as a binary one, and
// a node's children share two or three cache lines. It is typed, unlike container/heap: a
// network of 100,000 nodes has tens of millions of events.
type queue struct {
	heap []event
	seq  uint64
}

const heapKids = 4

func (q *queue) push(at gossip.Time, do happening) {
	q.seq++
	e := event{at, q.seq, do}
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / heapKids
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// pop takes the earliest event out. The queue is not empty.
func (q *queue) pop() event {
	h := q.heap
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	q.heap = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		kid := heapKids*i + 1
		if kid >= len(h) {
			break
		}
		least := kid
		for k := kid + 1; k < min(kid+heapKids, len(h)); k++ {
			if h[k].before(&h[least]) {
				least = k
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first
}
