package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Batches on segments. An own batch is pushed to a segment that is in use, once. What
// others published is not: word of it is told (segmentword.go), and who lacks it asks. The
// answer to that goes to all, if others lack it too. What a segment brought says nothing
// about the trees of the streams, and is not pushed to neighbours who heard it there.

const (
	castAgain  = 250 * time.Millisecond // within that the same batch is not pushed to a segment twice
	castFor    = 10 * time.Second       // that is remembered of a batch that went over a segment
	castsMax   = 4096                   // batches of which it is
	flowGap    = 100 * time.Millisecond // without anything of the author's node: no more is on its way
	flowMost   = 2 * time.Second        // that is waited for it
	behindMost = 500 * time.Millisecond // the same, while only others are heard on the segment
	sendMost   = 500 * time.Millisecond // that word over streams waits for a segment to send what it is about
	answerAge  = 10 * time.Second       // of a batch that somebody asks for: older ones are for who asks alone
	askEach    = 10 * time.Millisecond  // of delay for each member who may ask for the same
	askMost    = 300 * time.Millisecond // but not more
	cameMost   = 250 * time.Millisecond // from its coming here until it is at everybody whom the segment reaches
	deafLeast  = 10 * time.Second       // that pushes to a peer the segment does not reach go by stream, at least
	deafMost   = 5 * time.Minute        // the same, at most: a peer need not acknowledge over segments
	deafRelay  = 30 * time.Second       // the same, if others published it: what a peer acknowledges of these is no proof
)

// castKey is a batch, and a segment that it went over.
type castKey struct {
	e       *entry
	segment *segment
}

// castNote is what is remembered of a batch that went over a segment.
type castNote struct {
	castKey
	at    Time // when it did so last
	sent  Time // when we last pushed it; 0: we did not
	came  bool // it came over it
	first bool // and no stream has brought it yet
}

// castLog remembers batches that went over segments of late.
type castLog struct {
	notes map[castKey]*castNote // looked up, never ranged over
	order []*castNote           // oldest first, by the first time
}

func newCastLog() castLog { return castLog{notes: map[castKey]*castNote{}} }

// find returns what is remembered of a batch on a segment, or nil.
func (l *castLog) find(e *entry, s *segment) *castNote { return l.notes[castKey{e, s}] }

func (l *castLog) add(n *castNote) {
	if len(l.order) >= castsMax {
		l.drop(1)
	}
	l.notes[n.castKey] = n
	l.order = append(l.order, n)
}

func (l *castLog) drop(n int) {
	for _, x := range l.order[:n] {
		delete(l.notes, x.castKey)
	}
	l.order = slices.Delete(l.order, 0, n)
}

func (l *castLog) expire(now Time) {
	n := 0
	for n < len(l.order) && now >= l.order[n].at.Add(castFor) {
		n++
	}
	l.drop(n)
}

// forget drops what went over the segment.
func (l *castLog) forget(s *segment) {
	l.order = slices.DeleteFunc(l.order, func(x *castNote) bool {
		if x.segment == s {
			delete(l.notes, x.castKey)
		}
		return x.segment == s
	})
}

// castOwn pushes an own batch to the segments in use where somebody wants the topic.
func (c *Core) castOwn(e *entry) {
	if len(c.lan.list) == 0 || e.author.topic.monger != nil {
		return
	}
	c.noteOwn(e.author)
	for _, s := range c.lan.list {
		if s.activity.on && s.wants(e.author.topic) {
			c.cast(s, e, News)
			if e.author.untold == 0 {
				e.author.untold = c.now
			}
		}
	}
}

// SegmentSent tells that all batches that were pushed to the segment have left this node.
// Who does not hear the segment shall now learn soon of what it missed.
func (c *Core) SegmentSent(name wire.PeerID) {
	s := c.lan.find(name)
	if s == nil || s.sending == Never {
		return
	}
	s.sending = Never
	if c.cfg.Multicast == MulticastAlways && len(c.dirty) > 0 {
		c.flushAt = min(c.flushAt, c.now.Add(c.cfg.HaveDelay))
	}
}

