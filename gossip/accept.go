package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Publish tells of an own batch that is in the log and released there.
func (c *Core) Publish(id wire.BatchID, h *wire.Header) {
	if c.batch(id) != nil {
		return
	}
	t := c.ownTopic(h.Topic)
	c.stats.Published++
	a := c.authorOf(t, c.self)
	e := c.newEntry(a, id, h)
	e.state, e.released = held, true
	a.insert(e)
	if a.released.Compare(e.end()) < 0 {
		a.released = e.end()
	}
	c.excited()
	c.hold(e)
	c.list(t)
	c.castOwn(e)
	t.strategy.spread(e)
}

func (c *Core) newEntry(a *author, id wire.BatchID, h *wire.Header) *entry {
	e := &entry{
		id: id, author: a, start: h.Start(), prev: h.Prev, time: h.Time, count: h.Count, size: h.BodyLen,
	}
	c.batches[id.Short()] = e
	return e
}

// hold makes a batch that is in the log part of the topic's set.
func (c *Core) hold(e *entry) {
	c.insert(e)
	c.seen = max(c.seen, e.time)
	c.advanceHeld(e.author)
}

// receivePush takes a batch in, or says why not. It was verified.
// via is the segment over which it came to all; nil: it came to us.
func (c *Core) receivePush(p *peer, m *wire.Push, via *segment) {
	h, id := &m.Batch.Header, m.Batch.ID
	t := c.topics[h.Topic]
	if e := c.batch(id); e != nil && e.id != id {
		c.refuse(p, m, wire.ReasonConflict, &c.stats.RefusedTwin)
		return
	}
	if e := c.batch(id); e != nil && e.state != lost {
		c.receiveDuplicate(p, m, e, via)
		return
	}
	if t == nil || !t.interested && h.Author != c.self {
		c.refuse(p, m, wire.ReasonTopic, &c.stats.RefusedTopic)
		return
	}
	if h.Time > c.wall.Add(wire.FutureMax) {
		c.refuse(p, m, wire.ReasonTooNew, &c.stats.RefusedNew)
		c.deferBatch(p, t, h)
		return
	}
	if h.Time < c.floor() {
		c.refuse(p, m, wire.ReasonTooOld, &c.stats.RefusedOld)
		return
	}
	if e := c.batch(id); e != nil {
		c.arrived(p, m)
		t.lack.remove(id)
		e.refill, e.from = true, p
		c.out.Persist = append(c.out.Persist, id)
		return
	}
	a := c.authorOf(t, h.Author)
	if a.trimmed.Compare(h.End()) >= 0 {
		c.arrived(p, m)
		t.lack.remove(id)
		c.refuse(p, m, wire.ReasonTooOld, &c.stats.RefusedTrimmed)
		return
	}
	c.checkIdentity(h)
	c.accept(p, m, a, via)
}

// accept takes in a batch that is new here.
func (c *Core) accept(p *peer, m *wire.Push, a *author, via *segment) {
	h, id := &m.Batch.Header, m.Batch.ID
	c.arrived(p, m)
	if a.topic.lack.remove(id) {
		c.paid(p, a.topic)
	}
	barred, proof := c.conflicts(a, h)
	e := c.newEntry(a, id, h)
	e.from, e.repaired = p, m.Repair
	c.stats.Accepted++
	if via != nil {
		c.castIn(via, e)
	}
	if !barred {
		a.take()
	}
	switch {
	case m.Repair:
		c.stats.Repaired++
	case via != nil:
		c.came(a.topic, h.Time)
	default:
		a.topic.strategy.brought(e, p)
		c.came(a.topic, h.Time)
	}
	c.excited()
	c.out.Persist = append(c.out.Persist, id)
	if barred {
		a.barred = append(a.barred, e)
		e.verdict, e.proof = wire.ReasonConflict, proof
		c.out.Verdicts = append(c.out.Verdicts, Verdict{id, wire.ReasonConflict})
		c.order(a) // what waited for the closed epoch need not any more
		return
	}
	a.insert(e)
	if m.Repair {
		c.linkTo(a, p) // it is no news that the author has a tree here
	} else {
		c.holdsToo(e, p)
	}
	if e.end().Compare(a.released) <= 0 {
		c.release(a, e, true)
		return
	}
	c.order(a)
}

func (c *Core) receiveDuplicate(p *peer, m *wire.Push, e *entry, via *segment) {
	if e.state == held {
		c.out.Discard = append(c.out.Discard, e.id)
	}
	c.arrived(p, m)
	e.author.topic.lack.remove(e.id) // found missing while it was on its way to the log
	if via != nil {
		c.stats.SegmentDuplicate++
		c.holdsToo(e, p)
		return // a copy for all says nothing about the tree
	}
	if m.Repair {
		c.stats.RepairDuplicate++
		return
	}
	c.stats.Duplicate++
	c.holdsToo(e, p)
	if c.firstByStream(e) {
		e.author.topic.strategy.brought(e, p)
		return
	}
	e.author.topic.strategy.duplicate(e, p)
}

