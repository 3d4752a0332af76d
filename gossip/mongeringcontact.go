package gossip

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// A contact between two nodes that monger, by mode:
//
//	push         A→B  Push…        B→A  Feedback on what was pushed
//	pull         A→B  Contact      B→A  Rumors      A→B  Feedback      B→A  Push… of what A needs
//	push-pull    A→B  Contact with A's rumors, Push… of them
//	             B→A  Feedback on A's rumors, Rumors that A did not name
//	             A→B  Feedback     B→A  Push… of what A needs
//
// With a connection limit a Push begins with a Contact too, and waits for the
// answer: Rumors, maybe empty, accepts; Rumors that are Busy refuse. In push-pull what
// B needs is known by then, and the rest is not pushed. Blind nodes give no
// feedback, but for what they need.

const (
	// contactsMax bounds the contacts of one peer that are answered in a cycle, and
	// namesMax the rumors that it is told in those answers.
	contactsMax = 64
	namesMax    = 8 * wire.EntriesMax

	// waitingMax bounds the answers that are taken of a peer beyond those to the last
	// Contact: a round trip may take several cycles.
	waitingMax = 8

	// asksMax bounds the pushes that were asked of one peer and have not come.
	// askCycles is after how many cycles one is asked for again, of anybody.
	asksMax   = 2 * wire.EntriesMax
	askCycles = 8
)

// contactState is what contacts with one peer on a topic that is mongered have
// come to.
type contactState struct {
	waiting int32 // Contacts of ours that may be answered yet
	asks    int32 // in monger.asks
	cycle   int64 // in which the following were counted
	heard   int32 // Contacts of its
	named   int32 // rumors in our answers
}

// ask is a push that a peer was asked for, and in which cycle.
type ask struct {
	id    wire.ShortID
	of    *contactState
	cycle int64
}

// meet begins a contact of ours.
func (m *monger) meet(tp *topicPeer) {
	limited := m.cfg.ConnectionLimit > 0
	if m.cfg.Mode == Push && !limited {
		if m.pushAll(tp) > 0 {
			m.c.stats.Contacts++
		}
		return
	}
	var named []wire.Rumor
	present := m.present()
	pushing := false
	for _, r := range m.rumors {
		if m.cfg.Mode == Pull || len(named) == wire.EntriesMax {
			break
		}
		if !m.hot(r, present) {
			continue
		}
		pushing = true
		if m.cfg.Mode == Push {
			break // which ones turns out when it is accepted
		}
		named = append(named, wire.Rumor{ID: r.e.id.Short(), Counter: m.counterOf(r)})
	}
	msg := m.question
	switch pull := m.pulls(); {
	case !pushing && !pull:
		return
	case !pull || len(named) > 0:
		msg = &wire.Contact{Topic: m.t.name, Pull: pull, Rumors: named}
	}
	m.c.stats.Contacts++
	tp.contact.waiting = min(tp.contact.waiting+1, waitingMax)
	m.c.send(tp.peer, News, msg)
	switch {
	case m.cfg.Mode != PushPull:
	case !limited:
		m.pushAll(tp)
	case !m.cfg.Blind:
		for _, n := range named {
			m.offered(m.c.batches[n.ID].rumor, tp.peer, false)
		}
	}
}

// pushAll pushes the rumors to a partner, as many as one Contact names at most, and
// returns how many they are.
func (m *monger) pushAll(tp *topicPeer) (n int) {
	present := m.present()
	for _, r := range m.rumors {
		if n == wire.EntriesMax {
			break
		}
		if m.hot(r, present) {
			m.c.sendBatch(tp.peer, r.e.id)
			m.offered(r, tp.peer, true)
			n++
		}
	}
	return n
}

// offered notes that the rumor was pushed or named to a peer.
func (m *monger) offered(r *rumor, p *peer, pushed bool) {
	if m.cfg.Blind {
		r.sends++
		r.lost = r.lost || m.cfg.Coin && m.tails()
		return
	}
	if len(r.sent) >= sentMax {
		// For a peer's own contacts first: one that has much named and answers nothing
		// shall not have the answers of others forgotten.
		i := max(0, slices.IndexFunc(r.sent, func(s sending) bool { return s.p == p }))
		r.sent = slices.Delete(r.sent, i, i+1)
	}
	r.sent = append(r.sent, sending{p, pushed})
}

// answered takes out the contact that the peer answers now: with the oldest of
// those with it, and if it needs the batch, of those in which it was but named. It is none
// if nothing was offered to it.
func (r *rumor) answered(p *peer, need bool) (s sending, ok bool) {
	for i, s := range r.sent {
		if s.p == p && (!need || !s.pushed) {
			r.sent = slices.Delete(r.sent, i, i+1)
			return s, true
		}
	}
	return s, false
}

// withdraw takes back the newest offer to the peer, which refused the contact.
func (r *rumor) withdraw(p *peer) {
	for i := len(r.sent) - 1; i >= 0; i-- {
		if s := r.sent[i]; s.p == p && !s.pushed {
			r.sent = slices.Delete(r.sent, i, i+1)
			return
		}
	}
}

