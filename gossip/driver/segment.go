package driver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// Segments: what their carriers say of members becomes links of the driver's, used while
// no stream reaches the peer, and presences for the core.

// MemberUp implements [carrier.MemberHandler].
func (r *receiver) MemberUp(m carrier.Member) {
	presence := &wire.Presence{} // of a member that says nothing of itself
	if len(m.Text) > 0 {
		p, err := wire.ParsePresence(m.Text)
		if err != nil {
			r.d.counters.malformed.Add(1)
			r.d.logger.Debug("presence refused", "peer", m.Peer.String(), "err", err)
		} else {
			presence = p
		}
	}
	r.d.post(memberUp{r.carrier, m, presence})
}

// MemberDown implements [carrier.MemberHandler].
func (r *receiver) MemberDown(m carrier.Member) { r.d.post(memberDown{r.carrier, m}) }

// memberUp is a carrier's word of a member, or of what it says anew.
type memberUp struct {
	carrier  carrier.Carrier
	member   carrier.Member
	presence *wire.Presence
}

func (in memberUp) apply(d *Driver) {
	m := in.member
	d.core.MemberUp(m.Segment, m.Peer, in.presence)
	if l := d.memberLink(in.carrier, m.Peer); l != nil {
		if !slices.Contains(l.segments, m.Segment) {
			l.segments = append(l.segments, m.Segment)
		}
		return
	}
	d.addLink(&link{
		carrier: in.carrier, since: time.Now(), segments: []wire.PeerID{m.Segment},
		info: carrier.Link{Peer: m.Peer, Path: carrier.PathMulticast, Addrs: m.Addrs},
	})
	d.logger.Info("member up",
		"peer", m.Peer.String(), "carrier", in.carrier.Traits().Name, "segment", string(m.Segment))
}

// memberDown is a carrier's word of a member that is heard no more.
type memberDown struct {
	carrier carrier.Carrier
	member  carrier.Member
}

func (in memberDown) apply(d *Driver) {
	m := in.member
	d.logger.Info("member down",
		"peer", m.Peer.String(), "carrier", in.carrier.Traits().Name, "segment", string(m.Segment))
	d.core.MemberDown(m.Segment, m.Peer)
	l := d.memberLink(in.carrier, m.Peer)
	if l == nil {
		return
	}
	l.segments = slices.DeleteFunc(l.segments, func(s wire.PeerID) bool { return s == m.Segment })
	if len(l.segments) == 0 {
		d.dropLink(in.carrier, m.Peer)
	}
}

// memberLink returns the carrier's link to a member, or nil.
func (d *Driver) memberLink(c carrier.Carrier, peer wire.PeerID) *link {
	for _, l := range d.links[peer] {
		if l.carrier == c && l.segments != nil {
			return l
		}
	}
	return nil
}

// receive hands the core a message, as one of a segment's if it came over one.
func (d *Driver) receive(in *received, m wire.Message) {
	if !in.carrier.Traits().Many {
		d.core.Receive(in.from, m)
		return
	}
	d.core.ReceiveFrom(d.segmentOf(in), in.from, m)
}

// segmentOf returns the segment that a member's frame came over, none of a member that has
// gone. Where the carrier does not say, or the member has left that one alone, it is one of
// those that the member is heard on.
func (d *Driver) segmentOf(in *received) wire.PeerID {
	l := d.memberLink(in.carrier, in.from)
	switch {
	case l == nil:
		return ""
	case slices.Contains(l.segments, in.segment):
		return in.segment
	}
	return l.segments[0]
}

// segmentSent reports that all pushes to a segment have left.
type segmentSent struct{ name wire.PeerID }

func (in segmentSent) apply(d *Driver) { d.core.SegmentSent(in.name) }

// announce has the segments' carriers tell what the core says of this node.
func (d *Driver) announce(p *wire.Presence) {
	if p == nil {
		return
	}
	text := wire.AppendMessage(nil, p)
	for _, c := range d.cfg.Carriers {
		if s, ok := c.(carrier.Segmented); ok {
			s.Announce(text)
		}
	}
}

// Segment is a link that one frame reaches many over.
type Segment struct {
	Name      wire.PeerID
	Active    bool   // batches are sent to it
	Reason    string // why, or why not: see [gossip.SegmentState]
	Members   int    // peers that are heard on it
	Uncovered int    // of these, those that are interested and that no chain of streams leads to
	Since     time.Time
}

type segmentsQuery struct{ reply chan []gossip.SegmentState }

func (q segmentsQuery) apply(d *Driver) { q.reply <- d.core.Segments() }

// Segments returns the segments that are up, by name; none after Close.
func (d *Driver) Segments() []Segment {
	reply := make(chan []gossip.SegmentState, 1)
	states, _ := ask(context.Background(), d, segmentsQuery{reply}, reply) // fails after Close alone
	all := make([]Segment, len(states))
	for i, s := range states {
		all[i] = Segment{
			Name: s.Name, Active: s.Active, Reason: s.Reason, Members: s.Members, Uncovered: s.Uncovered,
			Since: d.born.Add(time.Duration(s.Since) - time.Second),
		}
	}
	slices.SortFunc(all, func(x, y Segment) int { return cmp.Compare(x.Name, y.Name) })
	return all
}
