package gossip

import (
	"math"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	// rumorsMax bounds the rumors of a topic that a node spreads at a time; the oldest
	// is removed for a new one.
	rumorsMax = 4 * wire.EntriesMax

	// A rumor is removed after ageMax cycles, and ageFactor × K, whatever its
	// contacts answered: partners may answer nothing (their frames are lost, they run the tree) or
	// lie, and a counter counts at most once a cycle.
	ageMax    = 256
	ageFactor = 8

	// sentMax bounds the contacts of a rumor that wait for an answer; the oldest is
	// not waited for any more.
	sentMax = 64

	// retellMax is how old a batch that anti-entropy brought may be to become a rumor
	// again: more than that is history, which a node that was away catches up with, and no
	// news to others.
	retellMax = 2 * wire.FutureMax
)

// monger spreads the rumors of a topic as Demers et al. (PODC 1987, section
// 1.4) do: in cycles, each with partners at random, and with a loss of interest when
// contacts are of no use.
//
//	              in the log                review at the
//	susceptible ------------> infective --------------------> removed
//	                          (from the     start of a cycle
//	                           next cycle on)
//
// A rumor counts as known where it was infective or removed when the
// recipient's present cycle began: what came in the same cycle was not known
// yet. So the tables of the paper come out, where all sites of a cycle act at one moment;
// and a rumor that reaches a node over two ways at once does not die of that.
//
// Contacts are tallied as their answers come, and the tally of a cycle is reviewed when
// the next begins. Nodes need not agree on when that is.
//
// No decision depends on who a partner is or was: one peer ID may stand for
// another node in each cycle, as in the simulator it does.
type monger struct {
	c   *Core
	t   *topic
	cfg *Mongering

	rumors []*rumor // infective, in order of coming
	fresh  int      // so many, the last of them, came since the last Tick and belong to no cycle yet
	due    Time     // when the next cycle begins, for us; Never: there is nothing to do
	woken  bool     // in Core.woken

	partners []*topicPeer // who may be contacted; the first drawn of them were, in this cycle
	changed  bool         // partners are to be gathered anew
	drawn    int
	hunts    int // left in this cycle
	accepted int // contacts, in this cycle
	marks    uint64

	question *wire.Contact // that a contact begins with while it names no rumor; written to by nobody

	asked map[wire.ShortID]struct{} // pushes that were asked for; looked up, never ranged over
	asks  []ask                     // the same, oldest first

	spurned map[wire.ShortID]struct{} // batches that were refused; looked up, never ranged over
	spurns  []wire.ShortID            // the same, oldest first

	tallied bool // a contact without use was, since the last review
}

// rumor is a batch while this node spreads it.
type rumor struct {
	e    *entry
	came int64 // in which cycle it came; freshCycle until that is known
	age  int   // cycles in which it was spread

	counter         int // of cycles without use, or blind: with a send
	useful, useless int // contacts that were answered since the last review
	sends           int // since the last review
	lost            bool

	sent []sending // contacts that are not answered, oldest first
	room [1]sending
	mark uint64 // monger.marks, if the contact that is being answered named it
}

// sending is a rumor's having been sent or named to a peer.
type sending struct {
	p      *peer
	pushed bool
}

const freshCycle = math.MaxInt64

func newMonger(c *Core, t *topic, cfg *Mongering) *monger {
	return &monger{
		c: c, t: t, cfg: cfg, due: Never, changed: true,
		question: &wire.Contact{Topic: t.name, Pull: true}, asked: map[wire.ShortID]struct{}{},
	}
}

// present returns the number of the cycle that is on.
func (m *monger) present() int64 {
	n, i := int64(m.c.now), int64(m.cfg.Interval)
	if n < 0 {
		n -= i - 1
	}
	return n / i
}

// hot reports whether the rumor may be spread in the present cycle.
func (m *monger) hot(r *rumor, present int64) bool {
	return r.came < present && !r.lost && r.e.state == held
}

// spread makes the batch a rumor.
func (m *monger) spread(e *entry) {
	if e.verdict != 0 && !e.proof {
		return // anti-entropy tells of it
	}
	if e.repaired && time.Duration(m.c.hlc()-e.time) > retellMax {
		return
	}
	if len(m.rumors) >= rumorsMax {
		m.c.stats.RumorsEvicted++
		m.drop(m.rumors[0])
		m.rumors[0] = nil
		m.rumors = m.rumors[1:]
		m.fresh = min(m.fresh, len(m.rumors))
	}
	r := &rumor{e: e, came: freshCycle}
	r.sent = r.room[:0]
	e.rumor = r
	m.rumors = append(m.rumors, r)
	m.fresh++
	m.c.infective++
	m.wake()
}

// drop ends the spreading of a rumor; the caller takes it out of the list.
func (m *monger) drop(r *rumor) {
	r.e.rumor = nil
	m.c.infective--
	m.c.stats.RumorsRemoved++
}