// deferBatch notes that the peer has a batch dated too far ahead, to ask for it
// when its time has come.
func (c *Core) deferBatch(p *peer, t *topic, h *wire.Header) {
	a := c.authorOf(t, h.Author)
	if l := c.linkTo(a, p); h.Prev.Mark.Compare(l.head) <= 0 {
		c.raiseHead(a, l, h.End())
	}
	c.fetchSoon(a, time.Duration(h.Time-c.wall)-wire.FutureMax)
}

func (c *Core) refuse(p *peer, m *wire.Push, r wire.Reason, counter *uint64) {
	*counter++
	h := &m.Batch.Header
	c.out.Discard = append(c.out.Discard, m.Batch.ID)
	c.send(p, News, &wire.Refuse{Topic: h.Topic, Author: h.Author, Mark: h.End(), Reason: r})
	if t := c.topics[h.Topic]; t != nil && !m.Repair {
		t.strategy.refused(m.Batch.ID, p)
	}
}

// Stored tells that batches of Persist are in the log. They are spread now.
func (c *Core) Stored(ids []wire.BatchID) {
	for _, id := range ids {
		e := c.batch(id)
		if e == nil {
			continue // trimmed meanwhile
		}
		if e.refill {
			e.refill, e.state = false, held
			c.insert(e)
			c.stats.Restored++
		}
		if e.state != storing {
			c.advanceHeld(e.author)
			continue
		}
		e.state = held
		c.hold(e)
		e.author.topic.strategy.spread(e)
		e.from = nil // let a peer that is gone be freed
	}
}

// StoreFailed tells that the log refused batches of Persist and entries of
// Release. The batches are forgotten, to be repaired when the log takes them.
func (c *Core) StoreFailed(ids []wire.BatchID, releases []Release) {
	var touched []*author
	for _, r := range releases {
		if a := c.unrelease(r); a != nil {
			touched = append(touched, a)
		}
	}
	for _, id := range ids {
		e := c.batch(id)
		if e == nil {
			continue
		}
		c.stats.StoreFailed++
		if e.refill {
			e.refill = false
			c.refills = append(c.refills, e)
			continue
		}
		if e.state != storing {
			continue
		}
		delete(c.batches, id.Short())
		e.author.remove(e)
		e.author.barred = slices.DeleteFunc(e.author.barred, func(x *entry) bool { return x == e })
		touched = append(touched, e.author)
	}
	c.unordered = append(c.unordered, touched...)
}

// unrelease takes back a release that did not reach the log.
func (c *Core) unrelease(r Release) *author {
	if r.Gap != nil {
		t := c.topics[r.Gap.Topic]
		if t == nil || t.authors[r.Gap.Author] == nil {
			return nil
		}
		a := t.authors[r.Gap.Author]
		a.fallBack(wire.Mark{Epoch: r.Gap.From.Epoch, Seq: r.Gap.From.Seq - 1})
		return a
	}
	e := c.batch(r.ID)
	if e == nil || !e.released {
		return nil
	}
	e.released = false
	a := e.author
	if r.Late {
		return a
	}
	before := e.prev.Mark
	for i := a.search(e.start) - 1; i >= 0; i-- {
		if a.batches[i].released {
			if end := a.batches[i].end(); end.Compare(before) > 0 {
				before = end
			}
			break
		}
	}
	a.fallBack(before)
	return a
}

// fallBack takes back all releases after m. Whatever was released after one
// that failed has failed or will, for the log keeps the order.
func (a *author) fallBack(m wire.Mark) {
	if m.Compare(a.released) >= 0 {
		return
	}
	a.released = m
	for _, e := range a.batches[a.search(wire.Mark{Epoch: m.Epoch, Seq: m.Seq + 1}):] {
		e.released = false
	}
}

// Writable tells whether the log takes batches. While it does not, nothing is
// asked for; when it does again, what was forgotten is repaired. It is told so
// only after StoreFailed was told of all that had failed.
func (c *Core) Writable(ok bool) {
	c.unwritable = !ok
	if !ok {
		return
	}
	authors := c.unordered
	c.unordered = nil
	for i, a := range authors {
		if len(a.barred) > 0 && !slices.Contains(authors[:i], a) {
			c.repeatVerdicts(a)
		}
		for _, e := range a.batches {
			if !e.released && e.end().Compare(a.released) <= 0 {
				c.release(a, e, true)
			}
		}
		c.order(a)
		c.fetchSoon(a, 0)
	}
	lost := c.refills
	c.refills = nil
	for _, e := range lost {
		c.addLost(e.author.topic, e.id)
	}
	for _, t := range c.topicList {
		c.pumpLack(t)
	}
	for _, p := range c.peerList {
		p.forgive() // exchanges brought nothing while nothing could be taken
	}
}

// repeatVerdicts tells the log again what is barred of an author's: with a batch that
// it refused it may have refused the verdicts that came with that.
func (c *Core) repeatVerdicts(a *author) {
	for _, e := range a.barred {
		if e.state == held {
			c.out.Verdicts = append(c.out.Verdicts, Verdict{e.id, e.verdict})
		}
	}
}
