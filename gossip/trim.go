package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// Retention by bytes removes the oldest of an author's events, on each node others.
// What a node has trimmed it neither holds nor wants, so two nodes compare
// what neither of them has trimmed: each tells the other its marks (Trimmed),
// and leaves out of the comparison what it holds below the other's. What is
// too old by its date is below the floor, and not told.

// marksPerMessage keeps a Trimmed below a control frame.
const marksPerMessage = wire.EntriesMax

// marksMax bounds the marks of one peer and topic that are remembered. What is
// beyond is compared, and found to differ, for good.
const marksMax = 1 << 16

// view returns what of the topic's set is compared with the peer.
func (tp *topicPeer) view() reconcile.View { return tp.topic.set.View(&tp.except) }

// Trim tells of batches that retention has removed from the log. They are not
// taken in again.
func (c *Core) Trim(ids []wire.BatchID) {
	floor := c.floor()
	var touched []*author
	for _, id := range ids {
		e := c.batch(id)
		if e == nil {
			continue
		}
		delete(c.batches, id.Short())
		a := e.author
		e.state = trimmed
		if e.time >= floor { // what is older goes with its whole subtree, below
			c.withdraw(e)
		}
		if n := len(touched); n == 0 || touched[n-1] != a {
			touched = append(touched, a)
		}
		c.raiseTrimmed(a, e)
	}
	gone := func(e *entry) bool { return e.state == trimmed }
	for _, a := range touched {
		a.batches = slices.DeleteFunc(a.batches, gone)
		a.barred = slices.DeleteFunc(a.barred, gone)
		c.leaveOut(a)
		c.order(a)
	}
	for _, t := range c.topicList {
		t.set.RemoveBelow(floor)
		for _, tp := range t.peers {
			removeBelow(&tp.except, floor)
		}
	}
}

func removeBelow(x *reconcile.Except, floor wire.Time) {
	var old []reconcile.Item
	for it := range x.All() {
		if it.Time >= floor {
			break
		}
		old = append(old, it)
	}
	for _, it := range old {
		x.Remove(it)
	}
}

// raiseTrimmed notes that nothing of the author's up to e is held any more.
func (c *Core) raiseTrimmed(a *author, e *entry) {
	end := e.end()
	a.trimTime = max(a.trimTime, e.time)
	if end.Compare(a.trimmed) <= 0 {
		return
	}
	c.trims++
	a.trims, a.topic.trims = c.trims, c.trims
	a.trimmed = end
	if end.Compare(a.released) > 0 && (a.topic.interested || a.released != (wire.Mark{})) {
		// It was waiting for what came before it, and both are given up.
		reason := GapTrimmed
		if e.verdict != 0 {
			reason = GapEquivocation
		}
		c.releaseGap(a, end, reason)
	}
	for _, m := range []*wire.Mark{&a.base, &a.released, &a.held} {
		if end.Compare(*m) > 0 {
			*m = end
		}
	}
}

// RestoreTrimmed tells up to where retention has removed the author's events,
// and the date of the newest of them.
func (c *Core) RestoreTrimmed(topic string, key wire.Author, upto wire.Mark, newest wire.Time) {
	a := c.authorOf(c.ownTopic(topic), key)
	c.trims++
	a.trims, a.topic.trims = c.trims, c.trims
	a.trimmed, a.trimTime, a.base = upto, newest, upto
	if a.released.Compare(upto) < 0 {
		a.released = upto
	}
}

// tellTrimmed tells the peer what was trimmed since it was told last, on the
// topics in common: before a heartbeat, so that this does not differ for it.
func (c *Core) tellTrimmed(p *peer) {
	for _, tp := range p.topics {
		t := tp.topic
		if !tp.common() || t.trims <= tp.trimmedTold {
			continue
		}
		var m *wire.Trimmed
		for _, a := range t.authorList {
			if a.trims <= tp.trimmedTold || a.trimTime < c.floor() {
				continue
			}
			if m == nil || len(m.Marks) == marksPerMessage {
				m = &wire.Trimmed{Topic: t.name}
				c.send(p, News, m)
			}
			m.Marks = append(m.Marks, wire.AuthorMark{Author: a.key, Mark: a.trimmed})
		}
		tp.trimmedTold = t.trims
	}
}

// untold reports whether something was trimmed that the peer does not know of.
func (c *Core) untold(p *peer) bool {
	for _, tp := range p.topics {
		if tp.topic.trims <= tp.trimmedTold || !tp.common() {
			continue
		}
		for _, a := range tp.topic.authorList {
			if a.trims > tp.trimmedTold && a.trimTime >= c.floor() {
				return true
			}
		}
	}
	return false
}

// receiveTrimmed leaves out of the comparison with the peer what it trimmed.
// A peer that claims too much harms itself alone: it is not repaired.
func (c *Core) receiveTrimmed(p *peer, m *wire.Trimmed) {
	t := c.topics[m.Topic]
	var tp *topicPeer
	if t != nil {
		tp = t.topicPeerOf(p)
	}
	if tp == nil {
		c.stats.Unsolicited++
		return
	}
	if tp.gone == nil {
		tp.gone = map[wire.Author]wire.Mark{}
	}
	var items []reconcile.Item
	for _, g := range m.Marks {
		old, known := tp.gone[g.Author]
		if g.Mark.Compare(old) <= 0 {
			continue
		}
		if !known && len(tp.gone) >= marksMax {
			c.stats.TrimmedRefused++
			continue
		}
		tp.gone[g.Author] = g.Mark
		if a := t.authors[g.Author]; a != nil {
			items = a.between(items, old, g.Mark)
		}
	}
	tp.except.Merge(items)
}

// between appends what the set has of the author's batches that end after after
// and at or before upto.
func (a *author) between(items []reconcile.Item, after, upto wire.Mark) []reconcile.Item {
	for _, list := range [...][]*entry{a.batches, a.barred} {
		for _, e := range list {
			end := e.end()
			if end.Compare(after) > 0 && end.Compare(upto) <= 0 && a.topic.set.Has(e.item()) {
				items = append(items, e.item())
			}
		}
	}
	return items
}

// leaveOut takes out of the set what is held of the author's up to its mark: one
// that was being written when those after it were trimmed. Peers leave it out too.
func (c *Core) leaveOut(a *author) {
	for _, e := range a.batches {
		if e.end().Compare(a.trimmed) > 0 {
			break
		}
		c.withdraw(e)
	}
	for _, e := range a.barred {
		if e.end().Compare(a.trimmed) <= 0 {
			c.withdraw(e)
		}
	}
}

// insert makes a batch part of the topic's set, unless it is below our own mark.
func (c *Core) insert(e *entry) {
	a := e.author
	if e.end().Compare(a.trimmed) <= 0 || !a.topic.set.Insert(e.item()) {
		return
	}
	a.topic.newest = max(a.topic.newest, e.time)
	for _, tp := range a.topic.peers {
		if gone, ok := tp.gone[a.key]; ok && e.end().Compare(gone) <= 0 {
			tp.except.Insert(e.item())
		}
	}
}

// withdraw takes a batch out of the topic's set, and of what peers are excepted.
func (c *Core) withdraw(e *entry) {
	t := e.author.topic
	if !t.set.Remove(e.item()) {
		return
	}
	for _, tp := range t.peers {
		tp.except.Remove(e.item())
	}
}
