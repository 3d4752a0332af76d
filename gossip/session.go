package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

const (
	sessionsMax    = 4    // exchanges with one peer at once that we began
	sessionRanges  = 46   // ranges in an Open: 16 a level of the trie at 10^6 batches
	openRangesMax  = 128  // in an Open that we answer
	sessionBudget  = 4096 // short IDs in a Difference
	openQueueMax   = 1024 // topics waiting for an exchange with one peer; the next heartbeat finds the rest
	offersPerFrame = 4096
)

// session is an exchange on one topic that this node began.
type session struct {
	id         uint32
	peer       *peer
	topic      *topic
	floor, cut wire.Time
	ranges     []wire.RangeDigest
	done       bool
}

// sessionState is what exchanges with one peer are under way and waiting.
type sessionState struct {
	open        []*session
	queue       []opening
	offersUntil Time // Offers are taken until then: we answered an Open
}

type opening struct {
	topic      string
	floor, cut wire.Time
}

// openTopic begins an exchange on a topic that differs, or queues it.
func (c *Core) openTopic(p *peer, name string, floor, cut wire.Time) {
	t := c.topics[name]
	if t == nil {
		return
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
			c.stats.LackRefused++
		} else {
			p.session.queue = append(p.session.queue, opening{name, floor, cut})
		}
		return
	}
	if tp.backoff.begin(c.now, backoffMax) {
		c.openRange(p, t, floor, cut)
	}
}

func (c *Core) openRange(p *peer, t *topic, floor, cut wire.Time) {
	c.sessionID++
	c.stats.Sessions++
	s := &session{id: c.sessionID, peer: p, topic: t, floor: floor, cut: cut}
	s.ranges = t.set.Ranges(floor, cut, sessionRanges)
	p.session.open = append(p.session.open, s)
	c.timers.at(c.now.Add(c.cfg.WantTimeout), sessionTimer{s})
	c.send(p, Repair, &wire.Open{Session: s.id, Topic: t.name, Floor: floor, Cut: cut, Ranges: s.ranges})
}

type sessionTimer struct{ s *session }

func (t sessionTimer) due(c *Core) {
	if !t.s.done && !t.s.peer.down {
		c.endSession(t.s)
	}
}

func (c *Core) endSession(s *session) {
	p := s.peer
	s.done = true
	p.session.open = slices.DeleteFunc(p.session.open, func(x *session) bool { return x == s })
	if len(p.session.queue) > 0 {
		o := p.session.queue[0]
		p.session.queue = p.session.queue[1:]
		c.openTopic(p, o.topic, o.floor, o.cut)
	}
}

func (c *Core) receiveOpen(p *peer, m *wire.Open) {
	answer := &wire.Difference{Session: m.Session, Topic: m.Topic}
	defer func() { c.send(p, Repair, answer) }()
	t := c.topics[m.Topic]
	if t == nil {
		return
	}
	if tp := t.topicPeerOf(p); tp == nil || !tp.common() {
		return
	}
	if len(m.Ranges) > openRangesMax || !c.spend(p) {
		c.demerit(p, "an Open that costs too much")
		return
	}
	p.session.offersUntil = c.now.Add(2 * c.cfg.WantTimeout)
	stale := t.set.Compare(m.Cut, m.Ranges)
	answer.Ranges, answer.More = reconcile.Encode(&t.set, m.Cut, m.Ranges, stale, sessionBudget)
	if !answer.More || len(p.session.open) >= sessionsMax {
		return
	}
	if low, end, found := reconcile.Oversize(&t.set, m.Cut, m.Ranges, stale, sessionBudget); found {
		c.openRange(p, t, low, end)
	}
}

func (c *Core) receiveDifference(p *peer, m *wire.Difference) {
	i := slices.IndexFunc(p.session.open, func(s *session) bool { return s.id == m.Session })
	if i < 0 {
		c.stats.Unsolicited++
		return
	}
	s := p.session.open[i]
	t := s.topic
	lack, surplus := reconcile.Decode(&t.set, s.cut, s.ranges, m.Ranges)
	if c.cfg.Mode != Push && t.interested {
		c.addLack(t, p, lack)
	}
	if c.cfg.Mode != Pull {
		c.offer(p, t, surplus)
	}
	if len(lack)+len(surplus) == 0 {
		c.stats.SessionsIdle++
	}
	if m.More {
		c.beatSoon(p, beatSoonDelay)
	}
	c.endSession(s)
}

// offer tells the peer what it lacks; it asks for what nobody brings it
// meanwhile, so two who repair one node do not both send all.
func (c *Core) offer(p *peer, t *topic, surplus []reconcile.Item) {
	var m *wire.Offer
	for _, it := range surplus {
		e := c.batches[it.ID]
		if e == nil || e.state != held {
			continue
		}
		if m == nil || len(m.Short) == offersPerFrame {
			m = &wire.Offer{Topic: t.name}
			c.send(p, Repair, m)
		}
		m.Short = append(m.Short, it.Short())
	}
}
