package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// fetchState is the repair of one author's missing stretch. At most one want
// for it is outstanding, whoever claims it.
type fetchState struct {
	at       Time  // when it is due; Never: not scheduled
	want     *want // outstanding; nil: none
	queued   *peer // in whose queue it waits for room for a want; nil: in none
	deferred Time  // since when it waits for the topic's lack list; Never: it does not
	flowing  Time  // since when it waits for what a segment may bring; Never: it does not
}

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

// fetchSoon schedules the repair of what the author's stretch lacks.
func (c *Core) fetchSoon(a *author, delay time.Duration) {
	if a.fetch.want != nil || a.fetch.queued != nil {
		return
	}
	at := c.now.Add(delay)
	if a.fetch.at <= at {
		return
	}
	a.fetch.at = at
	c.timers.at(at, fetchTimer{a})
}

type fetchTimer struct{ a *author }

func (t fetchTimer) due(c *Core) {
	if f := &t.a.fetch; f.at <= c.now {
		f.at = Never
		c.fetch(t.a)
	}
}

// fetch asks for what is missing, or begins the wait for the gap's report.
func (c *Core) fetch(a *author) {
	after, upto, ok := a.missing()
	if !ok || !a.wanted(c) || a.fetch.want != nil {
		a.fetch.deferred, a.fetch.flowing = Never, Never
		if !ok && a.wanted(c) && a.fetch.want == nil {
			c.fetchHole(a)
		}
		return
	}
	if c.flows(a) {
		return
	}
	if !a.topic.compared {
		c.startGap(a) // what rumors missed stays missed
		return
	}
	if c.unwritable {
		c.fetchSoon(a, time.Second)
		return
	}
	if c.deferToLack(a) {
		return
	}
	p, busy := c.chooseServer(a, upto)
	switch {
	case p != nil:
		c.askRange(a, p, after, upto)
	case busy != nil:
		a.fetch.queued = busy
		busy.queue = append(busy.queue, a)
	default:
		c.startGap(a)
		if at := c.pardon(a); at != Never {
			c.fetchSoon(a, time.Duration(at-c.now))
		}
	}
}

// wanted reports whether this node repairs what it lacks of the author: on a
// topic that it holds in full, and of its own events anywhere.
func (a *author) wanted(c *Core) bool { return a.topic.interested || a.key == c.self }

// pardon returns when the first of those who claim the author's events may be
// asked again.
func (c *Core) pardon(a *author) Time {
	at := Never
	for i := range a.links {
		if l := &a.links[i]; l.struck > c.now && l.claim().Compare(a.released) > 0 {
			at = min(at, l.struck)
		}
	}
	return at
}

// deferToLack reports whether the author's repair shall wait because
// anti-entropy is repairing the whole topic: what both would bring would come
// twice. It does not wait for long, nor where wants by place are under way
// already: then the list waits for them, for they bring more at a time.
func (c *Core) deferToLack(a *author) bool {
	if a.topic.lack.found == 0 || a.topic.fetching > 0 {
		a.fetch.deferred = Never
		return false
	}
	if a.fetch.deferred == Never {
		a.fetch.deferred = c.now
	}
	if c.now >= a.fetch.deferred.Add(time.Second) {
		return false
	}
	c.fetchSoon(a, 100*time.Millisecond)
	return true
}

// chooseServer picks the peer to ask: one that claims something of the
// stretch; else, if a batch waits for it, any that has to do with the topic,
// each once. If all those have no room for a want, busy is one of them. A member
// is asked where no peer that a stream reaches can be.
func (c *Core) chooseServer(a *author, upto wire.Mark) (best, busy *peer) {
	blocked := a.waiting() != nil
	for _, members := range [...]bool{false, true} {
		if best, busy = c.chooseAmong(a, upto, blocked, members); best != nil || busy != nil {
			break
		}
	}
	return best, busy
}