// castUntil returns until when a neighbour is not to be told the head of an author of ours
// over its stream, for a segment brings what it is about: until HaveDelay after the first
// batch of which no word was told, and until that has left. What comes after that one
// puts word of it off no further, however busy the segment is.
func (c *Core) castUntil(a *author, p *peer) (until Time) {
	if a.untold == 0 || c.cfg.Multicast != MulticastAlways {
		return 0
	}
	for _, m := range p.heard {
		if c.now < m.deaf {
			continue
		}
		until = max(until, a.untold.Add(c.cfg.HaveDelay))
		if s := m.segment; s.sending != Never && s.sending <= a.untold {
			until = max(until, s.sending.Add(sendMost))
		}
	}
	return until
}

// castWaits reports whether a neighbour is not to be told the author's head yet.
func (c *Core) castWaits(a *author, p *peer) bool { return c.now < c.castUntil(a, p) }

// wants reports whether a member wants the topic.
func (s *segment) wants(t *topic) bool {
	return slices.ContainsFunc(s.members, func(m *member) bool {
		tp := m.topicPeer(t)
		return tp != nil && tp.wants
	})
}

// cast pushes a batch to all on the segment, unless it was just now.
func (c *Core) cast(s *segment, e *entry, lane Lane) {
	n := c.lan.casts.find(e, s)
	switch {
	case s.full:
		c.stats.SegmentDropped++
		c.wordSoonOn(s, e.author)
		return
	case n == nil:
		n = &castNote{castKey: castKey{e, s}}
		c.lan.casts.add(n)
	case n.sent != 0 && c.now < n.sent.Add(castAgain):
		return
	}
	n.at, n.sent = c.now, c.now
	c.stats.SegmentPushes++
	if s.sending == Never {
		s.sending = c.now
	}
	c.out.Send = append(c.out.Send, Send{To: s.name, Lane: lane, Batch: e.id})
}

// castFailed notes that pushes to the segment were dropped: word is told instead.
func (c *Core) castFailed(s *segment, ids []wire.BatchID) {
	s.full = true
	c.stats.SegmentDropped += uint64(len(ids))
	for _, id := range ids {
		if e := c.batch(id); e != nil {
			c.wordSoonOn(s, e.author)
		}
	}
}

// castTo reports whether a neighbour need not be pushed the batch, for a segment brings
// it: the one that brought it to us, or the one that we pushed it to, if segments come
// first and this one is known to reach the neighbour.
func (c *Core) castTo(e *entry, p *peer) bool {
	return slices.ContainsFunc(p.heard, func(m *member) bool {
		n := c.lan.casts.find(e, m.segment)
		return n != nil && c.now >= m.deaf && (n.came || c.cfg.Multicast == MulticastAlways)
	})
}

// receiveCast takes in a batch that a member pushed to all.
func (c *Core) receiveCast(s *segment, p *peer, m *wire.Push) {
	h := &m.Batch.Header
	t := c.castTopic(p, h.Topic)
	if t == nil || !t.interested && h.Author != c.self {
		c.stats.SegmentUnwanted++
		if e := c.batch(m.Batch.ID); e == nil || e.state == held {
			c.out.Discard = append(c.out.Discard, m.Batch.ID)
		}
		return
	}
	c.holdsTopic(t, p, p.hasAuthor && h.Author == p.author)
	c.HeardOn(s.name, p.id)
	c.receivePush(p, m, s)
	if a := t.authors[h.Author]; a != nil {
		a.cast = c.now
		if end := h.End(); end.Compare(a.castUpto) > 0 {
			a.castUpto = end
		}
		if a.castUpto.Compare(a.held) >= 0 {
			c.wordSoon(a)
		}
	}
}

