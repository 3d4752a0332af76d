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

// link is a carrier's link to a peer. The loop owns it.
type link struct {
	carrier  carrier.Carrier
	info     carrier.Link
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
	l := &link{carrier: in.carrier, info: in.info, since: time.Now()}
	d.links[in.info.Peer] = append(d.links[in.info.Peer], l)
	if len(d.links[in.info.Peer]) == 1 {
		d.use(l)
	}
	d.logger.Info("link up", "peer", in.info.Peer.String(), "carrier", in.carrier.Traits().Name, "path", in.info.Path)
}

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
	d.core.PeerUp(l.info.Peer, gossip.PeerInfo{Limited: l.info.Limited, Segment: l.carrier.Traits().Many})
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
	ls := d.links[in.peer]
	i := slices.IndexFunc(ls, func(l *link) bool { return l.carrier == in.carrier })
	if i < 0 {
		return
	}
	gone := ls[i]
	ls = slices.Delete(ls, i, i+1)
	d.links[in.peer] = ls
	if i == 0 {
		gone.close()
		d.assembly.cutOff(in.peer)
		d.tellPartials()
		d.core.PeerDown(in.peer)
	}
	switch {
	case len(ls) == 0:
		delete(d.links, in.peer)
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
