package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// identity watches for another process that publishes with our key.
type identity struct {
	epoch  wire.Epoch // of this run; 0: not chosen yet
	newest wire.Epoch // of ours that the log or a peer showed
	inUse  bool
}

// SetEpoch tells the epoch of this run, before its first Publish.
func (c *Core) SetEpoch(e wire.Epoch) { c.identity.epoch = e }

// NewestEpoch returns the newest epoch of our own that the log or a peer
// showed. The epoch of this run must be above it.
func (c *Core) NewestEpoch() wire.Epoch { return c.identity.newest }

// checkIdentity looks at a batch of ours that came from a peer and was not in
// the log. One from before this run tells that the log was lost: it is taken
// back. One published since, in an epoch that we did not choose or in ours,
// tells that the key is in use elsewhere. Of two such processes at least one
// is told, for the epochs are ordered.
func (c *Core) checkIdentity(h *wire.Header) {
	if h.Author != c.self {
		return
	}
	id := &c.identity
	id.newest = max(id.newest, h.Epoch)
	mine := id.epoch
	if mine == 0 || h.Epoch < mine && h.Time <= mine.Time() {
		return
	}
	c.stats.ForeignEpoch++
	if !id.inUse {
		id.inUse = true
		c.notice(Notice{Kind: NoticeIdentityInUse, Topic: h.Topic, Author: c.self, Mark: h.End()})
	}
}

// conflicts reports whether the batch may not be released (barred) because its
// author signed another one for the same place, or did so earlier in the epoch;
// and whether it is the one that proves it. The proof is spread as a rumor; what
// else is barred is kept, and only anti-entropy tells of it.
func (c *Core) conflicts(a *author, h *wire.Header) (barred, proof bool) {
	if m, ok := a.closedAt(h.Epoch); ok && h.Start().Compare(m) >= 0 {
		return true, false
	}
	other := a.overlap(h)
	if other == nil {
		return false, false
	}
	at := h.Start()
	if other.start.Compare(at) < 0 {
		at = other.start
	}
	a.close(at)
	c.stats.Equivocations++
	c.notice(Notice{Kind: NoticeEquivocation, Topic: a.topic.name, Author: a.key, Mark: at})
	// What is held of the closed part and was not released stays so.
	a.batches = slices.DeleteFunc(a.batches, func(e *entry) bool {
		barred := e.start.Epoch == at.Epoch && e.start.Compare(at) >= 0 && !e.released
		if barred {
			e.verdict = wire.ReasonConflict
			a.barred = append(a.barred, e)
			c.out.Verdicts = append(c.out.Verdicts, Verdict{e.id, wire.ReasonConflict})
		}
		return barred
	})
	return true, true
}

// floor returns the date below which nothing is accepted or compared.
func (c *Core) floor() wire.Time {
	if c.cfg.RetainAge == 0 {
		return 0
	}
	// Quantised, so that two nodes mostly name the same one.
	q := wire.Time(max(c.cfg.RetainAge/64, time.Second))
	return (c.wall.Add(-c.cfg.RetainAge) + q - 1) / q * q
}

// judgeClock compares our clock with the peers' median.
func (c *Core) judgeClock() {
	offsets := make([]time.Duration, 0, 64) // on the stack: this is looked at with each heartbeat
	for _, p := range c.peerList {
		if p.beat.heard {
			offsets = append(offsets, p.beat.offset)
		}
	}
	var median time.Duration // nobody to compare with: ours is as good as any
	if len(offsets) > 0 {
		slices.Sort(offsets)
		median = offsets[len(offsets)/2]
	}
	off := median > wire.FutureMax || median < -wire.FutureMax
	if off == c.clockOff {
		return
	}
	c.clockOff = off
	n := Notice{Kind: NoticeClock}
	if off {
		n.Offset = median
	}
	c.notice(n)
}
