package multicast

import (
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// Status says what a carrier does.
type Status struct {
	// Inert says why nothing is sent or heard; empty: the carrier works.
	Inert    string
	Open     bool // anybody who knows the network's name can read what is sent
	Group    socket.Group
	Segments []SegmentStatus
	// Unused are the interfaces without a segment, while there is a key. Skipped says why, unless others
	// were asked for by name.
	Unused []socket.Interface
}

// SegmentStatus is the state of a segment. Counters count since it came up.
type SegmentStatus struct {
	Name      wire.PeerID
	Interface socket.Interface
	Passive   wire.PeerID // another segment on the same wire, which is used in its stead; empty: none
	IPv4      bool        // datagrams leave under IPv4, whether or not under IPv6 too
	Members   []carrier.Member
	Engine    segment.Stats
	Sockets   [socket.Families]socket.Stats
	// ReceiveBuffer is what the system granted, in bytes, of socket.ReceiveBufferBytes.
	ReceiveBuffer int
	SendFailed    uint64 // datagrams that the system did not take
	FramesLost    uint64 // taken by Send for a member or a link that was gone then
	FramesRefused uint64 // of peers that were disconnected
	FramesDropped uint64 // that the handler was too slow for
}

// Status returns the carrier's state.
func (c *Carrier) Status() Status {
	c.mu.RLock()
	st := Status{Open: c.cfg.Open, Group: c.group, Unused: c.unused}
	switch {
	case c.closed:
		st.Inert = "closed"
	case !c.started:
		st.Inert = "not started"
	case len(c.said.roots) == 0:
		st.Inert = "no group key: the network has no key, and none was handed over"
	case c.scanErr != nil && len(c.stations) == 0:
		st.Inert = "interfaces cannot be listed: " + c.scanErr.Error()
	case len(c.stations) == 0:
		st.Inert = "no interface suits"
	}
	stations := append([]*station(nil), c.stations...)
	c.mu.RUnlock()
	for _, s := range stations {
		reply := make(chan SegmentStatus, 1)
		select {
		case s.ask <- reply:
			st.Segments = append(st.Segments, <-reply)
		case <-s.left: // closed meanwhile
		}
	}
	return st
}

// status is called by the loop.
func (s *station) status() SegmentStatus {
	s.mu.Lock()
	ifi := s.ifi
	s.mu.Unlock()
	st := SegmentStatus{
		Name: s.name, Interface: ifi, Members: s.heard(), Engine: s.engine.Stats(), ReceiveBuffer: s.buffer(),
		IPv4:       s.sockets[socket.IPv4].Load() != nil && (s.sockets[socket.IPv6].Load() == nil || s.needIPv4()),
		SendFailed: s.counts.sendFailed, FramesLost: s.counts.lost, FramesRefused: s.counts.refused,
		FramesDropped: s.deliver.lost(),
	}
	if b := s.sibling.station; b != nil {
		st.Passive = b.name
	}
	for f := range s.sockets {
		if e := s.sockets[f].Load(); e != nil {
			st.Sockets[f] = e.Stats()
		}
	}
	return st
}