// castTopic returns the topic of what a member told all, made if it is wanted here and
// was not known, or nil.
func (c *Core) castTopic(p *peer, name string) *topic {
	t := c.topics[name]
	if t == nil && c.interests.match(name) && len(p.topics) < memberTopics {
		if t = c.heardTopic(name); t != nil {
			c.list(t)
		}
	}
	return t
}

// holdsTopic notes that a member holds the topic: all of it, unless it spoke of its own
// batches alone.
func (c *Core) holdsTopic(t *topic, p *peer, own bool) {
	if !p.member() {
		return // it tells over its stream
	}
	if t.topicPeerOf(p) == nil && len(p.topics) >= memberTopics {
		c.stats.TopicsRefused++
		return
	}
	tp := c.meet(p, t)
	switch {
	case !own:
		tp.holds, tp.scope = true, wire.ScopeFull
	case !tp.holds:
		tp.holds, tp.scope = true, wire.ScopeOwn
	}
}

// castIn notes that a segment brought a batch that is new here.
func (c *Core) castIn(s *segment, e *entry) {
	c.stats.SegmentAccepted++
	a := e.author
	a.settle()
	for i := range a.links {
		a.links[i].parent = false // no stream brings the newest
	}
	c.lan.casts.add(&castNote{castKey: castKey{e, s}, at: c.now, came: true, first: true})
}

// firstByStream reports whether a batch that a stream brings was brought by a segment
// alone so far: to the tree it is new.
func (c *Core) firstByStream(e *entry) bool {
	for _, s := range c.lan.list {
		if n := c.lan.casts.find(e, s); n != nil && n.first {
			n.first = false
			return true
		}
	}
	return false
}

// HeardOn tells that a batch, or a part of one, came from the member over the segment.
func (c *Core) HeardOn(name, from wire.PeerID) {
	if s := c.lan.find(name); s != nil {
		s.came = c.now
		if i, ok := s.find(from); ok {
			s.members[i].came = c.now
		}
	}
}

// flow returns for how long the author's batches may still be on their way over a segment:
// while it brings something of the author's, or else of others, for this node may be behind
// with what it brings. most is how long to wait for it in all.
func (c *Core) flow(a *author) (d, most time.Duration) {
	own, any := a.cast, Time(0)
	for _, s := range c.lan.list {
		if m := s.author(a.key); m != nil {
			own, any = max(own, m.came), max(any, s.came)
		}
	}
	switch {
	case own != 0 && c.now < own.Add(flowGap):
		return time.Duration(own.Add(flowGap) - c.now), flowMost
	case any != 0 && c.now < any.Add(flowGap):
		return time.Duration(any.Add(flowGap) - c.now), behindMost
	}
	return 0, 0
}

// flows reports whether the author's repair shall wait because a segment may be about to
// bring what it lacks. It does not wait for long.
func (c *Core) flows(a *author) bool {
	d, most := c.flow(a)
	if d == 0 || a.waiting() != nil {
		a.fetch.flowing = Never
		return false
	}
	if a.fetch.flowing == Never {
		a.fetch.flowing = c.now
	}
	if c.now >= a.fetch.flowing.Add(most) {
		return false
	}
	c.fetchSoon(a, d)
	return true
}

// castsTo reports whether the author's batches should come over a segment before any
// word of them does over streams, and no stream brings them.
func (c *Core) castsTo(a *author) bool {
	if c.cfg.Multicast != MulticastAlways || len(c.lan.list) == 0 ||
		slices.ContainsFunc(a.links, func(l link) bool { return l.parent }) {
		return false
	}
	return slices.ContainsFunc(c.lan.list, func(s *segment) bool { return s.author(a.key) != nil })
}

// author returns the member that is the author, or nil.
func (s *segment) author(key wire.Author) *member {
	if i, ok := s.find(key.PeerID()); ok {
		return s.members[i]
	}
	return nil
}

