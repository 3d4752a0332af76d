package gossip

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Shuffles keep passive sets filled and mixed: now and then a node tells one peer
// some of the records that it has on one topic, and is told some in return. What
// is told concerns topics alone that both share. A segment takes part in nothing
// of this: many would answer. A limited peer, whose link has an allowance, is
// asked only where a topic lacks peers; it is always answered.

const (
	shuffleActive  = 3 // peers that are up in a shuffle, as in HyParView
	shufflePassive = 4 // and others, likewise
	fullShare      = wire.RecordsMax / 2

	shuffleFast    = 30 // a shuffle comes after this part of ShuffleInterval, when a topic lacks peers
	shuffleCalm    = 8  // and after so many of them, when nothing new comes
	shuffleYield   = 4  // one of so many is about any topic, the others about thin ones
	shufflesAtOnce = 4  // with a peer that is new, each on another topic

	// Both ends of a new link mean to shuffle at once: the one with the lower ID
	// goes first, and its shuffle does for both.
	shuffleSecond = 300 * time.Millisecond
	shuffleQuiet  = 5 * time.Second // so long no second one with the peer on the topic is begun at once

	shuffleRate  = 1  // shuffles of a peer that are answered in a second
	shuffleBurst = 32 // and at once
)

// SetRecord tells this node's own signed record, and again when its addresses
// have changed; nil: nobody could find it, but it can find others. Before the
// first call nothing is exchanged. The core keeps signed.
func (c *Core) SetRecord(signed []byte) {
	first := !c.view.exchange
	c.view.record, c.view.exchange = signed, true
	if !first || !c.exchanging() {
		return
	}
	c.view.shuffleAt = c.now.Add(c.jitter(c.view.pace))
	for _, t := range c.topicList {
		for _, tp := range t.peers {
			c.shuffleSoon(tp)
		}
	}
}

func (c *Core) exchanging() bool { return !c.cfg.NoPeerExchange && c.view.exchange }

// shares reports whether the peer may be told who is interested in the topic: it
// is interested too, or told us that it has it.
func (tp *topicPeer) shares() bool { return tp.wants || tp.holds }

// partner reports whether the two may shuffle.
func (c *Core) partner(tp *topicPeer) bool {
	return tp.shares() && tp.peer.stays() && c.degree(tp.topic) > 0
}

// shuffleSoon begins a shuffle with a peer that has just come to share a topic,
// if it is one of the first or the topic lacks peers.
func (c *Core) shuffleSoon(tp *topicPeer) {
	p := tp.peer
	if !c.exchanging() || !c.partner(tp) || c.now < tp.quiet {
		return
	}
	if p.greeted >= shufflesAtOnce || p.record.Signed != nil && !c.thin(tp.topic) {
		return
	}
	p.greeted++
	tp.shuffled = false
	tp.quiet = c.now.Add(shuffleQuiet)
	var delay time.Duration
	if p.id < c.selfID {
		delay = shuffleSecond
	}
	c.timers.at(c.now.Add(delay), shuffleTimer{tp})
}

// shuffleTimer begins a shuffle at once, unless the peer did so meanwhile.
type shuffleTimer struct{ tp *topicPeer }

func (t shuffleTimer) due(c *Core) {
	tp := t.tp
	if c.exchanging() && tp.topic.topicPeerOf(tp.peer) == tp && c.partner(tp) && !tp.shuffled {
		c.shuffle(tp)
	}
}

// shuffleNext begins the next shuffle in turn. They become rarer while nothing
// new comes of them; and when no topic lacks peers any more, there is no hurry.
func (c *Core) shuffleNext() {
	v := &c.view
	tp, thin := c.shufflePartner()
	hurried := v.pace < c.cfg.ShuffleInterval
	v.pace = min(2*v.pace, shuffleCalm*c.cfg.ShuffleInterval)
	if !thin {
		v.pace = max(v.pace, c.cfg.ShuffleInterval)
	}
	v.shuffleAt = c.now.Add(c.jitter(v.pace))
	if tp != nil && (thin || !hurried) {
		c.shuffle(tp)
	}
}

// seekPeers looks for peers on a topic that the node has just come to care for.
func (c *Core) seekPeers(t *topic) {
	for _, tp := range t.peers {
		c.shuffleSoon(tp)
	}
	c.hasten(t)
	c.wishSoon()
}

// lackPeer makes up for a peer that the topic has lost.
func (c *Core) lackPeer(t *topic) {
	if c.degree(t) > 0 {
		c.hasten(t)
		c.wishSoon()
	}
}

