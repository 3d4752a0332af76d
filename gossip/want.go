package gossip

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// want is a request that was sent and not yet ended.
type want struct {
	id       uint32
	peer     *peer
	author   *author // of a wire.Want
	topic    *topic  // of a wire.WantIDs
	weight   int     // what it takes of a peer's room, in quarters of a whole want
	got      int     // batches of use that came
	bytes    int     // of parts of batches
	began    Time
	items    []*lackItem // of a wire.WantIDs
	progress Time        // when the last one came
	excused  bool        // what came was of no use through no fault of the peer's
	done     bool
	hole     bool // for what was given up: if the author has it no more, that is no fault
}

const (
	// strikeFactor is for how many GapTimeouts a peer that did not serve what it
	// claims is not asked again for that author; twice as many for each further
	// time, up to strikesMax times, until it brings something of use. To claim
	// more helps it nothing.
	strikeFactor = 3
	strikesMax   = 5

	// busyDelay is how long one waits that was told «more» and got nothing.
	busyDelay = 50 * time.Millisecond

	// busyMax is how often in a row a peer may say so. Then it is taken not to have
	// what it claims, or it could hold back for good what others would serve.
	busyMax = 16
)

// A want of few batches takes only part of the room that a whole one takes, and
// asks for as many bytes less: with WantsMax whole ones a peer could not be kept
// busy over a long link while each author lacks little. What is asked of a peer
// at a time stays below WantsMax × serveBatchesMax batches and WantsMax ×
// ServeMaxBytes, or a batch a want, all the same.
const wholeWant = 4

// wantWeight returns the weight of a want for what comes after after, up to
// upto. In one epoch there are no more batches than sequence numbers.
func wantWeight(after, upto wire.Mark) int {
	if after.Epoch != upto.Epoch || upto.Seq <= after.Seq {
		return wholeWant
	}
	const quarter = serveBatchesMax / wholeWant
	return int(min((upto.Seq-after.Seq+quarter-1)/quarter, wholeWant))
}

// load returns the weight of all wants outstanding at the peer.
func (p *peer) load() (n int) {
	for _, w := range p.wantList {
		n += w.weight
	}
	return n
}

// room returns how many whole wants more the peer can be sent.
func (c *Core) room(p *peer) int { return c.cfg.WantsMax - (p.load()+wholeWant-1)/wholeWant }

// limitedServeBytes bounds what is asked over a relayed connection, or of a member, at a time.
const limitedServeBytes = 64 << 10

// slowServeBytes bounds it where the link turned out slow: a batch that exceeds it leaves
// in parts, each of which shows that the answer makes progress.
const slowServeBytes = 64 << 10

func (c *Core) askBytes(p *peer) uint32 {
	if p.slow {
		return uint32(min(c.cfg.ServeMaxBytes, slowServeBytes))
	}
	if p.info.Limited || p.member() {
		return limitedServeBytes
	}
	return uint32(c.cfg.ServeMaxBytes)
}

func (c *Core) newWant(p *peer) *want {
	c.wantID++
	c.stats.WantsSent++
	w := &want{id: c.wantID, peer: p, weight: wholeWant, progress: c.now, began: c.now}
	w.excused = p.member() // what it sent may be lost on the way
	p.used = c.now
	if p.wants == nil {
		p.wants = map[uint32]*want{}
	}
	p.wants[w.id] = w
	p.wantList = append(p.wantList, w)
	c.timers.at(c.now.Add(c.wantTimeout(p)), wantTimer{w})
	return w
}

// memberPatience is the most that an answer of a member may make no progress: a segment
// loses what it could not bring in two seconds.
const memberPatience = 2 * time.Second

func (c *Core) wantTimeout(p *peer) time.Duration {
	if p.member() {
		return min(c.cfg.WantTimeout, memberPatience)
	}
	return c.cfg.WantTimeout
}

type wantTimer struct{ w *want }

