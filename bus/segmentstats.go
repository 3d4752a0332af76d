package bus

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/driver"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/groupkey"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// Multicast returns what the node does by multicast. A node on carriers of its
// program's has the segments of those, without figures.
func (b *Bus) Multicast() MulticastStatus {
	status := MulticastStatus{Mode: b.opts.multicast.mode, Key: keyOf(b.opts)}
	var c multicast.Status
	switch s := b.net.segments; {
	case s != nil:
		c = s.carrier.Status()
		s.describe(&status, len(c.Segments) > 0)
	case status.Mode == MulticastOff:
		status.Inert = MulticastIsOff
	}
	status.Err = c.Err
	status.Segments = segmentsOf(b.driver.Segments(), &c)
	return status
}

// describe adds what the exchange of keys says, and why nothing is sent if nothing is.
func (s *segments) describe(status *MulticastStatus, up bool) {
	if s.exchange != nil {
		x := s.exchange.Status()
		status.Allowed, status.Sharing, status.Refusing = x.Allowed, peerIDsOf(x.Sharing), peerIDsOf(x.Refusing)
		if !x.Agreed {
			status.Inert = MulticastNoneShares
		}
	}
	switch {
	case s.key == MulticastKeyNone:
		status.Inert = MulticastNoKey
	case status.Inert == MulticastWorks && !up:
		status.Inert = MulticastNoInterface
	}
}

// segmentsOf returns the segments that are up, by what the driver says, and those that are
// silent for the sake of another, which the carrier alone knows.
func segmentsOf(up []driver.Segment, c *multicast.Status) []Segment {
	var all []Segment
	figures := make(map[wire.PeerID]SegmentFigures, len(c.Segments))
	for i := range c.Segments {
		x := &c.Segments[i]
		figures[x.Name] = figuresOf(&x.Counters)
		if x.Passive == "" {
			continue
		}
		sibling := interfaceOf(x.Passive)
		all = append(all, Segment{
			Interface: interfaceOf(x.Name), Sibling: sibling, Since: x.Since, Figures: figures[x.Name],
			Reason: sibling + " of this node is on the same wire and speaks",
		})
	}
	for _, x := range up {
		if slices.ContainsFunc(all, func(s Segment) bool { return s.Interface == interfaceOf(x.Name) }) {
			continue // it has just fallen silent
		}
		all = append(all, Segment{
			Interface: interfaceOf(x.Name), Active: x.Active, Reason: x.Reason, Since: x.Since,
			Members: x.Members, Uncovered: x.Uncovered, Figures: figures[x.Name],
		})
	}
	slices.SortFunc(all, func(a, b Segment) int { return cmp.Compare(a.Interface, b.Interface) })
	return all
}

// interfaceOf returns the interface of the link that is its segment.
func interfaceOf(name wire.PeerID) string { return strings.TrimPrefix(string(name), "segment:") }

func figuresOf(c *multicast.Counters) SegmentFigures {
	e := &c.Engine
	f := SegmentFigures{
		Rate: e.RateBits, Loss: e.WorstLoss, BytesSent: e.SentBytes,
		DatagramsSent:     e.Data + e.Parity + e.Repair + e.Nacks + e.Digests + e.Beacons,
		DatagramsReceived: e.Opened, Parity: e.Parity, Repairs: e.Repair,
		FramesSent: e.FramesSent, FramesReceived: e.FramesReceived,
		FramesLost: c.FramesLost + c.FramesDropped + e.FramesGivenUp + e.BlocksGivenUp,
	}
	for _, n := range e.Refused {
		f.Refused += n
	}
	for _, x := range c.Sockets {
		f.Refused += x.NotGroup + x.Elsewhere + x.OffLink + x.TooLong
	}
	return f
}

// count adds the counters of multicast, over all segments since the node was opened. A nil
// s, of a node without multicast, adds zeros.
func (s *segments) count(counters map[string]uint64) {
	var (
		keys  groupkey.Stats
		total multicast.Counters
	)
	if s != nil {
		if s.exchange != nil {
			keys = s.exchange.Status().Stats
		}
		total = s.carrier.Status().Total
	}
	var sockets socket.Stats
	for _, x := range total.Sockets {
		sockets.Add(x)
	}
	sum := figuresOf(&total)
	maps.Copy(counters, map[string]uint64{
		"multicast_datagrams_sent": sum.DatagramsSent, "multicast_bytes_sent": sum.BytesSent,
		"multicast_datagrams_received": sum.DatagramsReceived, "multicast_parity": sum.Parity,
		"multicast_repairs": sum.Repairs, "multicast_frames_lost": sum.FramesLost,
		"multicast_frames_refused": total.FramesRefused,
		"multicast_unsent":         total.SendFailed, "multicast_poisoned": total.Engine.BlocksPoisoned,
		"multicast_overrun":           sockets.Overrun,
		"multicast_refused_not_group": sockets.NotGroup, "multicast_refused_elsewhere": sockets.Elsewhere,
		"multicast_refused_off_link": sockets.OffLink, "multicast_refused_too_long": sockets.TooLong,
		"group_key_exchanged": keys.Exchanged, "group_key_refused": keys.Refused, "group_key_unwanted": keys.Unwanted,
		"group_key_other_network": keys.OtherNetwork, "group_key_failed": keys.Failed,
	})
	for r, n := range total.Engine.Refused {
		counters["multicast_refused_"+datagram.Refusal(r).String()] = n
	}
}

func peerIDsOf(ids []wire.PeerID) []PeerID {
	list := make([]PeerID, len(ids))
	for i, id := range ids {
		list[i] = peerIDOf(id)
	}
	return list
}
