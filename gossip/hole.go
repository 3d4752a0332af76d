package gossip

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// What was given up as a gap comes back, as late, by anti-entropy. With an author
// that only publishes no sets are compared: heads say all, but for what lies
// before them. So the author itself is asked for that.

// refillsMax is how often on one connection, in vain: an answer may meet a full
// outbox, and an author that has lost its log does not have what its head seems to say.
const refillsMax = 4

// fetchHole asks an author that only publishes for what was given up of its
// events, if it is connected and may have it.
func (c *Core) fetchHole(a *author) {
	l := a.itself()
	if l == nil || l.refilled >= refillsMax || a.fetch.queued != nil {
		return
	}
	p := l.peer
	if tp := a.topic.topicPeerOf(p); tp == nil || !tp.holds || tp.scope == wire.ScopeFull {
		return // anti-entropy does
	}
	after, upto, ok := c.hole(a, l.base)
	switch {
	case !ok:
		l.refilled = refillsMax // until there is another gap
	case l.struck > c.now:
		c.fetchSoon(a, time.Duration(l.struck-c.now))
	case c.unwritable || c.room(p) <= 0:
		c.fetchSoon(a, c.cfg.WantTimeout)
	default:
		c.askRange(a, p, after, upto)
		a.fetch.want.hole = true
	}
}

// reopen lets the author be asked again, for there is a new gap.
func (c *Core) reopen(a *author) {
	if l := a.itself(); l != nil {
		l.refilled = 0
		c.fetchSoon(a, 0)
	}
}

// itself returns the author's link to the author's own node, or nil.
func (a *author) itself() *link {
	for i := range a.links {
		if p := a.links[i].peer; p.hasAuthor && p.author == a.key {
			return &a.links[i]
		}
	}
	return nil
}

// hole returns the first stretch that lies before what was released, is not held, and
// may be: above base, neither trimmed nor too old, and not after an epoch's end.
func (c *Core) hole(a *author, base wire.Mark) (after, upto wire.Mark, ok bool) {
	after = a.trimmed
	for _, e := range a.batches {
		prev := e.prev.Mark
		if prev.Compare(a.released) > 0 {
			break // it waits: that is missing, not given up
		}
		end, closed := a.closedAt(prev.Epoch)
		barred := closed && prev.Compare(end) >= 0
		if prev.Compare(after) > 0 && prev.Compare(base) > 0 && e.prev.Time >= c.floor() && !barred {
			return after, prev, true
		}
		if e.end().Compare(after) > 0 {
			after = e.end()
		}
	}
	return after, after, false
}