// segmentPatience returns how long to wait for a push of what a member told all that it
// holds. Many hear it and one need ask, for the answer is for all.
func (c *Core) segmentPatience(s *segment, a *author, p *peer) time.Duration {
	wait, _ := c.flow(a)
	if n := len(s.members); n > 2 {
		wait += time.Duration(c.rngLAN.Int64N(int64(min(time.Duration(n)*askEach, askMost))))
	}
	if a.topic.neighbours() > 0 && (!p.hasAuthor || p.author != a.key) {
		wait += c.cfg.GraftDelay // a neighbour may be about to push it
	}
	return wait
}

// answerAll answers a member's want of a batch to all, if it is young and others lack it
// too. It reports whether that was done, or has just been.
func (c *Core) answerAll(p *peer, e *entry) bool {
	if e.time < c.hlc().Add(-answerAge) {
		return false
	}
	for _, m := range p.heard {
		s := m.segment
		if s.full || !c.mayUse(s) || !c.othersLack(s, p, e) {
			continue
		}
		c.cast(s, e, Repair)
		return true
	}
	return false
}

// othersLack reports whether a member other than p, that no chain of streams leads to, wants the
// batch and is not known to hold it.
func (c *Core) othersLack(s *segment, p *peer, e *entry) bool {
	return slices.ContainsFunc(s.members, func(m *member) bool {
		tp := m.topicPeer(e.author.topic)
		if tp == nil || !tp.wants || tp.covered || tp.peer == p {
			return false
		}
		l := e.author.linkOf(m.peer)
		return l == nil || l.head.Compare(e.end()) < 0
	})
}

// noteDeaf notes that a peer asks over its stream for what a segment should have brought
// it by now: until that is known to reach it, it is pushed to by stream.
func (c *Core) noteDeaf(p *peer, t *topic, w *wire.Want) {
	if c.cfg.Multicast != MulticastAlways || p.member() || len(p.heard) == 0 {
		return
	}
	a := t.authors[w.Author]
	if a == nil {
		return
	}
	for i := a.search(wire.Mark{Epoch: w.After.Epoch, Seq: w.After.Seq + 1}); i < len(a.batches); i++ {
		e := a.batches[i]
		if e.start.Compare(w.Upto) > 0 {
			return
		}
		for _, m := range p.heard {
			n := c.lan.casts.find(e, m.segment)
			switch {
			case n == nil:
			case n.came && c.now >= n.at.Add(cameMost):
				c.deafen(m, deafRelay)
			case a.key == c.self && n.sent != 0 && m.segment.sending == Never && c.now >= n.sent.Add(c.cfg.HaveDelay):
				c.deafen(m, deafMost)
			}
		}
	}
}

// deafen has pushes to the member go by stream too, for so long at most.
func (c *Core) deafen(m *member, most time.Duration) {
	if c.now < m.deaf {
		return
	}
	c.stats.MembersDeaf++
	m.deaf, m.deafened = c.now.Add(most), c.now
}

// undeafen notes that the segment reaches the member: it acknowledged over it what came
// over it.
func (c *Core) undeafen(m *member) {
	if c.now < m.deaf && c.now >= m.deafened.Add(deafLeast) {
		m.deaf = c.now
	}
}

// noteRefused notes that a peer said why it does not take a batch of ours: it lacks it for
// no want of a way.
func (c *Core) noteRefused(p *peer, m *wire.Refuse) {
	t := c.topics[m.Topic]
	if len(c.lan.list) == 0 || t == nil || t.authors[c.self] == nil {
		return
	}
	l := c.linkTo(t.authors[c.self], p)
	if l.owned == nil {
		l.owned = &ownLink{}
	}
	if m.Mark.Compare(l.owned.refused) > 0 {
		l.owned.refused = m.Mark
	}
}

// newsOf returns the author's link to a peer that has word of it. What is heard of a
// segment says nothing about trees.
func (c *Core) newsOf(a *author, p *peer, via *segment) *link {
	if via != nil || p.member() {
		return c.linkTo(a, p)
	}
	return c.youngLink(a, p)
}
