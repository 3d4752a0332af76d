package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// Heads are word of what is new and acknowledgement in one: each node tells
// its neighbours, per author and topic, up to where it holds everything.

// greetAuthorsMax bounds the authors whose heads are told to a peer as soon as
// the topic turns out to be common. With more, only those that published of
// late are told, and anti-entropy finds the rest.
const greetAuthorsMax = 256

// advanceHeld moves the author's head past what is released and in the log.
func (c *Core) advanceHeld(a *author) {
	i := a.search(wire.Mark{Epoch: a.held.Epoch, Seq: a.held.Seq + 1})
	moved, repaired := false, false
	for ; i < len(a.batches); i++ {
		e := a.batches[i]
		if e.state == storing || !e.released || e.start.Compare(a.released) > 0 {
			break
		}
		a.held = e.end()
		moved, repaired = true, e.repaired
	}
	if !moved {
		return
	}
	c.touchHead(a)
	if repaired && a.topic.lack.found == 0 && a.held.Compare(a.claimed()) >= 0 {
		c.flushAt = c.now // nobody pushes it: whoever waits for the word has waited for long enough
	}
}

// touchHead makes the author's head be told with the next flush.
func (c *Core) touchHead(a *author) {
	if a.topic.monger != nil && !c.tellsAuthor(a) {
		return
	}
	if !a.dirty {
		a.dirty = true
		c.dirty = append(c.dirty, a)
	}
	c.flushAt = min(c.flushAt, c.now.Add(c.wordDelay(a)))
	c.ackSoon(a)
	c.wordSoon(a)
}

// hearsayFactor bounds, as a multiple of AuthorsMax, the authors that peers can
// make us remember by word alone, each of them AuthorsMax. They are forgotten
// with the last peer that has word of them.
const hearsayFactor = 4

// flushHeads tells the heads that moved to those who do not know them yet.
func (c *Core) flushHeads() {
	authors := c.dirty
	c.dirty, c.flushAt = nil, Never
	c.acks, c.ackAt = nil, Never
	// Authors of one topic together, so that they share messages; stable, so
	// that a run repeats.
	slices.SortStableFunc(authors, func(x, y *author) int {
		if x.topic == y.topic {
			return 0
		}
		if x.topic.name < y.topic.name {
			return -1
		}
		return 1
	})
	for _, a := range authors {
		a.dirty = false
		var until Time
		for _, tp := range a.topic.peers {
			if c.isTold(tp, a) {
				c.tellHead(a, tp.peer)
			} else {
				until = max(until, c.castUntil(a, tp.peer))
			}
		}
		if c.now < until {
			a.dirty = true
			c.dirty = append(c.dirty, a)
			c.flushAt = min(c.flushAt, until)
		} else {
			a.untold = 0
		}
	}
	c.endHaves()
}

// isAuthor reports whether the peer is the author, and holds the topic.
func (tp *topicPeer) isAuthor(a *author) bool {
	return tp.holds && tp.peer.hasAuthor && tp.peer.author == a.key && !tp.peer.member()
}

// tellsAuthor reports whether the author is told its head on a topic that is
// mongered: rumors are no lazy word, and an author wants to know who holds what.
func (c *Core) tellsAuthor(a *author) bool {
	return a.topic.compared && a.key != c.self &&
		slices.ContainsFunc(a.topic.peers, func(tp *topicPeer) bool { return tp.isAuthor(a) })
}