func (t wantTimer) due(c *Core) {
	w := t.w
	if w.done {
		return
	}
	if end := w.progress.Add(c.wantTimeout(w.peer)); c.now < end {
		c.timers.at(end, t)
		return
	}
	c.stats.WantTimeouts++
	again := !w.peer.slow // for little at a time, in case its link is slow
	w.peer.slow = true
	w.got = 0
	c.endWant(w, !again)
}

func (c *Core) receiveServed(p *peer, m *wire.Served) {
	w := p.wants[m.ID]
	if w == nil {
		return
	}
	if w.got > 0 || !m.More {
		p.busy = 0
	} else {
		p.busy++
	}
	c.endWant(w, !m.More || p.busy >= busyMax)
}

// endWant ends a want; whole tells that the peer has no more for it. One that
// brought nothing strikes the peer.
func (c *Core) endWant(w *want, whole bool) {
	p := w.peer
	w.done = true
	delete(p.wants, w.id)
	for i, x := range p.wantList {
		if x == w {
			p.wantList = append(p.wantList[:i], p.wantList[i+1:]...)
			break
		}
	}
	if w.got == 0 {
		c.stats.WantsUnserved++
	}
	if w.got == 0 && whole && w.excused && !p.spared {
		p.spared, whole = true, false // it is asked once more
	}
	if a := w.author; a != nil {
		a.fetch.want = nil
		switch {
		case w.got > 0:
			c.fetch(a)
		case whole && w.hole:
			if l := a.linkOf(p); l != nil {
				l.refilled++
			}
			c.fetchSoon(a, c.cfg.WantTimeout)
		case whole:
			c.strike(a, p)
			c.fetch(a)
		default:
			c.fetchSoon(a, busyDelay)
		}
		a.topic.fetching-- // only now: the next want goes on with this one
	} else {
		c.endWantIDs(w, whole)
	}
	c.serveQueue(p)
	c.pumpPeer(p)
}

// claimedBy reports whether the link's peer says that it holds something of what is
// missing, up to upto.
func (a *author) claimedBy(l *link, upto wire.Mark) bool {
	return l.claim().Compare(a.released) > 0 && l.base.Compare(upto) < 0
}

// strike keeps the peer from being asked for the author's events for a while: if it claimed
// nothing of what is missing, until it does (raiseHead).
func (c *Core) strike(a *author, p *peer) {
	l := c.linkTo(a, p)
	wait := strikeFactor * c.cfg.GapTimeout
	if p.member() {
		wait = memberPatience // the answer may have been lost, and with it the word of its end
	}
	_, upto, _ := a.missing()
	if l.vain = !a.claimedBy(l, upto); l.vain {
		l.struck = c.now.Add(wait)
		return
	}
	l.struck = c.now.Add(wait << l.strikes)
	l.strikes = min(l.strikes+1, strikesMax)
}

// dropWants ends all that is outstanding at a peer that went down.
func (c *Core) dropWants(p *peer) {
	for len(p.wantList) > 0 {
		w := p.wantList[len(p.wantList)-1]
		w.got++ // it is no fault of the peer's
		c.endWant(w, false)
	}
	c.serveQueue(p)
}

// arrived notes a batch that is of use and came in answer to a want of ours.
func (c *Core) arrived(p *peer, m *wire.Push) {
	t := c.topics[m.Batch.Header.Topic]
	if t == nil || !m.Repair {
		return
	}
	of := false // what was asked
	if a := t.authors[m.Batch.Header.Author]; a != nil && a.fetch.want != nil && a.fetch.want.peer == p {
		a.fetch.want.got++
		t.fetched = c.now
		l := c.linkTo(a, p)
		l.struck, l.strikes = 0, 0
		of = true
	}
	for _, w := range p.wantList {
		if w.topic == t && t.lack.asked(m.Batch.ID, w) {
			w.got++
			of = true
		}
	}
	if of {
		p.spared = false
		c.credit(p, m.Batch.Size())
	}
}
