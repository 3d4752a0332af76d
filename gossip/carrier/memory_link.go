package carrier

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// MemoryOption changes a carrier that [Network.Join] or [Network.JoinSegment] returns.
type MemoryOption func(*memoryOptions)

type memoryOptions struct {
	mtu        int
	queueBytes int
	limited    bool
}

// MemoryMTU sets the largest frame in bytes.
func MemoryMTU(bytes int) MemoryOption { return func(o *memoryOptions) { o.mtu = bytes } }

// MemoryQueue sets how many bytes may be on the way to this peer on one lane of
// a one-to-one link before its sender waits.
func MemoryQueue(bytes int) MemoryOption { return func(o *memoryOptions) { o.queueBytes = bytes } }

// MemoryLimited marks the links of this peer as limited, as relayed ones are.
func MemoryLimited() MemoryOption { return func(o *memoryOptions) { o.limited = true } }

// Join returns a reliable one-to-one carrier for the peer. After its Close the
// peer may join again, as a process that restarts does. A peer that joins
// twice at once is refused by the second carrier's Start.
func (n *Network) Join(peer wire.PeerID, opts ...MemoryOption) Carrier {
	o := memoryOptions{mtu: wire.FrameMaxBytes, queueBytes: memoryQueueBytes}
	for _, opt := range opts {
		opt(&o)
	}
	return &memoryCarrier{net: n, self: peer, opts: o}
}

// memoryPair is two peers that may be linked. The network's mutex guards it.
type memoryPair struct {
	key     pairKey
	want    bool
	parted  bool           // disconnected by name: nobody but Connect links the two
	refused int            // timers that keep the two apart
	session *memorySession // nil: no link
}

// settle makes the pair's link follow what is wanted. n.mu is held.
func (n *Network) settle(p *memoryPair) {
	a, b := n.members[p.key.a], n.members[p.key.b]
	if p.session != nil {
		if reason := n.reasonApart(p, a, b); reason != nil {
			p.session.end(reason)
		}
		return
	}
	if n.reasonApart(p, a, b) != nil {
		return
	}
	p.session = n.newSession(p, a, b)
	a.ends.Add(1)
	b.ends.Add(1)
	go p.session.run()
}

// reasonApart says why the pair has no link, or nil if it has. n.mu is held.
func (n *Network) reasonApart(p *memoryPair, a, b *memoryCarrier) error {
	switch {
	case a == nil || b == nil || a == b:
		return ErrClosed
	case !p.want || p.refused > 0:
		return errDisconnected
	case n.cuts[direction{p.key.a, p.key.b}] || n.cuts[direction{p.key.b, p.key.a}]:
		return errCut
	}
	return nil
}

// memorySession is one life of a link, from LinkUp to LinkDown at both ends.
type memorySession struct {
	net   *Network
	pair  *memoryPair
	ends  [2]*memoryCarrier // as in pair.key
	pipes [2][Lanes]*pipe   // by the receiving end

	once   sync.Once
	done   chan struct{}
	reason error // set before done is closed
}

func (n *Network) newSession(p *memoryPair, a, b *memoryCarrier) *memorySession {
	s := &memorySession{net: n, pair: p, ends: [2]*memoryCarrier{a, b}, done: make(chan struct{})}
	for to := range s.ends {
		for lane := range Lanes {
			s.pipes[to][lane] = &pipe{
				frames: make(chan memoryFrame, memoryQueueFrames),
				limit:  int64(s.ends[to].opts.queueBytes),
				freed:  make(chan struct{}, 1),
				chance: n.chance(s.ends[1-to].self, s.ends[to].self, Lane(lane)),
			}
		}
	}
	return s
}

func (s *memorySession) end(reason error) {
	s.once.Do(func() {
		s.reason = reason
		close(s.done)
	})
}

// run serves both ends, and lets the pair link anew once both are down.
func (s *memorySession) run() {
	var wg sync.WaitGroup
	for i := range s.ends {
		wg.Go(func() { s.serve(i) })
	}
	wg.Wait()
	s.net.mu.Lock()
	s.pair.session = nil
	s.net.settle(s.pair)
	s.net.mu.Unlock()
	for _, c := range s.ends {
		c.ends.Done()
	}
}

// serve calls one end's handler.
func (s *memorySession) serve(end int) {
	c, peer := s.ends[end], s.ends[1-end]
	c.handler.LinkUp(Link{
		Peer: peer.self, Path: PathMemory, Limited: c.opts.limited || peer.opts.limited,
		Addrs: []string{"/memory/" + peer.self.String()},
	})
	var wg sync.WaitGroup
	for lane, p := range s.pipes[end] {
		wg.Go(func() { p.deliver(s.done, func(frame []byte) { c.handler.Frame(peer.self, Lane(lane), frame) }) })
	}
	<-s.done
	wg.Wait()
	c.handler.LinkDown(peer.self, s.reason)
}