// tellHead adds the author's head to the message that is being gathered for the
// peer, unless the peer was told. What it told us itself is news to it only if it
// is the author, who wants to know who holds what. endHaves ends the gathering.
func (c *Core) tellHead(a *author, p *peer) {
	l := c.linkTo(a, p)
	if a.held == (wire.Mark{}) || l.told.Compare(a.held) >= 0 || a.base.Compare(a.held) > 0 {
		return // with a base above it, a gap was released, and what comes after it is being written
	}
	if l.head.Compare(a.held) >= 0 && (!p.hasAuthor || p.author != a.key) {
		return
	}
	l.told = a.held
	if !p.member() {
		if p.numbers.stands(a, l.number) {
			c.tellAdvance(p, wire.AdvancedHead{Number: l.number.n, Seq: a.held.Seq})
			return
		}
		taken := false
		if l.number, taken = p.numbers.give(a, l.number); taken {
			p.have = nil // what is told under the number so far goes before
		}
	}
	m := p.have
	if m == nil || m.Topic != a.topic.name || len(m.Heads) == headsPerMessage {
		m = &wire.Have{Topic: a.topic.name}
		p.have = m
		c.send(p, News, m)
	}
	m.Heads = append(m.Heads, wire.Head{Author: a.key, Base: a.base, Head: a.held, Number: l.number.n})
}

// tellAdvance adds a head to the other message that is being gathered.
func (c *Core) tellAdvance(p *peer, h wire.AdvancedHead) {
	m := p.advance
	if m == nil || len(m.Heads) == wire.EntriesMax {
		m = &wire.Advance{}
		p.advance = m
		c.send(p, News, m)
	}
	m.Heads = append(m.Heads, h)
}

func (c *Core) endHaves() {
	for _, p := range c.peerList {
		p.have, p.advance = nil, nil
	}
}

// greet tells a peer that has just met a topic the heads we hold, so that what
// either missed is asked for at once. To a publish-only peer only its own
// concern it.
func (c *Core) greet(tp *topicPeer) {
	t, p := tp.topic, tp.peer
	if p.quiet() {
		return
	}
	defer func() { p.have, p.advance = nil, nil }()
	c.shuffleSoon(tp)
	for _, it := range t.lack.lost {
		tp.askFor(it) // here is somebody new to ask for damaged bodies
	}
	c.pumpLack(t)
	if !t.compared {
		return
	}
	if !tp.wants {
		if a := t.authors[p.author]; a != nil && p.hasAuthor {
			c.tellHead(a, p)
		}
		return
	}
	if tp.common() {
		c.beatSoon(p, beatSoonDelay)
	}
	since := c.hlc().Add(-c.cfg.Settle - 10*time.Second)
	for _, a := range t.authorList {
		if len(t.authorList) <= greetAuthorsMax || len(a.batches) > 0 && a.batches[len(a.batches)-1].time >= since {
			if len(a.batches) > 0 {
				c.newsOf(a, p, nil)
			}
			if c.castWaits(a, p) {
				c.touchHead(a)
			} else {
				c.tellHead(a, p)
			}
		}
		if a.gapFrom != Never {
			c.fetchSoon(a, 0) // here is somebody new to ask
		}
	}
}

func (c *Core) receiveHave(p *peer, m *wire.Have) {
	t := c.topics[m.Topic]
	if t == nil {
		p.noteNumbers(reconcile.TopicHash(m.Topic), m.Heads)
		c.stats.Unsolicited++
		return
	}
	p.noteNumbers(t.hash, m.Heads)
	if t.topicPeerOf(p) == nil {
		c.stats.Unsolicited++
		return
	}
	for _, h := range m.Heads {
		if t.interested || h.Author == c.self {
			c.receiveHead(t, p, h, nil)
		}
	}
	c.relieveBy(p)
}

