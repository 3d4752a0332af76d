package gossip

import (
	"slices"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// The passive set, after HyParView (Leitão, Pereira, Rodrigues, DSN 2007): peers
// that are not up, of which a record is at hand, by the topics they are known
// for. Whenever a topic has fewer peers than Degree, the node wishes to be
// connected to some of those. Records come by shuffles (shuffle.go), from the
// caller's own discovery ([Core.Known]), and from peers that went down.
//
// Departs from HyParView: a set for each topic, for overlays are the topics'; no
// random walks, because the shuffles of a joiner do their work; and a record
// says nothing until a dial succeeds, so whoever makes records up can have a
// bounded share of a set filled, and a bounded number of dials made.

const (
	lostWait      = time.Second      // from a peer's loss to the first dial: its carrier may be quicker
	fullWait      = 5 * time.Minute  // the same, if one of the two had too many connections
	fullWaitAlone = 10 * time.Second // the same, for a node that has no other peer
	droppedMax    = 64               // dropped peers that are remembered, lest their records come again
	droppedFor    = 10 * time.Minute // for so long
	tellerShare   = 3                // one peer may tell this part of a topic's set
	knownShare    = 4                // and this part of all records
)

// known is a peer that is not up, of which a record is at hand.
type known struct {
	record   wire.Record
	teller   wire.PeerID // who told of it first; its own ID if it was up
	topics   []*topic    // whose passive sets it is in; at least one
	met      bool        // it was up
	full     bool        // one of us had too many connections when it went down
	dialling bool
	dialled  Time // when the dial was wished for
	strikes  int  // failed dials in a row
	after    Time // not to be dialled before
	weight   int  // how much it is needed; valid within makeWishes
}

// passiveEntry is a peer in one topic's passive set.
type passiveEntry struct {
	*known
	teller wire.PeerID // who told of it on this topic; "" for the caller's discovery
}

// dropped is a peer whose records are not taken in again for a while.
type dropped struct {
	id    wire.PeerID
	seq   uint64 // but newer ones are
	until Time
}

// viewState is what the core knows of peers and does to find some.
type viewState struct {
	record   []byte // our own; nil: there is none
	exchange bool   // SetRecord was called: the caller can dial
	known    map[wire.PeerID]*known
	list     []*known // the same, sorted by ID: iterate this, never the map
	dropped  []dropped
	dialling int // how many of the list are
	dials    bucket
	lost     []lostPeer // in order of coming

	wishAt    Time // when makeWishes is due
	shuffleAt Time // when the next shuffle is
	surplusAt Time // when trimPeers is
	probeAt   Time // when probeLost is
	pace      time.Duration
}

func newViewState(cfg *Config, now Time) viewState {
	return viewState{
		dials: bucket{wishesMax, now}, wishAt: Never, shuffleAt: Never, surplusAt: Never, probeAt: Never,
		pace: cfg.ShuffleInterval,
	}
}

// deadline returns when dueView has something to do.
func (v *viewState) deadline() Time { return min(v.wishAt, v.shuffleAt, v.surplusAt, v.probeAt) }

// dueView does what is due.
func (c *Core) dueView() {
	v := &c.view
	if c.now >= v.surplusAt {
		c.trimPeers()
	}
	if c.now >= v.wishAt {
		c.makeWishes()
	}
	if c.now >= v.probeAt {
		c.probeLost()
	}
	if c.now >= v.shuffleAt {
		c.shuffleNext()
	}
}

// Known tells records of peers that are said to be interested in the topic, from
// the caller's own discovery. They were checked. The core keeps them.
func (c *Core) Known(topic string, records []wire.Record) {
	t := c.topics[topic]
	if t == nil || c.degree(t) == 0 {
		c.stats.RecordsRefused += uint64(len(records))
		return
	}
	for _, r := range records {
		c.learn(t, r, "", nil)
	}
}

// publisherDegree is how many peers a node has for a topic that it only
// publishes on: enough that the loss of some delays no event.
const publisherDegree = degreeMin

// degree returns how many peers the node wants for the topic.
func (c *Core) degree(t *topic) int {
	switch {
	case t.interested:
		return c.cfg.Degree
	case t.authors[c.self] != nil:
		return publisherDegree
	}
	return 0
}

// present returns how many peers the topic has, or will have if dials succeed.
func (c *Core) present(t *topic) (n int) {
	for _, tp := range t.peers {
		if tp.wants && tp.peer.stays() {
			n++
		}
	}
	for _, k := range t.passive {
		if k.dialling {
			n++
		}
	}
	return n
}

// stays reports whether the peer is one of those that the view counts on.
func (p *peer) stays() bool { return !p.down && !p.leaving && !p.dismissed && !p.member() }

// thin reports whether the topic has fewer peers than the node wants.
func (c *Core) thin(t *topic) bool { return c.present(t) < c.degree(t) }

// drop remembers that this record is of no use.
func (c *Core) drop(r wire.Record) {
	v := &c.view
	if len(v.dropped) >= droppedMax {
		v.dropped = slices.Delete(v.dropped, 0, 1)
	}
	v.dropped = append(v.dropped, dropped{r.Peer, r.Seq, c.now.Add(droppedFor)})
}

func (c *Core) isDropped(r wire.Record) bool {
	return slices.ContainsFunc(c.view.dropped, func(d dropped) bool {
		return d.id == r.Peer && r.Seq <= d.seq && c.now < d.until
	})
}

// learn takes in a record of a peer that is said to be interested in the topic.
// teller is "" for the caller's discovery. offered are the peers that the teller
// was told of: their places are given away first (HyParView, section 4.3). It
// reports whether there is more to tell others now: the topic's set grew, or the
// record is the first of a peer that is up.
func (c *Core) learn(t *topic, r wire.Record, teller wire.PeerID, offered []wire.PeerID) bool {
	if r.Peer == c.selfID {
		return false
	}
	if p := c.peers[r.Peer]; p != nil && !p.member() {
		first := p.record.Signed == nil
		p.renew(r, teller)
		return first
	}
	k := c.view.known[r.Peer]
	if k != nil && r.Seq > k.record.Seq {
		k.record, k.strikes, k.after = r, 0, c.now // it is elsewhere now
		c.wishSoon()
	}
	if t.inPassive(r.Peer) {
		return false
	}
	grows := len(t.passive) < c.cfg.PassiveMax
	if k == nil && (c.isDropped(r) || !c.tellerHasRoom(teller)) || !c.makePlace(t, teller, offered) {
		c.stats.RecordsRefused++
		return false
	}
	if k == nil {
		k = c.addKnown(t, r, teller)
	}
	k.topics = append(k.topics, t)
	t.passive = append(t.passive, passiveEntry{k, teller})
	c.wishSoon()
	return grows
}

// renew takes the newer record of a peer that is up.
func (p *peer) renew(r wire.Record, teller wire.PeerID) {
	if p.record.Signed == nil || r.Seq > p.record.Seq || r.Seq == p.record.Seq && teller == p.id {
		p.record = r
	}
}

func (t *topic) inPassive(id wire.PeerID) bool {
	return slices.ContainsFunc(t.passive, func(k passiveEntry) bool { return k.record.Peer == id })
}

// tellerHasRoom reports whether the teller may make one more peer known.
func (c *Core) tellerHasRoom(teller wire.PeerID) bool {
	if teller == "" {
		return true
	}
	n := 0
	for _, k := range c.view.list {
		if k.teller == teller {
			n++
		}
	}
	return n < max(1, c.cfg.KnownMax/knownShare)
}

// makePlace makes room in the topic's set. Whoever told its share of it displaces
// what it told itself; anyone else those that were offered in return, or by chance.
func (c *Core) makePlace(t *topic, teller wire.PeerID, offered []wire.PeerID) bool {
	var its, free, sent []*known
	told := 0
	for _, k := range t.passive {
		mine := teller != "" && k.teller == teller
		if mine {
			told++
		}
		switch {
		case k.dialling:
			continue
		case mine:
			its = append(its, k.known)
		}
		free = append(free, k.known)
		if slices.Contains(offered, k.record.Peer) {
			sent = append(sent, k.known)
		}
	}
	from := free
	switch {
	case told >= max(1, c.cfg.PassiveMax/tellerShare):
		from = its
	case len(t.passive) < c.cfg.PassiveMax:
		return true
	case len(sent) > 0:
		from = sent
	}
	if len(from) == 0 {
		return false
	}
	c.unplace(from[c.rngView.IntN(len(from))], t)
	return true
}

// addKnown makes a peer known, for the topic; if there are too many, one is forgotten.
func (c *Core) addKnown(t *topic, r wire.Record, teller wire.PeerID) *known {
	v := &c.view
	if len(v.list) >= c.cfg.KnownMax {
		k := v.list[c.rngView.IntN(len(v.list))]
		c.forgetKnown(k, t)
	}
	if v.known == nil {
		v.known = map[wire.PeerID]*known{}
	}
	k := &known{record: r, teller: teller}
	v.known[r.Peer] = k
	i, _ := v.find(r.Peer)
	v.list = slices.Insert(v.list, i, k)
	return k
}

func (v *viewState) find(id wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(v.list, id, func(k *known, id wire.PeerID) int {
		return strings.Compare(string(k.record.Peer), string(id))
	})
}

// unplace takes the peer out of the topic's set, and forgets it if that was the last.
func (c *Core) unplace(k *known, t *topic) {
	t.passive = slices.DeleteFunc(t.passive, func(x passiveEntry) bool { return x.known == k })
	k.topics = slices.DeleteFunc(k.topics, func(x *topic) bool { return x == t })
	if len(k.topics) == 0 {
		c.removeKnown(k)
	}
}

func (c *Core) removeKnown(k *known) {
	v := &c.view
	c.endDial(k)
	delete(v.known, k.record.Peer)
	if i, ok := v.find(k.record.Peer); ok {
		v.list = slices.Delete(v.list, i, i+1)
	}
}

// forgetKnown takes the peer out of all sets, and forgets topics that only it kept,
// but for keep, which gets another.
func (c *Core) forgetKnown(k *known, keep *topic) {
	for _, t := range slices.Clone(k.topics) {
		c.unplace(k, t)
		if t != keep {
			c.forgetTopic(t)
		}
	}
}

// forgetPassive empties the topic's set.
func (c *Core) forgetPassive(t *topic) {
	for _, k := range slices.Clone(t.passive) {
		c.unplace(k.known, t)
	}
}

// meetKnown moves what is known of a peer to the peer, which came up.
func (c *Core) meetKnown(p *peer) {
	v := &c.view
	c.foundLost(p.id)
	p.upAt, p.shuffles = c.now, bucket{shuffleBurst, c.now}
	v.dropped = slices.DeleteFunc(v.dropped, func(d dropped) bool { return d.id == p.id })
	if c.connected > c.cfg.PeersMax {
		c.trimSoon(surplusAgain)
	}
	k := v.known[p.id]
	if k == nil {
		return
	}
	p.record, p.strikes, p.expected = k.record, k.strikes, slices.Clone(k.topics)
	if k.dialling {
		c.timers.at(c.now.Add(uselessAfter), uselessTimer{p})
	}
	c.forgetKnown(k, nil)
	c.view.wishAt = min(c.view.wishAt, c.now.Add(expectMax))
}

// retire keeps the record of a peer that went down: the next to be dialled where
// a topic lacks somebody.
func (c *Core) retire(p *peer) {
	c.wishSoon()
	if p.record.Signed == nil || p.dismissed && !p.leaving {
		return
	}
	brief := c.now < p.upAt.Add(expectMax)
	if !brief && !p.leaving {
		c.rememberLost(p)
	}
	topics := p.expected
	if !brief {
		topics = nil
	}
	for _, tp := range p.topics {
		if tp.wants && !slices.Contains(topics, tp.topic) {
			topics = append(topics, tp.topic)
		}
	}
	for _, t := range topics {
		if c.degree(t) > 0 && c.topics[t.name] == t {
			c.learn(t, p.record, p.id, nil)
		}
	}
	k := c.view.known[p.id]
	if k == nil {
		return
	}
	k.met = true
	k.after = c.now.Add(c.jitter(lostWait))
	if brief {
		k.strikes = p.strikes + 1
		k.after = c.now.Add(c.failedWait(k.strikes))
	}
	if p.leaving {
		k.full = true
		k.after = c.now.Add(c.jitter(fullWait))
	}
}

// noteAlone lets a node that has no peer left try those again that had too many.
func (c *Core) noteAlone() {
	if c.connected > 0 {
		return
	}
	for _, k := range c.view.list {
		if k.full {
			k.full = false
			k.after = min(k.after, c.now.Add(c.jitter(fullWaitAlone)))
		}
	}
}
