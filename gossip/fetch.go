package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// fetchState is the repair of one author's missing stretch. At most one want
// for it is outstanding, whoever claims it.
type fetchState struct {
	at       Time  // when it is due; Never: not scheduled
	want     *want // outstanding; nil: none
	queued   *peer // in whose queue it waits for room for a want; nil: in none
	deferred Time  // since when it waits for the topic's lack list; Never: it does not
	flowing  Time  // since when it waits for what a segment may bring; Never: it does not
}

// fetchSoon schedules the repair of what the author's stretch lacks.
func (c *Core) fetchSoon(a *author, delay time.Duration) {
	if a.fetch.want != nil || a.fetch.queued != nil {
		return
	}
	at := c.now.Add(delay)
	if a.fetch.at <= at {
		return
	}
	a.fetch.at = at
	c.timers.at(at, fetchTimer{a})
}

type fetchTimer struct{ a *author }

func (t fetchTimer) due(c *Core) {
	if f := &t.a.fetch; f.at <= c.now {
		f.at = Never
		c.fetch(t.a)
	}
}

// fetch asks for what is missing, or begins the wait for the gap's report.
func (c *Core) fetch(a *author) {
	after, upto, ok := a.missing()
	if !ok || !a.wanted(c) || a.fetch.want != nil {
		a.fetch.deferred, a.fetch.flowing = Never, Never
		if !ok && a.wanted(c) && a.fetch.want == nil {
			c.fetchHole(a)
		}
		return
	}
	if c.flows(a) {
		return
	}
	if !a.topic.compared {
		c.startGap(a) // what rumors missed stays missed
		return
	}
	if c.unwritable {
		c.fetchSoon(a, time.Second)
		return
	}
	if c.deferToLack(a) {
		return
	}
	p, busy := c.chooseServer(a, upto)
	switch {
	case p != nil:
		c.askRange(a, p, after, upto)
	case busy != nil:
		a.fetch.queued = busy
		busy.queue = append(busy.queue, a)
	default:
		c.startGap(a)
		if at := c.pardon(a); at != Never {
			c.fetchSoon(a, time.Duration(at-c.now))
		}
	}
}

// wanted reports whether this node repairs what it lacks of the author: on a
// topic that it holds in full, and of its own events anywhere.
func (a *author) wanted(c *Core) bool { return a.topic.interested || a.key == c.self }

// pardon returns when the first of those who claim the author's events may be
// asked again.
func (c *Core) pardon(a *author) Time {
	at := Never
	for i := range a.links {
		if l := &a.links[i]; l.struck > c.now && l.claim().Compare(a.released) > 0 {
			at = min(at, l.struck)
		}
	}
	return at
}

// deferToLack reports whether the author's repair shall wait because
// anti-entropy is repairing the whole topic: what both would bring would come
// twice. It does not wait for long, nor where wants by place are under way
// already: then the list waits for them, for they bring more at a time.
func (c *Core) deferToLack(a *author) bool {
	if a.topic.lack.found == 0 || a.topic.fetching > 0 {
		a.fetch.deferred = Never
		return false
	}
	if a.fetch.deferred == Never {
		a.fetch.deferred = c.now
	}
	if c.now >= a.fetch.deferred.Add(time.Second) {
		return false
	}
	c.fetchSoon(a, 100*time.Millisecond)
	return true
}

// chooseServer picks the peer to ask: one that claims something of the
// stretch; else, if a batch waits for it, any that has to do with the topic,
// each once. If all those have no room for a want, busy is one of them. A member
// is asked where no peer that a stream reaches can be.
func (c *Core) chooseServer(a *author, upto wire.Mark) (best, busy *peer) {
	blocked := a.waiting() != nil
	for _, members := range [...]bool{false, true} {
		if best, busy = c.chooseAmong(a, upto, blocked, members); best != nil || busy != nil {
			break
		}
	}
	return best, busy
}

