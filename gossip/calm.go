package gossip

import "time"

// While an author's tree works, nobody waits for word of its batches: whoever would
// have to ask for one gets it pushed. So word of a calm author waits for longer
// than that of others, to go in one frame with a push to the same peer, or with
// the word of many. Only the author itself, if it is a neighbour, is told soon: it may wait to
// know that others hold its events.

const (
	calmAfter  = 4               // batches in a row that came or went over the tree as it is, until an author is calm
	calmFactor = 10              // times HaveDelay that word of a calm author waits
	calmWait   = 2 * time.Second // from a new neighbour's coming until it is in the author's tree, or has no need to be
	rideMax    = 64              // authors whose word is looked through for a push to take along
)

// settle notes that a batch of the author's took the tree as it is.
func (a *author) settle() {
	if a.calm < calmAfter {
		a.calm++
	}
}

// unsettle notes that the author's tree is changing: word of its batches is urgent.
func (a *author) unsettle() { a.calm = 0 }

// wordDelay returns how long word of the author's head waits.
func (c *Core) wordDelay(a *author) time.Duration {
	if !c.isCalm(a) {
		return c.cfg.HaveDelay
	}
	return calmFactor * c.cfg.HaveDelay
}

func (c *Core) isCalm(a *author) bool { return a.calm >= calmAfter && c.now >= a.urgent }

// ackSoon has the author told its head soon, if it is a neighbour and others are not.
func (c *Core) ackSoon(a *author) {
	if !c.isCalm(a) || a.key == c.self {
		return
	}
	for _, tp := range a.topic.peers {
		if tp.isAuthor(a) {
			c.acks = append(c.acks, tp)
			c.ackAt = min(c.ackAt, c.now.Add(c.cfg.HaveDelay))
			return
		}
	}
}

// flushAcks tells authors up to where their events are held here.
func (c *Core) flushAcks() {
	acks := c.acks
	c.acks, c.ackAt = nil, Never
	for _, tp := range acks {
		if tp.topic.topicPeerOf(tp.peer) != tp {
			continue // it has nothing to do with the topic any more, or is new to it and was greeted
		}
		if a := tp.topic.authors[tp.peer.author]; a != nil {
			c.tellHead(a, tp.peer)
			c.ride(tp.peer)
		}
	}
	c.endHaves()
}

// ride has word that waits go with what is being sent to the peer.
func (c *Core) ride(p *peer) {
	for _, a := range c.dirty[:min(len(c.dirty), rideMax)] {
		if tp := a.topic.topicPeerOf(p); tp != nil && c.isTold(tp, a) {
			c.tellHead(a, p)
		}
	}
}

// rideAlong is ride, for a message that is not being gathered with others.
func (c *Core) rideAlong(p *peer) {
	c.ride(p)
	p.have, p.advance = nil, nil
}

// isTold reports whether the peer is told the author's heads.
func (c *Core) isTold(tp *topicPeer, a *author) bool {
	return (a.topic.monger == nil && tp.neighbour() || tp.isAuthor(a)) && !c.castWaits(a, tp.peer)
}