// counterOf returns what is told of the rumor's counter.
func (m *monger) counterOf(r *rumor) uint8 {
	if !m.cfg.Minimize {
		return 0
	}
	return uint8(r.counter)
}

// wasted tallies a contact with one that knew the rumor already, and has
// the counter theirs.
func (m *monger) wasted(r *rumor, theirs uint8) {
	if m.cfg.Minimize && int(theirs) < r.counter {
		return // it raises its own
	}
	r.useless++
	m.tallied = true
	m.wake() // to be reviewed, also where there is nobody to spread it to
}

// judge says what is to be answered about a rumor that a peer pushed or named.
func (m *monger) judge(id wire.ShortID, e *entry) wire.RumorFeedback {
	f := wire.RumorFeedback{ID: id}
	if _, spurned := m.spurned[id]; spurned && e == nil {
		f.Known, f.Counter = true, wire.CounterRemoved // to push it is of no use
		return f
	}
	if e == nil || e.state == storing {
		return f
	}
	if e.rumor == nil {
		f.Known, f.Counter = true, wire.CounterRemoved
	} else if e.rumor.came < m.present() {
		f.Known, f.Counter = true, m.counterOf(e.rumor)
	}
	return f
}

// hear takes the names of a peer's rumors, and answers with what is known and
// needed of them. Those that are coming are pushed without being asked for.
func (m *monger) hear(tp *topicPeer, rumors []wire.Rumor, coming bool) {
	present := m.present()
	for _, n := range rumors {
		e := m.c.batches[n.ID]
		if e != nil && e.author.topic != m.t {
			m.c.stats.Unsolicited++
			continue
		}
		f := m.judge(n.ID, e)
		if e == nil {
			f.Need = !f.Known && !coming && m.ask(tp, n.ID)
		} else if r := e.rumor; r != nil {
			r.mark = m.marks
			if m.cfg.Mode == PushPull && !m.cfg.Blind && r.came < present {
				m.wasted(r, n.Counter) // on both lists: it is a useless contact of both
			}
		}
		if !m.cfg.Blind || f.Need {
			m.c.tellFeedback(m.t, tp.peer, f)
		}
	}
}

// ask reports whether the batch shall be pushed: once, whoever names it.
func (m *monger) ask(tp *topicPeer, id wire.ShortID) bool {
	of := &tp.contact
	if _, asked := m.asked[id]; asked || !m.pulls() || m.c.unwritable || of.asks >= asksMax {
		return false
	}
	of.asks++
	m.asked[id] = struct{}{}
	m.asks = append(m.asks, ask{id, of, m.present()})
	return true
}

// forgetAsks forgets what was asked for long ago, whether it came or not.
func (m *monger) forgetAsks() {
	n := 0
	for ; n < len(m.asks) && m.asks[n].cycle+askCycles <= m.present(); n++ {
		delete(m.asked, m.asks[n].id)
		m.asks[n].of.asks--
	}
	m.asks = slices.Delete(m.asks, 0, n)
}

// contact answers a partner's Contact.
func (m *monger) contact(tp *topicPeer, msg *wire.Contact) {
	of := &tp.contact
	if present := m.present(); of.cycle != present {
		of.cycle, of.heard, of.named = present, 0, 0
	}
	if of.heard++; of.heard > contactsMax {
		m.c.stats.ContactsDeclined++
		return
	}
	limited := m.cfg.ConnectionLimit > 0
	if limited && m.accepted >= m.cfg.ConnectionLimit {
		m.c.stats.ContactsDeclined++
		m.c.send(tp.peer, News, &wire.Rumors{Topic: m.t.name, Busy: true})
		return
	}
	if limited {
		m.accepted++
		m.wake() // the next cycle accepts again
	}
	m.marks++
	m.hear(tp, msg.Rumors, m.cfg.Mode == PushPull && !limited)
	answer := &wire.Rumors{Topic: m.t.name}
	if msg.Pull && tp.wants {
		answer.Rumors = m.name(tp, of)
	}
	if limited || !msg.Pull || len(answer.Rumors) > 0 {
		m.c.send(tp.peer, News, answer)
	}
}

// name returns the rumors for a partner that pulls, but for those it named itself.
func (m *monger) name(tp *topicPeer, of *contactState) (list []wire.Rumor) {
	present := m.present()
	for _, r := range m.rumors {
		if len(list) == wire.EntriesMax || of.named >= namesMax {
			break
		}
		if m.hot(r, present) && r.mark != m.marks {
			list = append(list, wire.Rumor{ID: r.e.id.Short(), Counter: m.counterOf(r)})
			m.offered(r, tp.peer, false)
			of.named++
		}
	}
	return list
}

// rumorsOf takes the answer to a Contact.
func (m *monger) rumorsOf(tp *topicPeer, msg *wire.Rumors) {
	of := &tp.contact
	if of.waiting == 0 {
		m.c.stats.Unsolicited++
		return
	}
	of.waiting--
	if msg.Busy {
		m.hunt(tp)
		return
	}
	if m.cfg.ConnectionLimit > 0 && (m.cfg.Mode == Push || m.cfg.Mode == PushPull && m.cfg.Blind) {
		m.pushAll(tp)
	}
	if m.pulls() {
		m.marks++
		m.hear(tp, msg.Rumors, false)
	}
}

