package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// Meta is what the core is told of a stored batch.
type Meta struct {
	ID       wire.BatchID
	Header   *wire.Header
	Released bool
	Verdict  wire.Reason
	Lost     bool // its body must be fetched again
}

// Restore tells of a batch that the log holds, each author's of a topic by
// ascending (epoch, sequence).
func (c *Core) Restore(m Meta) {
	if c.batches[m.ID] != nil {
		return
	}
	t := c.ownTopic(m.Header.Topic)
	a := c.authorOf(t, m.Header.Author)
	e := c.newEntry(a, m.ID, m.Header)
	e.state, e.released, e.verdict = held, m.Released, m.Verdict
	if m.Lost {
		e.state = lost
	}
	t.listed = true
	t.set.Insert(e.item())
	c.seen = max(c.seen, e.time)
	if m.Header.Author == c.self {
		c.identity.newest = max(c.identity.newest, m.Header.Epoch)
	}
	if m.Verdict == wire.ReasonConflict {
		a.close(e.start)
	}
	if m.Verdict == 0 {
		a.batches = append(a.batches, e)
		if m.Released && a.released.Compare(e.end()) < 0 {
			a.released = e.end()
		}
	}
}

// RestoreGap tells of a gap that the log has released.
func (c *Core) RestoreGap(g Gap) {
	a := c.authorOf(c.ownTopic(g.Topic), g.Author)
	if a.released.Compare(g.To) < 0 {
		a.released = g.To
	}
}

// RestoreTrimmed tells up to where retention has removed the author's events.
func (c *Core) RestoreTrimmed(topic string, key wire.Author, upto wire.Mark) {
	a := c.authorOf(c.ownTopic(topic), key)
	a.trimmed = upto
	if a.released.Compare(upto) < 0 {
		a.released = upto
	}
	a.base = upto
}

// Restored ends the telling: batches that were in the log but not yet
// released are released now, if it is their turn.
func (c *Core) Restored() {
	for _, t := range c.topicList {
		for _, a := range t.authorList {
			if len(a.batches) > 0 && a.base == (wire.Mark{}) {
				a.base = a.batches[0].prev.Mark
			}
			for _, e := range a.batches {
				if !e.released && e.end().Compare(a.released) <= 0 {
					c.release(a, e, true)
				}
			}
			c.order(a)
			for _, e := range a.batches {
				if e.state == lost {
					c.addLost(t, e.id)
				}
			}
		}
	}
}

// Trim tells of batches that retention has removed from the log. They are not
// taken in again.
func (c *Core) Trim(ids []wire.BatchID) {
	floor := c.floor()
	var touched []*author
	for _, id := range ids {
		e := c.batches[id]
		if e == nil {
			continue
		}
		delete(c.batches, id)
		a := e.author
		e.state = trimmed
		if n := len(touched); n == 0 || touched[n-1] != a {
			touched = append(touched, a)
		}
		if end := e.end(); e.verdict == 0 && end.Compare(a.trimmed) > 0 {
			a.trimmed = end
			if end.Compare(a.base) > 0 {
				a.base = end
			}
			if end.Compare(a.released) > 0 {
				a.released = end
			}
			if end.Compare(a.held) > 0 {
				a.held = end
			}
		}
	}
	for _, a := range touched {
		a.batches = slices.DeleteFunc(a.batches, func(e *entry) bool { return e.state == trimmed })
	}
	// What was trimmed for its bytes stays in the set until it is too old for
	// all, so that nodes agree on what exists though they keep different parts.
	for _, t := range c.topicList {
		t.set.RemoveBelow(floor)
	}
}

// Lost tells of batches whose bodies were found damaged: they are fetched
// again, and fill their old place.
func (c *Core) Lost(ids []wire.BatchID) {
	for _, id := range ids {
		if e := c.batches[id]; e != nil && e.state == held {
			c.stats.Lost++
			e.state = lost
			c.addLost(e.author.topic, id)
		}
	}
}
