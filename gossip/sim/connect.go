package sim

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Partition is a wall between some nodes and the others.
type Partition struct {
	sim    *Sim
	inside []bool // by node
	oneWay bool
}

// Partition cuts the nodes inside off from the others; with oneWay frames from
// inside to outside vanish, those in the other direction do not. Connections
// across are found to be down after Params.DetectAfter; what was under way when
// the wall falls sooner arrives then.
func (s *Sim) Partition(inside []*Node, oneWay bool) *Partition {
	p := &Partition{sim: s, inside: make([]bool, len(s.nodes)), oneWay: oneWay}
	for _, n := range inside {
		p.inside[n.Index] = true
	}
	s.walls = append(s.walls, p)
	for _, n := range s.nodes {
		n.stall()
		for _, l := range n.links {
			if n.Index < l.peer.Index && (p.between(n, l.peer) || p.between(l.peer, n)) {
				s.suspect(n, l.peer)
			}
		}
	}
	return p
}

// stall takes what a wall stops from the uplink's queues. Were it left there until its turn, what
// is sent in the meantime, and stalls at once, would overtake it.
func (n *Node) stall() {
	for lane := range n.up {
		n.up[lane] = slices.DeleteFunc(n.up[lane], func(d *delivery) bool {
			if d.link.down || !n.sim.blocked(n, d.to) {
				return false
			}
			d.link.stalled = append(d.link.stalled, d)
			return true
		})
	}
}

// between reports whether the wall stops frames from a to b.
func (p *Partition) between(a, b *Node) bool {
	in := func(n *Node) bool { return n.Index < len(p.inside) && p.inside[n.Index] }
	return in(a) && !in(b) || !p.oneWay && in(b) && !in(a)
}

// Heal takes the wall down. It is idempotent.
func (p *Partition) Heal() {
	s := p.sim
	s.walls = slices.DeleteFunc(s.walls, func(q *Partition) bool { return q == p })
	for _, n := range s.nodes {
		for _, l := range n.links {
			if len(l.stalled) == 0 || s.blocked(n, l.peer) {
				continue
			}
			stalled := l.stalled
			l.stalled = nil
			for _, d := range stalled {
				l.waiting[d.lane] -= d.pushes
				s.transfer(d)
			}
			n.drained(l, gossip.News)
			n.drained(l, gossip.Repair)
		}
	}
}

// blocked reports whether a wall stops frames from a to b.
func (s *Sim) blocked(a, b *Node) bool {
	for _, p := range s.walls {
		if p.between(a, b) {
			return true
		}
	}
	return false
}

// reachable reports whether a connection between a and b can be made.
func (s *Sim) reachable(a, b *Node) bool {
	return a.core != nil && b.core != nil && !s.blocked(a, b) && !s.blocked(b, a)
}

// suspect has both ends of a connection find it down, unless it is well again.
func (s *Sim) suspect(a, b *Node) {
	l := a.linkTo(b)
	spread := int64(s.params.DetectAfter / 10)
	s.At(s.params.DetectAfter+time.Duration(s.rng.Int64N(2*spread+1)-spread), func() {
		if !l.down && !s.reachable(a, b) {
			s.unlink(a, b)
		}
	})
}

// link connects two nodes at once, if it can be done.
func (s *Sim) link(a, b *Node) bool {
	if a == b || a.linkTo(b) != nil || !s.reachable(a, b) {
		return false
	}
	for _, e := range [2][2]*Node{{a, b}, {b, a}} {
		e[0].addLink(e[1])
	}
	a.tick()
	b.tick()
	a.core.PeerUp(b.id, gossip.PeerInfo{})
	b.core.PeerUp(a.id, gossip.PeerInfo{})
	a.step()
	b.step()
	return true
}

// Cut ends the connection of two nodes, if there is one; both notice at once. If it is one
// of the overlay's it comes back.
func (s *Sim) Cut(a, b *Node) {
	if a.linkTo(b) != nil {
		s.unlink(a, b)
	}
}

func (s *Sim) unlink(a, b *Node) {
	for _, e := range [2][2]*Node{{a, b}, {b, a}} {
		x, y := e[0], e[1]
		i, ok := x.findLink(y)
		if !ok {
			continue
		}
		x.links[i].down = true
		x.links, x.tags = slices.Delete(x.links, i, i+1), slices.Delete(x.tags, i, i+1)
		if x.core != nil {
			x.tick()
			x.core.PeerDown(y.id)
			x.step()
		}
	}
	s.redial(a, b)
}

// keep has a connection of the overlay come back when it was lost.
func (n *Node) keep(peer *Node) {
	if !slices.Contains(n.kept, peer) {
		n.kept = append(n.kept, peer)
		peer.kept = append(peer.kept, n)
	}
}

// redial tries to bring a connection of the overlay back, again and again.
func (s *Sim) redial(a, b *Node) {
	if s.params.Redial < 0 || !slices.Contains(a.kept, b) || a.gone || b.gone {
		return
	}
	half := int64(s.params.Redial / 2)
	s.At(time.Duration(half+s.rng.Int64N(2*half+1)), func() {
		if a.linkTo(b) == nil && !s.link(a, b) {
			s.redial(a, b)
		}
	})
}

// recordBytes is what a signed peer record with some addresses takes.
const recordBytes = 300

// Record returns what stands for the node's signed record.
func (n *Node) Record() wire.Record {
	signed := make([]byte, recordBytes)
	copy(signed, n.id)
	return wire.Record{Peer: n.id, Signed: signed}
}

// dialTimeout is how long it takes to give up on a peer that does not answer.
const dialTimeout = 5 * time.Second

// dial connects to a peer as the core wishes, after three messages, as a handshake
// takes, or tells it that this cannot be done: the peer is down, or a damaged record named nobody.
func (n *Node) dial(id wire.PeerID) {
	s, core := n.sim, n.core
	s.tally.Dials++
	s.At(3*s.Net.Latency, func() {
		peer := s.byID[id]
		if n.core != core || peer != nil && (n.linkTo(peer) != nil || s.link(n, peer)) {
			return
		}
		s.At(dialTimeout, func() {
			if n.core == core {
				core.DialFailed(id)
				n.step()
			}
		})
	})
}

// disconnect drops a peer as the core asks. One that is one too many is not of the
// overlay any more: the cores have found others.
func (n *Node) disconnect(d gossip.Disconnect) {
	s := n.sim
	peer := s.byID[d.Peer]
	if peer == nil || n.linkTo(peer) == nil {
		return
	}
	if d.Surplus {
		n.unkeep(peer)
		peer.unkeep(n)
	} else {
		s.tally.Disconnects++
		for _, o := range s.watch {
			o.Disconnected(n, peer, d.Reason)
		}
	}
	s.At(0, func() { s.Cut(n, peer) })
}

func (n *Node) unkeep(peer *Node) {
	n.kept = slices.DeleteFunc(n.kept, func(p *Node) bool { return p == peer })
}