// pipe is one lane of a session in one direction.
type pipe struct {
	frames chan memoryFrame
	limit  int64
	held   atomic.Int64  // bytes in frames
	freed  chan struct{} // capacity 1: held has shrunk

	mu     sync.Mutex // guards the fields below
	chance *rand.Rand
	busy   time.Time // when the frame before this one has left
	last   time.Time // when the frame before this one arrives
}

type memoryFrame struct {
	bytes []byte
	due   time.Time // zero: at once
}

// plan draws a frame's fate: lost, or when it arrives.
func (p *pipe) plan(w weather, bytes int) (due time.Time, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.lost(p.chance) {
		return time.Time{}, true
	}
	if w.max == 0 && w.rate == 0 {
		return time.Time{}, false
	}
	leaves := time.Now()
	if w.rate > 0 {
		if p.busy.After(leaves) {
			leaves = p.busy
		}
		leaves = leaves.Add(time.Duration(int64(bytes) * int64(time.Second) / int64(w.rate)))
		p.busy = leaves
	}
	due = leaves.Add(w.delay(p.chance))
	if due.Before(p.last) {
		due = p.last // a later frame does not overtake
	}
	p.last = due
	return due, false
}

// send queues a frame, or waits for room. A frame larger than the limit passes alone.
func (p *pipe) send(ctx context.Context, f memoryFrame, done <-chan struct{}) error {
	for p.held.Load() > 0 && p.held.Load()+int64(len(f.bytes)) > p.limit {
		select {
		case <-p.freed:
		case <-done:
			return ErrNoLink
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.held.Add(int64(len(f.bytes)))
	select {
	case p.frames <- f:
		return nil
	case <-done:
		return ErrNoLink
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pipe) deliver(done <-chan struct{}, handle func([]byte)) {
	for {
		select {
		case f := <-p.frames:
			if !f.due.IsZero() && !wait(time.Until(f.due), done) {
				return
			}
			select {
			case <-done: // a broken link delivers nothing more
				return
			default:
			}
			handle(f.bytes)
			p.held.Add(-int64(len(f.bytes)))
			select {
			case p.freed <- struct{}{}:
			default:
			}
		case <-done:
			return
		}
	}
}

// memoryCarrier is a peer's one-to-one carrier.
type memoryCarrier struct {
	net     *Network
	self    wire.PeerID
	opts    memoryOptions
	handler Handler // set by Start, before the network sees the carrier

	ends sync.WaitGroup // sessions of this carrier

	// Guarded by net.mu.
	started, closed bool
}

func (c *memoryCarrier) Traits() Traits {
	return Traits{Name: "memory", Reliable: true, MTU: c.opts.mtu}
}

func (c *memoryCarrier) Start(h Handler) error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.started:
		return fmt.Errorf("carrier: started twice")
	case n.members[c.self] != nil:
		return fmt.Errorf("carrier: peer %q has joined already", c.self)
	}
	c.handler, c.started = h, true
	n.members[c.self] = c
	for peer := range n.members {
		if peer != c.self {
			n.pair(pairOf(c.self, peer)) // in a mesh it is wanted from the start
		}
	}
	for _, k := range n.pairKeys() {
		n.settle(n.pairs[k])
	}
	return nil
}

func (c *memoryCarrier) Send(ctx context.Context, to wire.PeerID, lane Lane, frame ...[]byte) error {
	bytes := size(frame)
	if bytes > c.opts.mtu {
		return fmt.Errorf("%w: %d > %d bytes", ErrTooLarge, bytes, c.opts.mtu)
	}
	s, w, err := c.session(to)
	if err != nil {
		return err
	}
	end := 0
	if s.ends[1].self == to {
		end = 1
	}
	p := s.pipes[end][lane]
	due, lost := p.plan(w, bytes)
	if lost {
		s.end(errFrameLost)
		return nil
	}
	return p.send(ctx, memoryFrame{join(frame), due}, s.done)
}

func (c *memoryCarrier) session(to wire.PeerID) (*memorySession, weather, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed || !c.started {
		return nil, weather{}, ErrClosed
	}
	p := c.net.pairs[pairOf(c.self, to)]
	if p == nil || p.session == nil {
		return nil, weather{}, ErrNoLink
	}
	return p.session, c.net.weather, nil
}

func (c *memoryCarrier) RoundTrip(peer wire.PeerID) time.Duration {
	_, w, err := c.session(peer)
	if err != nil {
		return 0
	}
	return w.min + max(w.min, w.max)
}

// Disconnect keeps the two apart for memoryRefusal.
func (c *memoryCarrier) Disconnect(peer wire.PeerID, _ string) {
	c.net.change(func() {
		p := c.net.pairs[pairOf(c.self, peer)]
		if p == nil {
			return
		}
		p.refused++
		time.AfterFunc(memoryRefusal, func() { c.net.change(func() { p.refused-- }) })
	})
}

func (c *memoryCarrier) Close() error {
	c.net.change(func() {
		c.closed = true
		if c.net.members[c.self] == c {
			delete(c.net.members, c.self)
		}
	})
	c.ends.Wait()
	return nil
}