// hunt tries another partner in place of one that refused.
func (m *monger) hunt(tp *topicPeer) {
	m.c.stats.ContactsRefused++
	if m.cfg.Mode == PushPull {
		for _, r := range m.rumors {
			r.withdraw(tp.peer)
		}
	}
	if m.hunts == 0 {
		return
	}
	if other := m.draw(); other != nil {
		m.hunts--
		m.c.stats.Hunts++
		m.meet(other)
	}
}

// feedback tallies what a partner knew, and pushes what it needs.
func (m *monger) feedback(tp *topicPeer, msg *wire.Feedback) {
	for i := range msg.Rumors {
		f := &msg.Rumors[i]
		e := m.c.batches[f.ID]
		if e == nil || e.author.topic != m.t || e.state != held {
			m.c.stats.FeedbackStray++
			continue
		}
		s, ok := sending{}, false
		if e.rumor != nil {
			s, ok = e.rumor.answered(tp.peer, f.Need)
		}
		switch {
		case !ok && !f.Need:
			m.c.stats.FeedbackStray++
		case ok && f.Known:
			m.c.stats.FeedbackKnown++
			m.wasted(e.rumor, f.Counter)
		case ok:
			m.c.stats.FeedbackNew++
			e.rumor.useful++
		}
		if f.Known {
			m.c.holdsToo(e, tp.peer)
		}
		// It may have been named by a cycle that is over, and be a rumor no more.
		if f.Need && !s.pushed && tp.wants && m.c.spare(tp.peer, int(e.size)+serveOverhead) {
			m.c.sendBatch(tp.peer, e.id)
		}
	}
}

// brought, duplicate and refused answer a push: of one who pushes without being
// asked. To others it was answered when they named it.

func (m *monger) brought(e *entry, p *peer) { m.answerPush(m.judge(e.id.Short(), e), p) }

func (m *monger) duplicate(e *entry, p *peer) { m.answerPush(m.judge(e.id.Short(), e), p) }

func (m *monger) refused(id wire.BatchID, p *peer) {
	m.spurn(id.Short())
	m.answerPush(wire.RumorFeedback{ID: id.Short(), Known: true, Counter: wire.CounterRemoved}, p)
}

// spurnedMax bounds the batches that are remembered to be refused here; of the
// oldest it turns out again when they are pushed again.
const spurnedMax = 2 * wire.EntriesMax

// spurn remembers that the batch is not taken, for it was trimmed or breaks a rule here: whoever
// names it shall not think that it spreads.
func (m *monger) spurn(id wire.ShortID) {
	if _, there := m.spurned[id]; there {
		return
	}
	if m.spurned == nil {
		m.spurned = map[wire.ShortID]struct{}{}
	}
	if len(m.spurns) >= spurnedMax {
		delete(m.spurned, m.spurns[0])
		m.spurns = m.spurns[1:]
	}
	m.spurned[id] = struct{}{}
	m.spurns = append(m.spurns, id)
}

func (m *monger) answerPush(f wire.RumorFeedback, p *peer) {
	if m.cfg.Mode == Push && !m.cfg.Blind {
		m.c.tellFeedback(m.t, p, f)
	}
}

// tellFeedback adds to the message that is being gathered for the peer. Take
// ends the gathering.
func (c *Core) tellFeedback(t *topic, p *peer, f wire.RumorFeedback) {
	m := p.feedback
	if m == nil {
		c.answering = append(c.answering, p)
	}
	if m == nil || m.Topic != t.name || len(m.Rumors) == wire.EntriesMax {
		m = &wire.Feedback{Topic: t.name}
		p.feedback = m
		c.send(p, News, m)
	}
	m.Rumors = append(m.Rumors, f)
}

// endFeedback ends the gathering of feedback.
func (c *Core) endFeedback() {
	for _, p := range c.answering {
		p.feedback = nil
	}
	c.answering = c.answering[:0]
}

func (c *Core) receiveContact(p *peer, m *wire.Contact) {
	if tp := c.topicPeerAt(p, m.Topic); tp != nil {
		tp.topic.strategy.contact(tp, m)
	}
}

func (c *Core) receiveRumors(p *peer, m *wire.Rumors) {
	if tp := c.topicPeerAt(p, m.Topic); tp != nil {
		tp.topic.strategy.rumorsOf(tp, m)
	}
}

func (c *Core) receiveFeedback(p *peer, m *wire.Feedback) {
	if tp := c.topicPeerAt(p, m.Topic); tp != nil {
		tp.topic.strategy.feedback(tp, m)
	}
}

// topicPeerAt returns what the peer has to do with the topic, or nil.
func (c *Core) topicPeerAt(p *peer, topic string) *topicPeer {
	if t := c.topics[topic]; t != nil {
		if tp := t.topicPeerOf(p); tp != nil {
			return tp
		}
	}
	c.stats.Unsolicited++
	return nil
}
