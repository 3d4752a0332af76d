package carrier

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// JoinSegment returns a one-to-many carrier: one Send reaches all members of
// the segment, each by a datagram of its own that may be lost or overtaken.
// Its only link is the segment. It is also [Segmented]: members hear of each other
// and of what they announce at once, lose sight of one that was cut off after
// memberExpiry, and of one that closed at once.
func (n *Network) JoinSegment(segment, peer wire.PeerID, opts ...MemoryOption) Carrier {
	o := memoryOptions{mtu: memorySegmentMTU}
	for _, opt := range opts {
		opt(&o)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segments[segment]
	if s == nil {
		s = &memorySegment{name: segment, chances: map[datagramPath]*rand.Rand{}}
		n.segments[segment] = s
	}
	return &segmentCarrier{
		net: n, segment: s, self: peer, opts: o, done: make(chan struct{}),
		heard: map[wire.PeerID]*memoryMember{}, news: memberNews{turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)},
	}
}

// memorySegment is what the members of a segment share. The network's mutex guards it.
type memorySegment struct {
	name    wire.PeerID
	members []*segmentCarrier // by name
	chances map[datagramPath]*rand.Rand
}

type datagramPath struct {
	direction
	lane Lane
}

// segmentCarrier is one member's carrier.
type segmentCarrier struct {
	net     *Network
	segment *memorySegment
	self    wire.PeerID
	opts    memoryOptions
	handler Handler
	done    chan struct{} // closed by Close
	ended   sync.WaitGroup
	queues  [Lanes]*datagrams
	news    memberNews

	// Guarded by net.mu.
	started, closed bool
	text            []byte
	heard           map[wire.PeerID]*memoryMember
}

var _ Segmented = (*segmentCarrier)(nil)

func (c *segmentCarrier) Traits() Traits {
	return Traits{Name: "memory-segment", Many: true, MTU: c.opts.mtu}
}

func (c *segmentCarrier) Start(h Handler) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.started:
		return fmt.Errorf("carrier: started twice")
	}
	for i := range c.queues {
		c.queues[i] = &datagrams{wake: make(chan struct{}, 1)}
	}
	c.handler, c.started = h, true
	s := c.segment
	i := 0
	for i < len(s.members) && s.members[i].self < c.self {
		i++
	}
	s.members = append(s.members[:i], append([]*segmentCarrier{c}, s.members[i:]...)...)
	for _, m := range s.members {
		c.settle(m)
		m.settle(c)
	}
	c.ended.Go(c.serve)
	return nil
}

func (c *segmentCarrier) serve() {
	name := c.segment.name
	c.handler.LinkUp(Link{Peer: name, Path: PathMemory})
	var wg sync.WaitGroup
	wg.Go(func() { c.news.deliver(c.done, c.tellMembers) })
	for lane, q := range c.queues {
		wg.Go(func() {
			q.deliver(c.done, func(from wire.PeerID, b []byte) {
				c.tellMembers() // a member's MemberUp comes before its frames
				c.handler.Frame(from, Lane(lane), b)
			})
		})
	}
	wg.Wait()
	c.tellMembers()
	c.handler.LinkDown(name, ErrClosed)
}

func (c *segmentCarrier) Send(ctx context.Context, to wire.PeerID, lane Lane, frame ...[]byte) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if bytes := size(frame); bytes > c.opts.mtu {
		return fmt.Errorf("%w: %d > %d bytes", ErrTooLarge, bytes, c.opts.mtu)
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	switch {
	case c.closed || !c.started:
		return ErrClosed
	case to != c.segment.name && c.heard[to] == nil:
		return ErrNoLink
	}
	w, now := c.net.weather, time.Now()
	for _, m := range c.segment.members {
		dir := direction{c.self, m.self}
		if m == c || c.net.cuts[dir] || to != c.segment.name && to != m.self {
			continue
		}
		r := c.chanceTo(datagramPath{dir, lane})
		if w.lost(r) {
			continue
		}
		var due time.Time
		if w.max > 0 {
			due = now.Add(w.delay(r))
		}
		m.queues[lane].push(datagram{from: c.self, bytes: join(frame), due: due})
	}
	return nil
}

// chanceTo returns the random numbers of a path. net.mu is held.
func (c *segmentCarrier) chanceTo(p datagramPath) *rand.Rand {
	r := c.segment.chances[p]
	if r == nil {
		r = c.net.chance(p.from, p.to, p.lane)
		c.segment.chances[p] = r
	}
	return r
}

func (c *segmentCarrier) RoundTrip(wire.PeerID) time.Duration { return 0 }

// Disconnect does nothing: whoever is on a segment is heard.
func (c *segmentCarrier) Disconnect(wire.PeerID, string) {}

func (c *segmentCarrier) Close() error {
	c.net.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.done)
		members := c.segment.members[:0:0]
		for _, m := range c.segment.members {
			if m != c {
				members = append(members, m)
				m.settle(c)
			}
		}
		c.segment.members = members
		for _, p := range c.heardPeers() {
			c.forget(c.heard[p])
		}
	}
	c.net.mu.Unlock()
	c.ended.Wait()
	return nil
}

type datagram struct {
	from  wire.PeerID
	bytes []byte
	due   time.Time
	order uint64 // of sending, among those due at once
}

// datagrams are those on the way to one member and lane, by the time they are due.
type datagrams struct {
	wake chan struct{} // capacity 1: the first one has changed

	mu   sync.Mutex // guards the fields below
	heap datagramHeap
	sent uint64
}

func (q *datagrams) push(d datagram) {
	q.mu.Lock()
	if len(q.heap) < memorySegmentQueue {
		q.sent++
		d.order = q.sent
		heap.Push(&q.heap, d)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop returns the first datagram that is due, or how long to wait for one; a
// negative time means that there is none.
func (q *datagrams) pop() (d datagram, ok bool, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 {
		return datagram{}, false, -1
	}
	if after = time.Until(q.heap[0].due); !q.heap[0].due.IsZero() && after > 0 {
		return datagram{}, false, after
	}
	return heap.Pop(&q.heap).(datagram), true, 0
}

func (q *datagrams) deliver(done <-chan struct{}, handle func(wire.PeerID, []byte)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		default:
		}
		d, ok, after := q.pop()
		if ok {
			handle(d.from, d.bytes)
			continue
		}
		if after < 0 {
			after = time.Hour
		}
		timer.Reset(after)
		select {
		case <-q.wake:
		case <-timer.C:
		case <-done:
			return
		}
	}
}

type datagramHeap []datagram

func (h datagramHeap) Len() int { return len(h) }
func (h datagramHeap) Less(i, j int) bool {
	if c := h[i].due.Compare(h[j].due); c != 0 {
		return c < 0
	}
	return cmp.Less(h[i].order, h[j].order)
}
func (h datagramHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *datagramHeap) Push(x any)   { *h = append(*h, x.(datagram)) }
func (h *datagramHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = datagram{}
	*h = old[:len(old)-1]
	return d
}