func (c *Core) chooseAmong(a *author, upto wire.Mark, blocked, members bool) (best, busy *peer) {
	for round := range 2 {
		for _, tp := range a.topic.peers {
			p := tp.peer
			if p.member() != members || !c.mayTell(p) {
				continue
			}
			claims := false
			if l := a.linkOf(p); l != nil {
				claims = a.claimedBy(l, upto)
				if l.struck > c.now {
					continue
				}
			}
			if claims != (round == 0) || !c.serves(tp, a) {
				continue
			}
			if c.room(p) <= 0 {
				if busy == nil || len(p.queue) < len(busy.queue) {
					busy = p
				}
				continue
			}
			if best == nil || p.load() < best.load() {
				best = p
			}
		}
		if best != nil || busy != nil || !blocked {
			break
		}
	}
	return best, busy
}

// serves reports whether the peer may hold batches of the author's. Our own are
// held by whoever wants the topic.
func (c *Core) serves(tp *topicPeer, a *author) bool {
	if a.key == c.self && tp.wants {
		return true
	}
	its := tp.peer.hasAuthor && tp.peer.author == a.key
	return tp.holds && (tp.scope == wire.ScopeFull || its)
}

func (c *Core) askRange(a *author, p *peer, after, upto wire.Mark) {
	w := c.newWant(p)
	w.author, w.weight = a, wantWeight(after, upto)
	a.topic.fetching++
	a.fetch.want, a.fetch.deferred, a.gapFrom = w, Never, Never
	a.topic.strategy.missed(a, p)
	c.send(p, Repair, &wire.Want{
		ID: w.id, Topic: a.topic.name, Author: a.key, After: after, Upto: upto,
		MaxBytes: c.askBytes(p) / wholeWant * uint32(w.weight),
		Resume:   c.partials.of(a.topic.name, a.key),
	})
}

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

// serveQueue gives the room that a want left to those who wait for it.
func (c *Core) serveQueue(p *peer) {
	for len(p.queue) > 0 && (p.down || c.room(p) > 0) {
		a := p.queue[0]
		p.queue = p.queue[1:]
		a.fetch.queued = nil
		c.fetch(a)
	}
	c.relieveBy(p)
}

// relieveBy lets the peer, as far as it has room for wants, serve those who
// wait for room at others: the neighbour that a returning node meets first is
// not to serve it alone.
func (c *Core) relieveBy(p *peer) {
	room := c.room(p)
	if p.member() {
		return // who waits for a peer that a stream reaches is better off
	}
	for _, q := range c.peerList {
		if p.down || room <= 0 {
			return
		}
		if q == p || len(q.queue) == 0 {
			continue
		}
		var moved []*author
		q.queue = slices.DeleteFunc(q.queue, func(a *author) bool {
			if len(moved) == room || !c.claims(p, a) {
				return false
			}
			moved = append(moved, a)
			return true
		})
		room -= len(moved)
		for _, a := range moved {
			a.fetch.queued = nil
			c.fetch(a)
		}
	}
}

// claims reports whether the peer may be asked for something of the author's
// that it says it holds and this node has not released.
func (c *Core) claims(p *peer, a *author) bool {
	l, tp := a.linkOf(p), a.topic.topicPeerOf(p)
	return l != nil && tp != nil && l.struck <= c.now && l.claim().Compare(a.released) > 0 && c.serves(tp, a)
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

// repairPending reports whether something may yet bring what the author lacks.
func (c *Core) repairPending(a *author) bool {
	if a.fetch.want != nil || a.fetch.queued != nil || a.topic.lack.found > 0 {
		return true
	}
	e := a.waiting()
	if e == nil || !a.topic.compared {
		return false
	}
	for i := range a.links {
		l := &a.links[i]
		if l.struck <= c.now && a.claimedBy(l, e.prev.Mark) && c.mayTell(l.peer) {
			return true
		}
	}
	return false
}
