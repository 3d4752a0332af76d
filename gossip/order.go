package gossip

import "github.com/busnode/busnode/gossip/wire"

// order releases the author's batches by prev, oldest first, epochs ascending,
// as far as they go. A batch whose predecessor is missing waits: the missing
// stretch is asked for, and reported as a gap only when nobody claims it for
// GapTimeout.
func (c *Core) order(a *author) {
	if a.trimmed.Compare(a.released) > 0 {
		c.releaseGap(a, a.trimmed, GapTrimmed) // again: the log refused it
	}
	for {
		e := a.waiting()
		if e == nil {
			a.gapFrom = Never
			break
		}
		if e.prev.Mark.Compare(a.released) > 0 && !c.skip(a, e) {
			c.fetchSoon(a, c.gapPatience(a.topic))
			break
		}
		c.release(a, e, false)
	}
	c.advanceHeld(a)
}

// waiting returns the first batch that was not released and is not late.
func (a *author) waiting() *entry {
	for i := a.search(wire.Mark{Epoch: a.released.Epoch, Seq: a.released.Seq + 1}); i < len(a.batches); i++ {
		e := a.batches[i]
		if !e.released {
			return e
		}
		a.released = e.end()
	}
	return nil
}

// missing returns the stretch of the author's events that this node lacks
// next: what comes after after, up to and including upto.
func (a *author) missing() (after, upto wire.Mark, ok bool) {
	if e := a.waiting(); e != nil {
		return a.released, e.prev.Mark, true
	}
	m := a.claimed()
	if end, ok := a.closedAt(m.Epoch); ok && m.Compare(end) >= 0 {
		// Its author, and whoever does not know of the equivocation yet, has released what is barred
		// here: it is not missing.
		m = wire.Mark{Epoch: end.Epoch, Seq: end.Seq - 1}
	}
	return a.released, m, m.Compare(a.released) > 0
}

func (c *Core) release(a *author, e *entry, late bool) {
	e.released = true
	if late {
		c.stats.Late++
	} else {
		a.released, a.gapFrom = e.end(), Never // whatever is missing next is another gap
	}
	c.out.Release = append(c.out.Release, Release{ID: e.id, Late: late})
}

// skip passes over what e waits for if it need not be waited for, and reports
// whether it did.
func (c *Core) skip(a *author, e *entry) bool {
	if m, ok := a.closedAt(e.prev.Epoch); ok && e.prev.Mark.Compare(m) >= 0 {
		c.releaseGap(a, e.prev.Mark, GapEquivocation)
		return true
	}
	if e.prev.Time >= c.floor() {
		return false
	}
	if a.released == (wire.Mark{}) {
		// A joiner is not owed what was too old before it came.
		a.released, a.base = e.prev.Mark, e.prev.Mark
		return true
	}
	c.releaseGap(a, e.prev.Mark, GapTrimmed)
	return true
}

// releaseGap reports that the events after the last released, up to and
// including upto, cannot be had.
func (c *Core) releaseGap(a *author, upto wire.Mark, reason string) {
	from := wire.Mark{Epoch: a.released.Epoch, Seq: a.released.Seq + 1}
	if from.Epoch == 0 {
		from = wire.Mark{Epoch: upto.Epoch, Seq: 1}
	}
	c.stats.Gaps++
	if reason == GapTrimmed {
		c.stats.GapTrimmed++
	}
	c.out.Release = append(c.out.Release, Release{Gap: &Gap{a.topic.name, a.key, from, upto, reason}})
	a.released, a.base = upto, upto
	c.reopen(a)
}

// gapTimer looks whether an author's gap has been unclaimed for long enough.
type gapTimer struct{ a *author }

func (t gapTimer) due(c *Core) {
	a := t.a
	a.gapTimed = false
	if a.gapFrom == Never {
		return
	}
	if !a.topic.interested {
		a.gapFrom = Never // AddInterest begins anew
		return
	}
	if end := a.gapFrom.Add(c.cfg.GapTimeout); c.now < end {
		c.timers.at(end, t)
		a.gapTimed = true
		return
	}
	e := a.waiting()
	if e == nil || c.repairPending(a) {
		a.gapFrom = Never // whoever ends the repair begins the wait again
		if e != nil {
			c.fetchSoon(a, c.cfg.GapTimeout/10)
		}
		return
	}
	a.gapFrom = Never
	reason := GapLost
	if a.trimmedByAll(e.prev.Mark) {
		reason = GapTrimmed
	}
	c.releaseGap(a, e.prev.Mark, reason)
	c.order(a)
}

// trimmedByAll reports whether all peers that tell what they hold of the author have
// trimmed it up to upto.
func (a *author) trimmedByAll(upto wire.Mark) bool {
	told := false
	for _, tp := range a.topic.peers {
		if !tp.common() {
			continue
		}
		if tp.gone[a.key].Compare(upto) < 0 {
			return false
		}
		told = true
	}
	return told
}

// startGap begins the wait before a gap is reported, unless it runs.
func (c *Core) startGap(a *author) {
	if a.gapFrom != Never || a.waiting() == nil {
		return
	}
	a.gapFrom = c.now
	if !a.gapTimed {
		a.gapTimed = true
		c.timers.at(c.now.Add(c.cfg.GapTimeout), gapTimer{a})
	}
}
