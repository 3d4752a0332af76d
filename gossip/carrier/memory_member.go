package carrier

import (
	"fmt"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// memberExpiry is the silence after which a member of an in-memory segment is
// given up: that of three and a half beacons, one a second.
const memberExpiry = 3500 * time.Millisecond

// memoryMember is a member that another one hears. The network's mutex guards it.
type memoryMember struct {
	Member
	carrier *segmentCarrier
	silence *time.Timer // gives it up; nil while it can be heard
}

// settle makes what the members hear of each other follow the cuts. The
// network's mutex is held.
func (s *memorySegment) settle() {
	for _, c := range s.members {
		for _, m := range s.members {
			c.settle(m)
		}
	}
}

// settle makes what c hears of m follow what both are and what is cut between
// them. net.mu is held.
func (c *segmentCarrier) settle(m *segmentCarrier) {
	h := c.heard[m.self]
	switch {
	case m == c || c.closed || h != nil && h.carrier != m && m.closed:
	case c.net.cuts[direction{m.self, c.self}]:
		if h != nil && h.silence == nil {
			c.giveUpLater(h)
		}
	case m.closed:
		if h != nil {
			c.forget(h)
		}
	default:
		c.hear(m)
	}
}

// hear takes in a member, or what it announces anew. net.mu is held.
func (c *segmentCarrier) hear(m *segmentCarrier) {
	h := c.heard[m.self]
	if h == nil {
		h = &memoryMember{}
		c.heard[m.self] = h
	}
	if h.silence != nil {
		h.silence.Stop()
		h.silence = nil
	}
	if h.carrier == m && slices.Equal(h.Text, m.text) {
		return
	}
	h.carrier = m
	h.Member = Member{
		Peer: m.self, Segment: c.segment.name, Text: m.text, Addrs: []string{"/memory/" + m.self.String()},
	}
	c.news.add(memberChange{h.Member, true})
}

// giveUpLater forgets a member unless it is heard again in time. net.mu is held.
func (c *segmentCarrier) giveUpLater(h *memoryMember) {
	var t *time.Timer
	t = time.AfterFunc(memberExpiry, func() {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		if h.silence == t && c.heard[h.Peer] == h {
			c.forget(h)
		}
	})
	h.silence = t
}

// forget drops a member. net.mu is held.
func (c *segmentCarrier) forget(h *memoryMember) {
	if h.silence != nil {
		h.silence.Stop()
	}
	delete(c.heard, h.Peer)
	c.news.add(memberChange{h.Member, false})
}

// heardPeers returns the members in order. net.mu is held.
func (c *segmentCarrier) heardPeers() []wire.PeerID {
	peers := make([]wire.PeerID, 0, len(c.heard))
	for p := range c.heard {
		peers = append(peers, p)
	}
	slices.Sort(peers)
	return peers
}

func (c *segmentCarrier) Announce(text []byte) {
	if len(text) > AnnounceMaxBytes {
		panic(fmt.Sprintf("carrier: announcement of %d bytes, at most %d", len(text), AnnounceMaxBytes))
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.text = slices.Clone(text)
	for _, m := range c.segment.members {
		if c.started && !c.closed {
			m.settle(c)
		}
	}
}

func (c *segmentCarrier) Members() []Member {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	var all []Member
	for _, p := range c.heardPeers() {
		all = append(all, c.heard[p].Member)
	}
	return all
}

// memberChange is a call of a [MemberHandler] that is due.
type memberChange struct {
	member Member
	up     bool
}

// memberNews are the calls that are due, in order. The network's mutex guards
// the queue; who holds the turn makes the calls.
type memberNews struct {
	queue []memberChange
	wake  chan struct{} // capacity 1: the queue has grown
	turn  chan struct{} // capacity 1: holds a token while somebody makes calls
}

func (q *memberNews) add(e memberChange) {
	q.queue = append(q.queue, e)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *memberNews) deliver(done <-chan struct{}, tell func()) {
	for {
		select {
		case <-q.wake:
			tell()
		case <-done:
			return
		}
	}
}

// tellMembers makes the calls that are due. When it returns, those that were due
// when it was called have been made.
func (c *segmentCarrier) tellMembers() {
	c.news.turn <- struct{}{}
	defer func() { <-c.news.turn }()
	for {
		c.net.mu.Lock()
		if len(c.news.queue) == 0 {
			c.net.mu.Unlock()
			return
		}
		e := c.news.queue[0]
		c.news.queue = c.news.queue[1:]
		c.net.mu.Unlock()
		h, ok := c.handler.(MemberHandler)
		switch {
		case !ok:
		case e.up:
			h.MemberUp(e.member)
		default:
			h.MemberDown(e.member)
		}
	}
}