func (c *Core) chooseAmong(a *author, upto wire.Mark, blocked, members bool) (best, busy *peer) {
	for round := range 2 {
		for _, tp := range a.topic.peers {
			p := tp.peer
			if p.member() != members || !c.mayTell(p) {
				continue
			}
			claims := false
			if l := a.linkOf(p); l != nil {
				claims = a.claimedBy(l, upto)
				if l.struck > c.now {
					continue
				}
			}
			if claims != (round == 0) || !c.serves(tp, a) {
				continue
			}
			if c.room(p) <= 0 {
				if busy == nil || len(p.queue) < len(busy.queue) {
					busy = p
				}
				continue
			}
			if best == nil || p.load() < best.load() {
				best = p
			}
		}
		if best != nil || busy != nil || !blocked {
			break
		}
	}
	return best, busy
}

// serves reports whether the peer may hold batches of the author's. Our own are
// held by whoever wants the topic.
func (c *Core) serves(tp *topicPeer, a *author) bool {
	if a.key == c.self && tp.wants {
		return true
	}
	its := tp.peer.hasAuthor && tp.peer.author == a.key
	return tp.holds && (tp.scope == wire.ScopeFull || its)
}

func (c *Core) askRange(a *author, p *peer, after, upto wire.Mark) {
	w := c.newWant(p)
	w.author, w.weight = a, wantWeight(after, upto)
	a.topic.fetching++
	a.fetch.want, a.fetch.deferred, a.gapFrom = w, Never, Never
	a.topic.strategy.missed(a, p)
	c.send(p, Repair, &wire.Want{
		ID: w.id, Topic: a.topic.name, Author: a.key, After: after, Upto: upto,
		MaxBytes: c.askBytes(p) / wholeWant * uint32(w.weight),
		Resume:   c.partials.of(a.topic.name, a.key),
	})
}

// serveQueue gives the room that a want left to those who wait for it.
func (c *Core) serveQueue(p *peer) {
	for len(p.queue) > 0 && (p.down || c.room(p) > 0) {
		a := p.queue[0]
		p.queue = p.queue[1:]
		a.fetch.queued = nil
		c.fetch(a)
	}
	c.relieveBy(p)
}

// relieveBy lets the peer, as far as it has room for wants, serve those who
// wait for room at others: the neighbour that a returning node meets first is
// not to serve it alone.
func (c *Core) relieveBy(p *peer) {
	room := c.room(p)
	if p.member() {
		return // who waits for a peer that a stream reaches is better off
	}
	for _, q := range c.peerList {
		if p.down || room <= 0 {
			return
		}
		if q == p || len(q.queue) == 0 {
			continue
		}
		var moved []*author
		q.queue = slices.DeleteFunc(q.queue, func(a *author) bool {
			if len(moved) == room || !c.claims(p, a) {
				return false
			}
			moved = append(moved, a)
			return true
		})
		room -= len(moved)
		for _, a := range moved {
			a.fetch.queued = nil
			c.fetch(a)
		}
	}
}

// claims reports whether the peer may be asked for something of the author's
// that it says it holds and this node has not released.
func (c *Core) claims(p *peer, a *author) bool {
	l, tp := a.linkOf(p), a.topic.topicPeerOf(p)
	return l != nil && tp != nil && l.struck <= c.now && l.claim().Compare(a.released) > 0 && c.serves(tp, a)
}

// repairPending reports whether something may yet bring what the author lacks.
func (c *Core) repairPending(a *author) bool {
	if a.fetch.want != nil || a.fetch.queued != nil || a.topic.lack.found > 0 {
		return true
	}
	e := a.waiting()
	if e == nil || !a.topic.compared {
		return false
	}
	for i := range a.links {
		l := &a.links[i]
		if l.struck <= c.now && a.claimedBy(l, e.prev.Mark) && c.mayTell(l.peer) {
			return true
		}
	}
	return false
}
