package gossip

import "github.com/busnode/busnode/gossip/wire"

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
	if c.batch(m.ID) != nil {
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
	if e.state != lost {
		c.insert(e)
	}
	c.seen = max(c.seen, e.time)
	if m.Header.Author == c.self {
		c.identity.newest = max(c.identity.newest, m.Header.Epoch)
	}
	if m.Verdict == wire.ReasonConflict {
		a.close(e.start)
	}
	if m.Verdict != 0 {
		a.barred = append(a.barred, e)
		return
	}
	a.batches = append(a.batches, e)
	if m.Released && a.released.Compare(e.end()) < 0 {
		a.released = e.end()
	}
}

// RestoreGap tells of a gap that the log has released.
func (c *Core) RestoreGap(g Gap) {
	a := c.authorOf(c.ownTopic(g.Topic), g.Author)
	if a.released.Compare(g.To) < 0 {
		a.released = g.To
	}
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

// Lost tells of batches whose bodies were found damaged: they are fetched
// again, and fill their old place. Until then they are not compared: a peer that
// lacks one too could not have it from us, and would differ for good.
func (c *Core) Lost(ids []wire.BatchID) {
	for _, id := range ids {
		if e := c.batch(id); e != nil && e.state == held {
			c.stats.Lost++
			e.state = lost
			c.withdraw(e)
			c.addLost(e.author.topic, id)
		}
	}
}
