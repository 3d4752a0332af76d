package gossip

import (
	"errors"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// An exchange compares one topic with one peer, and finds what either lacks.
// Package reconcile runs it; here its messages are routed, paid for and timed,
// and what it finds becomes wants and Offers.

const (
	openRangesMax   = 128              // in an Open that we answer; ours have fewer
	sessionLastsMax = 10 * time.Minute // an exchange, however it goes on: it keeps memory
	sessionsMax     = 4                // exchanges with one peer at once that we began, and as many that it began
	openQueueMax    = 1024             // topics waiting for an exchange with one peer; the next heartbeat finds the rest

	// resolvesMax is how many Resolves an exchange has at most: full ones for as many differences
	// as symbols can tell, and one that is not for each flight and at the end. For each
	// all items of the exchange are passed over, however short it is.
	resolvesMax = reconcile.SymbolsMax/wire.ShortIDsMax + 16
)

// plainList is how often a session is begun anew because its symbols did not
// decode until it does without them. Before that it gets another key: whatever was
// made to fit the first one does not fit that.
const plainList = 2

// session is an exchange on one topic that this node began.
type session struct {
	id         uint32
	peer       *peer
	topic      *topic
	x          *reconcile.Initiator
	floor, cut wire.Time
	attempt    int
	found      int  // differences
	whole      bool // all that differs was found
	began      Time
	progress   Time // when the peer last answered
	done       bool
}

// answering is an exchange that a peer began.
type answering struct {
	id       uint32
	peer     *peer
	topic    *topic
	x        *reconcile.Responder
	began    Time
	resolves int // that came
	progress Time
}

// sessionState is what exchanges with one peer are under way and waiting.
type sessionState struct {
	open        []*session
	answered    []*answering // oldest first
	queue       []opening
	offersUntil Time // Offers are taken until then
}

type opening struct {
	tp         *topicPeer
	floor, cut wire.Time
}

// openTopic begins an exchange on a topic that differs, or queues it.
func (c *Core) openTopic(p *peer, name string, floor, cut wire.Time) {
	t := c.topics[name]
	if t == nil || c.unwritable {
		return // what we lack could not be taken; Writable goes on
	}
	tp := t.topicPeerOf(p)
	if tp == nil || !tp.common() {
		return
	}
	if slices.ContainsFunc(p.session.open, func(s *session) bool { return s.topic == t }) {
		return
	}
	if len(p.session.open) >= sessionsMax {
		if len(p.session.queue) >= openQueueMax {
			c.stats.OpensDropped++
		} else if !tp.queued {
			tp.queued = true
			p.session.queue = append(p.session.queue, opening{tp, floor, cut})
		}
		return
	}
	if c.allowance(p) > 0 && tp.backoff.begin(c.now, backoffMax, p.beat.agreed) {
		c.begin(tp, floor, cut, 0)
	}
}

// begin opens an exchange.
func (c *Core) begin(tp *topicPeer, floor, cut wire.Time, attempt int) {
	p, t := tp.peer, tp.topic
	c.sessionID++
	c.stats.Sessions++
	open := &wire.Open{
		Session: c.sessionID, Topic: t.name, Nonce: c.rngPeers.Uint64(), Floor: floor, Cut: cut,
		Expect: uint32(tp.differences), Plain: attempt == plainList,
	}
	s := &session{
		id: c.sessionID, peer: p, topic: t, floor: floor, cut: cut, attempt: attempt, began: c.now, progress: c.now,
	}
	s.x = reconcile.Begin(tp.view(), c.linkKey(p), open, c.limits(p))
	c.charge(p, s.x.Work())
	p.session.open = append(p.session.open, s)
	if c.cfg.Mode != Push {
		c.expectOffers(p)
	}
	c.timers.at(c.now.Add(c.cfg.WantTimeout), sessionTimer{s})
	c.send(p, Repair, open)
}

// expectOffers lets Offers of the peer be taken for a while.
func (c *Core) expectOffers(p *peer) { p.session.offersUntil = c.now.Add(2 * c.cfg.WantTimeout) }

type sessionTimer struct{ s *session }

func (t sessionTimer) due(c *Core) {
	s := t.s
	if s.done || s.peer.down {
		return
	}
	if end := min(s.progress.Add(c.cfg.WantTimeout), s.began.Add(sessionLastsMax)); c.now < end {
		c.timers.at(end, t)
		return
	}
	c.stats.SessionsFailed++
	c.endSession(s)
}

// endSession ends a session, and begins those that waited for it.
func (c *Core) endSession(s *session) {
	c.closeSession(s)
	c.openQueued(s.peer)
}

// openQueued begins exchanges on topics that wait, as far as there is room. One
// that need not be opened any more gives its room to the next.
func (c *Core) openQueued(p *peer) {
	for len(p.session.queue) > 0 && len(p.session.open) < sessionsMax {
		o := p.session.queue[0]
		p.session.queue = p.session.queue[1:]
		o.tp.queued = false
		c.openTopic(p, o.tp.topic.name, max(o.floor, c.floor()), o.cut)
	}
}

func (c *Core) closeSession(s *session) {
	p := s.peer
	s.done = true
	p.session.open = slices.DeleteFunc(p.session.open, func(x *session) bool { return x == s })
	if tp := s.topic.topicPeerOf(p); tp != nil {
		if s.whole && s.found < tp.differences {
			c.paid(p, s.topic) // it takes what it is offered, or serves
		}
		tp.differences = s.found
	}
}

// sessionOf returns the session of ours that the peer's message is about, or nil.
func (c *Core) sessionOf(p *peer, id uint32) *session {
	for _, s := range p.session.open {
		if s.id == id {
			return s
		}
	}
	c.stats.Unsolicited++
	return nil
}

func (c *Core) receiveAnswer(p *peer, m *wire.Answer) {
	s := c.sessionOf(p, m.Session)
	if s == nil {
		return
	}
	tp := s.topic.topicPeerOf(p)
	if tp == nil {
		c.endSession(s)
		return
	}
	r, err := s.x.Answer(tp.view(), m)
	c.advance(s, r, err)
}

func (c *Core) receiveCells(p *peer, m *wire.Cells) {
	s := c.sessionOf(p, m.Session)
	if s == nil {
		return
	}
	c.stats.Symbols += uint64(len(m.Symbols))
	r, err := s.x.Cells(m)
	c.advance(s, r, err)
}

// advance acts on what an answer brought to light, whole or not.
func (c *Core) advance(s *session, r reconcile.Result, err error) {
	p, t := s.peer, s.topic
	c.charge(p, s.x.Work())
	if errors.Is(err, reconcile.ErrStray) {
		c.stats.Unsolicited++
		return
	}
	s.progress = c.now
	s.found += len(r.Lack) + len(r.Surplus)
	c.resolve(s, r.Lack, r.Done || err != nil)
	if c.cfg.Mode != Pull {
		c.offer(p, t, r.Surplus)
	}
	switch {
	case errors.Is(err, reconcile.ErrStuck):
		c.beginAgain(s)
	case err != nil:
		c.stats.SessionsFailed++
		c.demerit(p, err.Error())
		c.endSession(s)
	case r.Done:
		s.whole = !r.Left
		if s.found == 0 {
			c.stats.SessionsIdle++
			if tp := t.topicPeerOf(p); r.Left && !r.Narrow && s.attempt == 0 && tp != nil {
				tp.backoff.undo(c.now) // it had no room for us
			}
		}
		if r.Left {
			c.beatSoon(p, beatSoonDelay)
		}
		c.closeSession(s)
		if tp := t.topicPeerOf(p); r.Narrow && tp != nil && tp.common() {
			c.begin(tp, r.Low, r.High, s.attempt) // before those that wait: it would be forgotten
		}
		c.openQueued(p)
	case r.More != nil:
		c.send(p, Repair, r.More)
	}
}

// beginAgain follows a session whose symbols did not decode with one under
// another key, and that one with a plain list.
func (c *Core) beginAgain(s *session) {
	c.stats.SessionsStuck++
	c.closeSession(s)
	if tp := s.topic.topicPeerOf(s.peer); s.attempt < plainList && tp != nil && tp.common() {
		c.begin(tp, s.floor, s.cut, s.attempt+1)
	}
	c.openQueued(s.peer)
}

// resolve asks for the names of what we lack. done tells the peer that the
// exchange is over.
func (c *Core) resolve(s *session, short []uint64, done bool) {
	if c.cfg.Mode == Push || !s.topic.interested {
		short = nil
	}
	if len(short) > 0 {
		c.expectOffers(s.peer)
	}
	for len(short) > wire.ShortIDsMax {
		c.send(s.peer, Repair, &wire.Resolve{Session: s.id, Short: short[:wire.ShortIDsMax]})
		short = short[wire.ShortIDsMax:]
	}
	if len(short) > 0 || done {
		c.send(s.peer, Repair, &wire.Resolve{Session: s.id, Short: short, Done: done})
	}
}

// offer tells the peer what it lacks; it asks for what nobody brings it
// meanwhile, so two who repair one node do not both send all.
func (c *Core) offer(p *peer, t *topic, items []reconcile.Item) {
	var m *wire.Offer
	for _, it := range items {
		e := c.batch(it.ID)
		if e == nil || e.state != held {
			continue
		}
		if m == nil || len(m.IDs) == wire.ShortIDsMax {
			m = &wire.Offer{Topic: t.name}
			c.send(p, Repair, m)
		}
		m.IDs = append(m.IDs, it.ID.Short())
	}
}

func (c *Core) receiveOpen(p *peer, m *wire.Open) {
	t := c.topics[m.Topic]
	var tp *topicPeer
	if t != nil {
		tp = t.topicPeerOf(p)
	}
	if tp == nil || !tp.common() {
		c.send(p, Repair, &wire.Answer{Session: m.Session}) // nothing to compare, for now
		return
	}
	if len(m.Ranges) > openRangesMax {
		c.demerit(p, "an Open that costs too much")
		c.send(p, Repair, &wire.Answer{Session: m.Session})
		return
	}
	if !c.spend(p) || c.allowance(p) <= 0 {
		c.stats.OpensRefused++
		c.send(p, Repair, &wire.Answer{Session: m.Session, More: true})
		return
	}
	p.session.answered = slices.DeleteFunc(p.session.answered, func(a *answering) bool { return a.topic == t })
	if len(p.session.answered) >= sessionsMax {
		c.stats.OpensRefused++
		p.session.answered = slices.Delete(p.session.answered, 0, 1)
	}
	a := &answering{id: m.Session, peer: p, topic: t, began: c.now, progress: c.now}
	x, answer, cells, offered := reconcile.Respond(tp.view(), c.linkKey(p), c.rngPeers.Uint64(), m, c.limits(p))
	a.x = x
	c.charge(p, x.Work())
	p.session.answered = append(p.session.answered, a)
	c.timers.at(c.now.Add(c.cfg.WantTimeout), answeringTimer{a})
	c.expectOffers(p)
	c.send(p, Repair, answer)
	c.sendCells(a, cells)
	c.offer(p, t, offered)
	if c.cfg.Mode != PushPull {
		// Who begins gives or takes, the other does not. Of two it is always the one whose
		// clock is behind who begins, for the other is the one to find that digests differ.
		c.openTopic(p, t.name, max(m.Floor, c.floor()), min(m.Cut, c.cut()))
	}
}

func (c *Core) sendCells(a *answering, cells []*wire.Cells) {
	for _, m := range cells {
		c.send(a.peer, Repair, m)
	}
}

type answeringTimer struct{ a *answering }

func (t answeringTimer) due(c *Core) {
	a := t.a
	if a.peer.down || !slices.Contains(a.peer.session.answered, a) {
		return
	}
	if end := min(a.progress.Add(c.cfg.WantTimeout), a.began.Add(sessionLastsMax)); c.now < end {
		c.timers.at(end, t)
		return
	}
	c.endAnswering(a)
}

func (c *Core) endAnswering(a *answering) {
	s := &a.peer.session
	s.answered = slices.DeleteFunc(s.answered, func(x *answering) bool { return x == a })
}

// answeringOf returns the exchange of the peer's that its message is about, or nil.
func (c *Core) answeringOf(p *peer, id uint32) *answering {
	for _, a := range p.session.answered {
		if a.id == id {
			return a
		}
	}
	c.stats.Unsolicited++
	return nil
}

func (c *Core) receiveMore(p *peer, m *wire.More) {
	a := c.answeringOf(p, m.Session)
	if a == nil {
		return
	}
	tp := a.topic.topicPeerOf(p)
	if tp == nil {
		c.endAnswering(a)
		return
	}
	cells, err := a.x.More(tp.view(), m)
	c.charge(p, a.x.Work())
	switch {
	case errors.Is(err, reconcile.ErrStray):
		c.stats.Unsolicited++
		return
	case err != nil:
		c.demerit(p, err.Error())
		c.endAnswering(a)
		return
	}
	a.progress = c.now
	c.sendCells(a, cells)
}

func (c *Core) receiveResolve(p *peer, m *wire.Resolve) {
	a := c.answeringOf(p, m.Session)
	if a == nil {
		return
	}
	if a.resolves++; a.resolves > resolvesMax {
		c.demerit(p, "Resolve after Resolve")
		c.endAnswering(a)
		return
	}
	a.progress = c.now
	c.offer(p, a.topic, a.x.Resolve(m.Short))
	c.charge(p, a.x.Work())
	if m.Done {
		c.endAnswering(a)
	}
}
