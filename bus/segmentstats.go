package bus

import (
	"maps"
	"strings"

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
	var figures map[wire.PeerID]SegmentFigures
	switch s := b.net.segments; {
	case s != nil:
		figures = s.describe(&status)
	case status.Mode == MulticastOff:
		status.Inert = MulticastIsOff
	}
	for _, x := range b.driver.Segments() {
		status.Segments = append(status.Segments, Segment{
			Interface: strings.TrimPrefix(string(x.Name), segmentPrefix), Active: x.Active, Reason: x.Reason, Since: x.Since,
			Members: x.Members, Uncovered: x.Uncovered, Figures: figures[x.Name],
		})
	}
	return status
}

// segmentPrefix starts the name of the link that is an interface's segment.
const segmentPrefix = "segment:"

// describe adds what the carrier and the exchange of keys say, and returns the
// segments' figures.
func (s *segments) describe(status *MulticastStatus) map[wire.PeerID]SegmentFigures {
	if s.exchange != nil {
		x := s.exchange.Status()
		status.Allowed, status.Sharing, status.Refusing = x.Allowed, peerIDsOf(x.Sharing), peerIDsOf(x.Refusing)
		if !x.Agreed {
			status.Inert = MulticastNoneShares
		}
	}
	c := s.carrier.Status()
	switch {
	case s.key == MulticastKeyNone:
		status.Inert = MulticastNoKey
	case status.Inert == MulticastWorks && len(c.Segments) == 0:
		status.Inert = MulticastNoInterface
	}
	figures := make(map[wire.PeerID]SegmentFigures, len(c.Segments))
	for i := range c.Segments {
		figures[c.Segments[i].Name] = figuresOf(&c.Segments[i])
	}
	return figures
}

func figuresOf(s *multicast.SegmentStatus) SegmentFigures {
	e := &s.Engine
	f := SegmentFigures{
		Rate: e.RateBits, Loss: e.WorstLoss, BytesSent: e.SentBytes,
		DatagramsSent:     e.Data + e.Parity + e.Repair + e.Nacks + e.Digests + e.Beacons,
		DatagramsReceived: e.Opened, Parity: e.Parity, Repairs: e.Repair,
		FramesSent: e.FramesSent, FramesReceived: e.FramesReceived,
		FramesLost: s.FramesLost + s.FramesDropped + e.FramesGivenUp + e.BlocksGivenUp,
	}
	for _, n := range e.Refused {
		f.Refused += n
	}
	for _, x := range s.Sockets {
		f.Refused += x.NotGroup + x.Elsewhere + x.OffLink + x.TooLong
	}
	return f
}

// count adds the segments' counters: those of segments that are gone do not count.
// A nil s, of a node without multicast, adds zeros.
func (s *segments) count(counters map[string]uint64) {
	var (
		keys     groupkey.Stats
		sum      SegmentFigures
		refused  [datagram.Refusals]uint64
		sockets  socket.Stats
		unsent   uint64
		poisoned uint64
	)
	if s != nil {
		if s.exchange != nil {
			keys = s.exchange.Status().Stats
		}
		c := s.carrier.Status()
		for i := range c.Segments {
			x := &c.Segments[i]
			f := figuresOf(x)
			sum.DatagramsSent += f.DatagramsSent
			sum.BytesSent += f.BytesSent
			sum.DatagramsReceived += f.DatagramsReceived
			sum.Parity += f.Parity
			sum.Repairs += f.Repairs
			sum.FramesLost += f.FramesLost
			unsent += x.SendFailed
			poisoned += x.Engine.BlocksPoisoned
			for r, n := range x.Engine.Refused {
				refused[r] += n
			}
			for _, y := range x.Sockets {
				sockets.Overrun += y.Overrun
				sockets.NotGroup += y.NotGroup
				sockets.Elsewhere += y.Elsewhere
				sockets.OffLink += y.OffLink
				sockets.TooLong += y.TooLong
			}
		}
	}
	maps.Copy(counters, map[string]uint64{
		"multicast_datagrams_sent": sum.DatagramsSent, "multicast_bytes_sent": sum.BytesSent,
		"multicast_datagrams_received": sum.DatagramsReceived, "multicast_parity": sum.Parity,
		"multicast_repairs": sum.Repairs, "multicast_frames_lost": sum.FramesLost,
		"multicast_unsent": unsent, "multicast_poisoned": poisoned, "multicast_overrun": sockets.Overrun,
		"multicast_refused_not_group": sockets.NotGroup, "multicast_refused_elsewhere": sockets.Elsewhere,
		"multicast_refused_off_link": sockets.OffLink, "multicast_refused_too_long": sockets.TooLong,
		"group_key_exchanged": keys.Exchanged, "group_key_refused": keys.Refused, "group_key_unwanted": keys.Unwanted,
		"group_key_other_network": keys.OtherNetwork, "group_key_failed": keys.Failed,
	})
	for r, n := range refused {
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