// wake has the next Tick see whether there is something to do.
func (m *monger) wake() {
	if !m.woken {
		m.woken = true
		m.c.woken = append(m.c.woken, m)
	}
}

// repartner notes that the topic's peers changed, or what is wanted of them.
func (m *monger) repartner() {
	m.changed = true
	m.wake()
}

// wakeMongers gives what came since the last Tick its cycle, and schedules the
// next one where there is something to do in it.
func (c *Core) wakeMongers() {
	for _, m := range c.woken {
		m.woken = false
		present := m.present()
		for _, r := range m.rumors[len(m.rumors)-m.fresh:] {
			r.came = present
		}
		m.fresh = 0
		if m.due == Never && m.busy() {
			m.due = Time((present + 1) * int64(m.cfg.Interval))
			c.cycling = append(c.cycling, m)
			c.cycleAt = min(c.cycleAt, m.due)
		}
	}
	c.woken = c.woken[:0]
}

// runCycles begins the cycles that are due.
func (c *Core) runCycles() {
	busy := c.cycling[:0]
	c.cycleAt = Never
	for _, m := range c.cycling {
		if m.due <= c.now {
			m.begin()
		}
		if m.due != Never {
			busy = append(busy, m)
			c.cycleAt = min(c.cycleAt, m.due)
		}
	}
	clear(c.cycling[len(busy):])
	c.cycling = busy
}

// busy reports whether the next cycle has something to do.
func (m *monger) busy() bool {
	m.gather()
	return m.accepted > 0 || m.tallied || len(m.partners) > 0 && (len(m.rumors) > 0 || m.pulls())
}

// pulls reports whether this node asks others for rumors.
func (m *monger) pulls() bool { return m.cfg.Mode != Push && m.t.interested }

// gather finds the partners there are. On a segment a contact would be with many.
func (m *monger) gather() {
	if !m.changed {
		return
	}
	m.changed, m.drawn, m.hunts = false, 0, 0
	m.partners = m.partners[:0]
	for _, tp := range m.t.peers {
		if tp.wants && !tp.peer.member() {
			m.partners = append(m.partners, tp)
		}
	}
}

// begin begins a cycle.
func (m *monger) begin() {
	m.gather()
	m.drawn, m.hunts, m.accepted, m.tallied = 0, m.cfg.Hunt, 0, false
	m.forgetAsks()
	m.review()
	for range m.cfg.Fanout {
		tp := m.draw()
		if tp == nil {
			break
		}
		m.meet(tp)
	}
	m.due = Never
	if m.busy() {
		m.due = Time((m.present() + 1) * int64(m.cfg.Interval))
	}
}

// draw returns a partner that was not contacted in this cycle, or nil.
func (m *monger) draw() *topicPeer {
	rest := len(m.partners) - m.drawn
	if rest == 0 || m.changed {
		return nil
	}
	i := m.drawn + m.c.rngRumors.IntN(rest)
	m.partners[m.drawn], m.partners[i] = m.partners[i], m.partners[m.drawn]
	m.drawn++
	return m.partners[m.drawn-1]
}

// review draws the conclusions of the last cycle's contacts.
func (m *monger) review() {
	present := m.present()
	kept := m.rumors[:0]
	for _, r := range m.rumors {
		if r.came >= present || m.keeps(r) {
			kept = append(kept, r)
			continue
		}
		m.drop(r)
	}
	clear(m.rumors[len(kept):])
	m.rumors = kept
}

// keeps reports whether the rumor is spread on.
func (m *monger) keeps(r *rumor) bool {
	if r.e.state == trimmed || r.e.verdict != 0 && !r.e.proof {
		return false
	}
	if r.age++; r.age > ageMax+ageFactor*m.cfg.K {
		m.c.stats.RumorsUnanswered++
		return false
	}
	useful, useless, sends := r.useful, r.useless, r.sends
	r.useful, r.useless, r.sends = 0, 0, 0
	switch {
	case m.cfg.Coin:
		for range useless {
			r.lost = r.lost || m.tails()
		}
		return !r.lost
	case useful > 0:
		r.counter = 0
	case useless > 0 || sends > 0:
		r.counter++
	}
	return r.counter < m.cfg.K
}

// tails throws the coin.
func (m *monger) tails() bool { return m.c.rngRumors.IntN(m.cfg.K) == 0 }

func (m *monger) state(e *entry) RumorState {
	if e.state == storing || e.rumor != nil {
		return Infective
	}
	return Removed
}

// What the tree's links have to say to each other is nothing to a topic that has
// none: a peer that has not heard of the topic's setting may say it.

func (m *monger) missed(*author, *peer) {}
func (m *monger) graft(*author, *peer)  {}
func (m *monger) prune(*author, *peer)  {}