// receiveHead notes what the peer holds. via is the segment over which it said so to
// all; nil: it told us.
func (c *Core) receiveHead(t *topic, p *peer, h wire.Head, via *segment) {
	if h.Base.Compare(h.Head) > 0 {
		c.demerit(p, "a head below its base")
		return
	}
	its := p.hasAuthor && p.author == h.Author // no hearsay
	if t.authors[h.Author] == nil && !its {
		if p.hearsay++; p.hearsay > c.cfg.AuthorsMax || c.authors >= hearsayFactor*c.cfg.AuthorsMax {
			c.stats.HeadsRefused++ // a batch of the author's, being signed, is still taken
			return
		}
	}
	a := c.authorOf(t, h.Author)
	l := c.newsOf(a, p, via)
	greeting := l.head == (wire.Mark{}) && c.justMet(t, p)
	l.base = h.Base
	if h.Author == c.self && h.Head.Compare(a.held) > 0 {
		// Nobody holds of ours what we have not published: it is from before
		// our log was lost, from a twin, or a lie. What it serves will tell.
		l.beyond, h.Head = h.Head, a.held
	}
	c.raiseHead(a, l, h.Head)
	if l.suspended && l.head.Compare(a.held) >= 0 {
		l.suspended = false
	}
	if a.topic.compared && a.wanted(c) && l.claim().Compare(a.released) > 0 {
		wait := c.patience(a, l)
		if via != nil {
			wait = c.segmentPatience(via, a, p)
		} else if greeting && t.monger == nil {
			wait = 0 // what it held before we met is no rumor on its way
		}
		if wait > 0 && via == nil {
			c.noteEarly(a, l)
		}
		c.fetchSoon(a, wait)
	} else if its && t.interested && l.refilled < refillsMax {
		c.fetchSoon(a, 0)
	}
}

// holdsToo notes that the peer, which pushed the batch or knows it, holds it: and
// all before it, if it is known to hold what comes right before.
func (c *Core) holdsToo(e *entry, p *peer) {
	a := e.author
	if !a.topic.compared && a.key != c.self {
		return // nobody asks who holds it
	}
	if l := c.linkTo(a, p); e.prev.Mark.Compare(l.head) <= 0 {
		c.raiseHead(a, l, e.end())
	}
}

// raiseHead notes that the link's peer holds all up to m.
func (c *Core) raiseHead(a *author, l *link, m wire.Mark) {
	if m.Compare(l.head) <= 0 {
		return
	}
	l.head = m
	if l.vain {
		if _, upto, missing := a.missing(); missing && a.claimedBy(l, upto) {
			l.struck, l.vain = 0, false // it had not what it was asked for, and has it now
		}
	}
	if m.Compare(a.acked) > 0 {
		a.acked = m
	}
	c.notice(Notice{Kind: NoticeAcked, Peer: l.peer.id, Topic: a.topic.name, Author: a.key, Mark: m})
}

// patience returns how long to wait for a push of what l's peer has word of.
// On an ordered lane, word from one who would push to us means that it pushed
// what it means to push: it repaired the rest itself, or has just met us, and
// whoever repaired tells it on as word, so nobody is going to push it. (Both
// ends of a link agree on whether it is lazy but for messages on their way.)
// And where nobody else would push, there is nothing to wait for.
func (c *Core) patience(a *author, l *link) time.Duration {
	if a.topic.monger != nil {
		return c.gapPatience(a.topic)
	}
	if c.castsTo(a) {
		wait, _ := c.flow(a)
		return wait
	}
	if l.pushes() || !a.pushedByOther(l.peer) {
		return 0
	}
	if a.fresh() {
		return c.cfg.GraftDelay / freshHaste
	}
	return c.cfg.GraftDelay
}

// gapPatience returns how long to wait for a batch that others turn out to be
// missing before it is asked for. A tree brings an author's batches in order. Rumors
// come as chance has it, so nobody is asked while they may be on their way;
// and where nobody is to be asked at all, the wait for the gap's report begins.
func (c *Core) gapPatience(t *topic) time.Duration {
	if t.monger == nil || !t.compared {
		return 0
	}
	return c.cfg.Settle
}

// HeldBy returns how many other nodes are known to hold the author's events of
// the topic up to m.
func (c *Core) HeldBy(topic string, key wire.Author, m wire.Mark) int {
	t := c.topics[topic]
	if t == nil || t.authors[key] == nil {
		return 0
	}
	a, n := t.authors[key], 0
	for i := range a.links {
		if a.links[i].head.Compare(m) >= 0 {
			n++
		}
	}
	if n == 0 && a.acked.Compare(m) >= 0 {
		return 1 // by one that is down now
	}
	return n
}
