package gossip

import "github.com/busnode/busnode/gossip/wire"

// strategy is how rumors spread on a topic.
type strategy interface {
	// spread passes on a batch that is now in the log.
	spread(e *entry)
	// brought notes that p was first to push the batch.
	brought(e *entry, p *peer)
	// duplicate notes that p pushed a batch that was here already.
	duplicate(e *entry, p *peer)
	// refused notes that p pushed a batch that is not taken in.
	refused(id wire.BatchID, p *peer)
	// missed notes that p is asked for a batch that nobody pushed.
	missed(a *author, p *peer)
	graft(a *author, p *peer)
	prune(a *author, p *peer)
	contact(tp *topicPeer, m *wire.Contact)
	rumorsOf(tp *topicPeer, m *wire.Rumors)
	feedback(tp *topicPeer, m *wire.Feedback)
	// state says how far a batch has come that is held, or on its way to the log.
	state(e *entry) RumorState
}

// tree is eager push along the links that brought something first and lazy
// push on the rest: a duplicate turns its link lazy (Prune), a missed batch
// turns it eager (Graft).
//
// Departs from Plumtree (Leitão, Pereira, Rodrigues, 2007): links are kept per
// author, because with several publishers one tree thrashes (3.5 copies of
// each event where a tree per author gives 1.00); lazy word is an author's
// head rather than an ID for each batch, so it coalesces and acknowledges; and a
// link that comes up later is lazy from the beginning (youngLink).
//
// A rumor is infective while some neighbour neither is known to hold it nor was told of it: its
// link's marks are below the rumor's end. No list of rumors is kept for that.
type tree struct{ c *Core }

func (s tree) spread(e *entry) {
	c, a := s.c, e.author
	if e.repaired {
		a.unsettle()
	}
	if a.key == c.self {
		a.take()
	}
	for _, tp := range a.topic.peers {
		if !tp.neighbour() || tp.peer == e.from {
			continue
		}
		l := c.linkTo(a, tp.peer)
		if a.key == c.self && a.fresh() {
			a.setLazy(l, l.lazy) // our first batch floods, whatever the topic's tree is
		}
		switch {
		case e.proof:
			c.sendBatch(tp.peer, e.id) // of an equivocation: no head tells of it
		case e.verdict != 0:
			// Anti-entropy tells of it.
		case l.head.Compare(e.end()) >= 0 && (e.author.key != c.self || l.head.Epoch == e.start.Epoch):
			// It said that it holds the batch.
		case c.castTo(e, tp.peer):
			// It has it by a segment, or will have it sooner.
		case e.repaired || l.lazy:
			// The head's word goes out with the next flush.
		case l.suspended && c.now < l.waiting.Add(c.cfg.WantTimeout):
			c.stats.PushesSuspended++
			a.unsettle() // the peer must ask
		default:
			l.suspended = false // who asks for nothing for so long has all from others
			s.push(e, tp.peer, l)
		}
	}
	if a.key == c.self {
		a.settle()
	}
	c.touchHead(a)
}

// push sends the batch to a neighbour, and word that waits with it. What the push says
// itself is told by it: that its sender holds the batch, to one who knows that it holds
// what comes before.
func (s tree) push(e *entry, p *peer, l *link) {
	s.c.sendBatch(p, e.id)
	end := e.end()
	if e.author.held.Compare(end) >= 0 && l.told.Compare(e.prev.Mark) >= 0 && l.told.Compare(end) < 0 {
		l.told = end
	}
	s.c.rideAlong(p)
}

func (s tree) brought(e *entry, p *peer) {
	a := e.author
	l := s.c.linkTo(a, p)
	if l.parent && !l.lazy {
		a.settle()
	} else {
		a.unsettle()
	}
	for i := range a.links {
		a.links[i].parent = false
	}
	a.setLazy(l, false)
	l.parent, l.pruned, l.young = true, false, false
	s.shape(e, p)
}

func (s tree) duplicate(e *entry, p *peer) {
	a := e.author
	if e.from == p {
		return // it is on its way to the log, and comes a second time
	}
	l := s.c.linkTo(a, p)
	if l.pruned {
		return
	}
	a.unsettle()
	l.parent, l.pruned, l.young = false, true, false
	a.setLazy(l, true)
	s.c.stats.Prunes++
	s.c.send(p, News, &wire.Prune{Topic: a.topic.name, Author: a.key})
}

