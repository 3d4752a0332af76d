package driver

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// link is a carrier's link to a peer, to a segment or, over segments, to a member of
// them. The loop owns it.
type link struct {
	carrier  carrier.Carrier
	info     carrier.Link
	segments []wire.PeerID // of a link to a member: where it is heard; else none
	since    time.Time
	outboxes [carrier.Lanes]*outbox // of the link in use
	dropped  bool                   // we asked the carrier to disconnect
}

// close ends the link's outboxes.
func (l *link) close() {
	for _, o := range l.outboxes {
		if o != nil {
			o.cancel(errLinkGone)
		}
	}
}

// linkUp is a carrier's word of a new link.
type linkUp struct {
	carrier carrier.Carrier
	info    carrier.Link
}

func (in linkUp) apply(d *Driver) {
	d.addLink(&link{carrier: in.carrier, info: in.info, since: time.Now()})
	d.logger.Info("link up", "peer", in.info.Peer.String(), "carrier", in.carrier.Traits().Name, "path", in.info.Path)
}

// addLink adds a link, and uses it if the peer has none or is only heard on segments.
func (d *Driver) addLink(l *link) {
	peer := l.info.Peer
	ls := d.links[peer]
	if len(ls) > 0 && (ls[0].segments == nil || l.segments != nil) {
		d.links[peer] = append(ls, l)
		return
	}
	if len(ls) > 0 {
		d.leave(ls[0])
	}
	d.links[peer] = slices.Insert(ls, 0, l)
	d.use(l)
}

// leave ends the use of a link.
func (d *Driver) leave(l *link) {
	l.close()
	l.outboxes = [carrier.Lanes]*outbox{}
	if l.isSegment() {
		d.core.SegmentDown(l.info.Peer)
		return
	}
	d.assembly.cutOff(l.source())
	d.tellPartials()
	d.core.PeerDown(l.info.Peer)
}

// isSegment reports whether the link is one that a frame reaches many over.
func (l *link) isSegment() bool { return l.segments == nil && l.carrier.Traits().Many }

// source returns under which name parts of batches that come over the link are kept: not
// under that of another link of the same peer, for each has an order of its own.
func (l *link) source() wire.PeerID { return sourceOf(l.carrier, l.info.Peer) }

func sourceOf(c carrier.Carrier, peer wire.PeerID) wire.PeerID {
	if c.Traits().Many {
		return segmentSource + peer
	}
	return peer
}

const segmentSource = "~" // begins no peer's ID

// use makes l the link over which frames leave.
func (d *Driver) use(l *link) {
	for lane := range l.outboxes {
		o := newOutbox(d, l, carrier.Lane(lane))
		k := boxKey{l.carrier, l.info.Peer, carrier.Lane(lane)}
		o.before = d.boxes[k]
		d.boxes[k] = o
		l.outboxes[lane] = o
		d.spawn(func() {
			o.run()
			d.reports.add(boxEnded{k, o})
		})
	}
	if l.isSegment() {
		d.core.SegmentUp(l.info.Peer)
		return
	}
	info := gossip.PeerInfo{Limited: l.info.Limited}
	if len(l.segments) > 0 {
		info.Segment = l.segments[0]
	}
	d.core.PeerUp(l.info.Peer, info)
}

// boxKey names the place of an outbox.
type boxKey struct {
	carrier carrier.Carrier
	peer    wire.PeerID
	lane    carrier.Lane
}

// boxEnded reports that an outbox sends no more.
type boxEnded struct {
	key boxKey
	box *outbox
}

func (in boxEnded) apply(d *Driver) {
	if d.boxes[in.key] == in.box {
		delete(d.boxes, in.key)
	}
}

// linkDown is a carrier's word of a link's end.
type linkDown struct {
	carrier carrier.Carrier
	peer    wire.PeerID
	reason  error
}

func (in linkDown) apply(d *Driver) {
	d.logger.Info("link down", "peer", in.peer.String(), "carrier", in.carrier.Traits().Name, "err", in.reason)
	d.dropLink(in.carrier, in.peer)
}

// dropLink ends the carrier's link to the peer. If it was the one in use, another is.
func (d *Driver) dropLink(c carrier.Carrier, peer wire.PeerID) {
	ls := d.links[peer]
	i := slices.IndexFunc(ls, func(l *link) bool { return l.carrier == c })
	if i < 0 {
		return
	}
	gone := ls[i]
	ls = slices.Delete(ls, i, i+1)
	d.links[peer] = ls
	if i == 0 {
		d.leave(gone)
	}
	switch {
	case len(ls) == 0:
		delete(d.links, peer)
	case i == 0:
		d.use(ls[0]) // another carrier reaches the peer too
	}
}

// disconnect drops a peer that broke the rules, on all its links.
func (d *Driver) disconnect(peer wire.PeerID, reason string) {
	for _, l := range d.links[peer] {
		if l.dropped {
			continue
		}
		l.dropped = true
		d.counters.disconnects.Add(1)
		d.logger.Warn("peer is dropped", "peer", peer.String(), "reason", reason)
		d.spawn(func() { l.carrier.Disconnect(peer, reason) }) // it may block
	}
}

// Peer is a peer that is linked now.
type Peer struct {
	ID     wire.PeerID
	Link   carrier.Link
	RTT    time.Duration // newest measurement, or 0
	Topics []string      // that it has to do with, of those known here
	Since  time.Time     // when the link came up
}

type peersQuery struct{ reply chan []peerAnswer }

type peerAnswer struct {
	peer    Peer
	carrier carrier.Carrier
}

func (q peersQuery) apply(d *Driver) {
	var all []peerAnswer
	for id, ls := range d.links {
		l := ls[0]
		if l.isSegment() {
			continue
		}
		all = append(all, peerAnswer{
			Peer{ID: id, Link: l.info, Topics: d.core.PeerTopics(id), Since: l.since}, l.carrier,
		})
	}
	q.reply <- all
}

// Peers returns the peers that are linked now, by ID; none after Close.
func (d *Driver) Peers() []Peer {
	reply := make(chan []peerAnswer, 1)
	all, _ := ask(context.Background(), d, peersQuery{reply}, reply) // fails after Close alone
	peers := make([]Peer, len(all))
	for i, a := range all {
		peers[i] = a.peer
		peers[i].RTT = a.carrier.RoundTrip(a.peer.ID)
		slices.SortFunc(peers[i].Topics, strings.Compare)
	}
	slices.SortFunc(peers, func(x, y Peer) int { return cmp.Compare(x.ID, y.ID) })
	return peers
}
