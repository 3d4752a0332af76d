package gossip

import "github.com/busnode/busnode/gossip/wire"

// strategy is how rumors spread on a topic.
type strategy interface {
	// spread passes on a batch that is now in the log.
	spread(e *entry)
	// brought notes that p was first to push a batch of the author's.
	brought(a *author, p *peer)
	// duplicate notes that p pushed a batch that was here already.
	duplicate(a *author, p *peer)
	// missed notes that p is asked for a batch that nobody pushed.
	missed(a *author, p *peer)
	graft(p *peer, m *wire.Graft)
	prune(p *peer, m *wire.Prune)
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
// A rumor is infective while some neighbour is not known to hold it: its link's
// head is below the rumor's end. No list of rumors is kept for that.
type tree struct{ c *Core }

func (s tree) spread(e *entry) {
	c, a := s.c, e.author
	for _, tp := range a.topic.peers {
		if !tp.neighbour() || tp.peer == e.from {
			continue
		}
		l := c.linkTo(a, tp.peer)
		switch {
		case e.proof:
			c.sendBatch(tp.peer, News, e.id) // of an equivocation: no head tells of it
		case e.verdict != 0:
			// Anti-entropy tells of it.
		case l.head.Compare(e.end()) >= 0 && (e.author.key != c.self || l.head.Epoch == e.start.Epoch):
			// It said that it holds the batch.
		case e.repaired || l.lazy:
			// The head's word goes out with the next flush.
		case l.suspended:
			c.stats.PushesSuspended++
		default:
			c.sendBatch(tp.peer, News, e.id)
			if a.held.Compare(e.end()) >= 0 && l.told.Compare(e.prev.Mark) >= 0 {
				l.told = e.end() // the push says so itself
			}
		}
	}
	c.touchHead(a)
}

func (s tree) brought(a *author, p *peer) {
	for i := range a.links {
		a.links[i].parent = false
	}
	l := s.c.linkTo(a, p)
	a.setLazy(l, false)
	l.parent, l.pruned, l.young = true, false, false
}

func (s tree) duplicate(a *author, p *peer) {
	l := s.c.linkTo(a, p)
	if l.pruned || p.info.Segment {
		return // on a segment one receiver must not mute the rest
	}
	l.parent, l.pruned, l.young = false, true, false
	a.setLazy(l, true)
	s.c.stats.Prunes++
	s.c.send(p, News, &wire.Prune{Topic: a.topic.name, Author: a.key})
}

func (s tree) missed(a *author, p *peer) {
	l := s.c.linkTo(a, p)
	if p.info.Segment || !l.lazy && !l.dry() {
		return
	}
	l.pruned, l.young = false, false
	a.setLazy(l, false)
	s.c.stats.Grafts++
	s.c.send(p, News, &wire.Graft{Topic: a.topic.name, Author: a.key})
}

func (s tree) graft(p *peer, m *wire.Graft) {
	if a := s.c.authorAt(p, m.Topic, m.Author); a != nil {
		a.setLazy(s.c.linkTo(a, p), false)
	}
}

func (s tree) prune(p *peer, m *wire.Prune) {
	if a := s.c.authorAt(p, m.Topic, m.Author); a != nil && !p.info.Segment {
		a.setLazy(s.c.linkTo(a, p), true)
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
		if e == nil {
			continue
		}
		l := c.linkTo(e.author, p)
		l.told = wire.Mark{}
		if !l.suspended {
			l.suspended = true
			p.suspended = append(p.suspended, e.author)
		}
	}
}

// SendDrained tells that the outbox that was full has room again.
func (c *Core) SendDrained(to wire.PeerID) {
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
