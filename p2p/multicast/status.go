package multicast

import (
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// Status says what a carrier does.
type Status struct {
	// Err is why the interfaces could not be listed when that was last tried; nil: they
	// could. Segments that are open stay.
	Err      error
	Group    socket.Group
	Segments []SegmentStatus // those with a quicker kind of interface first
	// Total counts since the carrier was started, on segments that are gone as well.
	Total Counters
}

// SegmentStatus is the state of a segment. Its counters count since it came up.
type SegmentStatus struct {
	Name    wire.PeerID
	Passive wire.PeerID // another segment on the same wire, which is used in its stead; empty: none
	Since   time.Time   // when it was opened, or became passive or active again
	Members []carrier.Member
	Counters
}

// Counters count what went over segments.
type Counters struct {
	Engine        segment.Stats // in a total, without what is as of now
	Sockets       [socket.Families]socket.Stats
	SendFailed    uint64 // datagrams that the system did not take
	FramesLost    uint64 // taken by Send for a member or a link that was gone then
	FramesRefused uint64 // of peers that were disconnected
	FramesDropped uint64 // that the handler was too slow for
}

func (c *Counters) add(o *Counters) {
	c.Engine.Add(&o.Engine)
	for f := range c.Sockets {
		c.Sockets[f].Add(o.Sockets[f])
	}
	c.SendFailed += o.SendFailed
	c.FramesLost += o.FramesLost
	c.FramesRefused += o.FramesRefused
	c.FramesDropped += o.FramesDropped
}

// Status returns the carrier's state. It does not wait for a segment that cannot send.
func (c *Carrier) Status() Status {
	c.mu.RLock()
	defer c.mu.RUnlock()
	st := Status{Err: c.scanErr, Group: c.group, Total: c.gone}
	for _, s := range c.stations {
		x := s.status()
		st.Total.add(&x.Counters)
		st.Segments = append(st.Segments, x)
	}
	if c.leaving != nil {
		x := c.leaving.status()
		st.Total.add(&x.Counters)
	}
	return st
}

// shown is what the loop shows of what is its own.
type shown struct {
	engine  segment.Stats
	passive wire.PeerID
	since   time.Time
}

// show is called by the loop.
func (s *station) show() {
	var passive wire.PeerID
	if b := s.sibling.station; b != nil {
		passive = b.name
	}
	engine := s.engine.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	if passive != s.shown.passive {
		s.shown.since = time.Now()
	}
	s.shown.engine, s.shown.passive = engine, passive
}

// status returns the state as the loop showed it last. It may be called by anybody.
func (s *station) status() SegmentStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SegmentStatus{
		Name: s.name, Passive: s.shown.passive, Since: s.shown.since, Members: s.heard(),
		Counters: Counters{
			Engine: s.shown.engine, Sockets: s.closed, SendFailed: s.counts.sendFailed.Load(),
			FramesLost: s.counts.lost.Load(), FramesRefused: s.counts.refused.Load(), FramesDropped: s.deliver.lost(),
		},
	}
	for f := range s.sockets {
		if e := s.sockets[f].Load(); e != nil {
			st.Sockets[f].Add(e.Stats())
		}
	}
	return st
}
