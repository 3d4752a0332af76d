package sim

import "github.com/busnode/busnode/gossip"

// eventKind says what an event does.
type eventKind uint8

const (
	evCall   eventKind = iota // call do
	evWake                    // a node's deadline
	evUplink                  // a node's uplink is free
	evReach                   // a frame's first byte is at its receiver
	evArrive                  // a frame's last byte is
)

// event is something that happens at an instant. Those of one instant happen in
// the order of their making.
type event struct {
	at   gossip.Time
	seq  uint64
	node *Node
	d    *delivery
	do   func()
	kind eventKind
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

// queue is a heap with four children a node: half as deep as a binary one, and
// a node's children share a cache line or two. It is typed, unlike container/heap: a
// network of 100,000 nodes has tens of millions of events.
type queue struct {
	heap []event
	seq  uint64
}

const heapKids = 4

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
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