func (s tree) refused(wire.BatchID, *peer) {}

func (s tree) missed(a *author, p *peer) {
	l := s.c.linkTo(a, p)
	if p.member() || !l.lazy && !l.dry() && a.taken >= shapedAfter {
		return
	}
	// Of an author that is new the peer is asked even if it is thought to push: the other end of
	// the link may have begun with another flag, and would leave us to ask for each batch.
	a.unsettle()
	l.pruned, l.young = false, false
	a.setLazy(l, false)
	s.c.stats.Grafts++
	s.c.send(p, News, &wire.Graft{Topic: a.topic.name, Author: a.key})
}

func (s tree) graft(a *author, p *peer) {
	a.unsettle()
	a.setLazy(s.c.linkTo(a, p), false)
}

func (s tree) prune(a *author, p *peer) {
	a.unsettle()
	a.setLazy(s.c.linkTo(a, p), true)
}

// contact lets a peer that mongers push here: it may wait to be accepted.
func (s tree) contact(tp *topicPeer, _ *wire.Contact) {
	s.c.send(tp.peer, News, &wire.Rumors{Topic: tp.topic.name})
}

func (s tree) rumorsOf(*topicPeer, *wire.Rumors) { s.c.stats.Unsolicited++ }

// feedback of a peer that mongers tells what it holds, as a head would.
func (s tree) feedback(tp *topicPeer, m *wire.Feedback) {
	for i := range m.Rumors {
		f := &m.Rumors[i]
		if e := s.c.batches[f.ID]; e != nil && f.Known && e.author.topic == tp.topic {
			s.c.holdsToo(e, tp.peer)
		}
	}
}

func (s tree) state(e *entry) RumorState {
	if e.state == storing {
		return Infective
	}
	for _, tp := range e.author.topic.peers {
		l := e.author.linkOf(tp.peer)
		if tp.neighbour() && (l == nil || l.head.Compare(e.end()) < 0 && l.told.Compare(e.end()) < 0) {
			return Infective
		}
	}
	return Removed
}

func (c *Core) receiveGraft(p *peer, m *wire.Graft) {
	if a := c.authorAt(p, m.Topic, m.Author); a != nil {
		a.topic.strategy.graft(a, p)
	}
}

func (c *Core) receivePrune(p *peer, m *wire.Prune) {
	if a := c.authorAt(p, m.Topic, m.Author); a != nil {
		a.topic.strategy.prune(a, p)
	}
}

// authorAt returns the author's state if it is known here and the peer has to
// do with the topic, else nil.
func (c *Core) authorAt(p *peer, topic string, key wire.Author) *author {
	t := c.topics[topic]
	if t == nil || t.topicPeerOf(p) == nil {
		c.stats.Unsolicited++
		return nil
	}
	return t.authors[key]
}

// SendFailed tells that pushes to the peer were dropped, for its outbox was
// full. They become lazy word: the peer asks, or anti-entropy repairs.
func (c *Core) SendFailed(to wire.PeerID, lane Lane, ids []wire.BatchID) {
	if s := c.lan.find(to); s != nil {
		c.castFailed(s, ids)
		return
	}
	p := c.peers[to]
	if p == nil {
		return
	}
	c.stats.PushesDropped += uint64(len(ids))
	if lane != News {
		return // whoever asked sees that nothing came, and asks again
	}
	for _, id := range ids {
		e := c.batch(id)
		if e == nil || e.author.topic.monger != nil {
			continue // where there is no lazy word, the contact was of no use
		}
		l := c.linkTo(e.author, p)
		l.told = wire.Mark{}
		e.author.unsettle()
		if !l.suspended {
			l.suspended, l.waiting = true, c.now
			p.suspended = append(p.suspended, e.author)
		}
	}
}

// SendDrained tells that the outbox that was full has room again.
func (c *Core) SendDrained(to wire.PeerID) {
	if s := c.lan.find(to); s != nil {
		s.full = false
		return
	}
	p := c.peers[to]
	if p == nil {
		return
	}
	authors := p.suspended
	p.suspended = nil
	for _, a := range authors {
		c.touchHead(a)
		c.flushAt = c.now
	}
}