// hasten makes shuffles frequent again after something changed on the topic.
func (c *Core) hasten(t *topic) {
	if !c.exchanging() {
		return
	}
	v := &c.view
	pace := c.cfg.ShuffleInterval
	if c.thin(t) {
		pace /= shuffleFast
	}
	if pace < v.pace {
		v.pace = pace
		v.shuffleAt = min(v.shuffleAt, c.now.Add(c.jitter(pace)))
	}
}

// shufflePartner draws a topic, mostly among those that lack peers, and one of its
// peers, or nil. It reports whether some topic lacks peers.
func (c *Core) shufflePartner() (tp *topicPeer, thin bool) {
	var anyOf, thinOf *topicPeer
	topics, thins := 0, 0
	for _, t := range c.topicList {
		if c.degree(t) == 0 {
			continue
		}
		thin := c.thin(t)
		tp := c.drawPartner(t, thin)
		if tp == nil {
			continue
		}
		if topics++; c.rngView.IntN(topics) == 0 {
			anyOf = tp
		}
		if !thin {
			continue
		}
		if thins++; c.rngView.IntN(thins) == 0 {
			thinOf = tp
		}
	}
	if thinOf != nil && c.rngView.IntN(shuffleYield) > 0 {
		return thinOf, true
	}
	return anyOf, thinOf != nil
}

func (c *Core) drawPartner(t *topic, thin bool) (pick *topicPeer) {
	n := 0
	for _, tp := range t.peers {
		if !c.partner(tp) || tp.peer.info.Limited && !thin {
			continue
		}
		if n++; c.rngView.IntN(n) == 0 {
			pick = tp
		}
	}
	return pick
}

// shuffle tells the peer some records and asks for some.
func (c *Core) shuffle(tp *topicPeer) {
	c.stats.Shuffles++
	records := c.someRecords(tp, shuffleActive, shufflePassive)
	tp.asked, tp.shuffled, tp.offered = true, true, peersOf(records)
	c.send(tp.peer, News, &wire.Shuffle{Topic: tp.topic.name, Records: records})
}

// someRecords draws what to tell the peer: our own record if we are interested
// in the topic, records of peers that are up, and of others that did not fail.
func (c *Core) someRecords(to *topicPeer, active, passive int) []wire.Record {
	t := to.topic
	var up, down []wire.Record
	for _, tp := range t.peers {
		if tp != to && tp.wants && tp.peer.stays() && tp.peer.record.Signed != nil {
			up = append(up, tp.peer.record)
		}
	}
	for _, k := range t.passive {
		if k.strikes == 0 {
			down = append(down, k.record)
		}
	}
	var records []wire.Record
	if t.interested && !to.peer.leaving && c.view.record != nil {
		records = append(records, wire.Record{Peer: c.selfID, Signed: c.view.record})
	}
	return append(append(records, c.draw(up, active)...), c.draw(down, passive)...)
}

// draw returns n of the records at random, or all if there are fewer.
func (c *Core) draw(records []wire.Record, n int) []wire.Record {
	c.rngView.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	return records[:min(n, len(records))]
}

func (c *Core) receiveShuffle(p *peer, m *wire.Shuffle) {
	if p.member() {
		c.stats.Unsolicited++
		return
	}
	p.shuffles.fill(c.now, shuffleRate, shuffleBurst)
	if p.shuffles.level <= 0 {
		c.stats.RecordsRefused += uint64(len(m.Records))
		c.demerit(p, "too many shuffles")
		return
	}
	p.shuffles.level--
	if m.Full {
		c.hearFull(p)
	}
	t := c.topics[m.Topic]
	var tp *topicPeer
	if t != nil {
		tp = t.topicPeerOf(p)
	}
	expected := tp != nil && tp.shares() && c.degree(t) > 0 && (!m.Reply || m.Full || tp.asked)
	if !c.exchanging() || !expected {
		if !m.Full {
			c.stats.Unsolicited++
		}
		c.stats.RecordsRefused += uint64(len(m.Records))
		return
	}
	var offered []wire.PeerID
	switch {
	case m.Full:
	case m.Reply:
		offered, tp.offered, tp.asked = tp.offered, nil, false
	default:
		// The answer is drawn first: what the peer told need not be told back to it.
		records := c.someRecords(tp, shuffleActive, shufflePassive)
		offered, tp.shuffled = peersOf(records), true
		c.send(p, News, &wire.Shuffle{Topic: t.name, Reply: true, Records: records})
	}
	more := false
	for _, r := range m.Records {
		more = c.learn(t, r, p.id, offered) || more
	}
	if more {
		c.hasten(t)
	}
}

func peersOf(records []wire.Record) []wire.PeerID {
	ids := make([]wire.PeerID, len(records))
	for i, r := range records {
		ids[i] = r.Peer
	}
	return ids
}
