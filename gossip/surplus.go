package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// A node that everybody knows, the seed of ten thousand joiners, must not keep
// them all: above PeersMax connections, or above twice Degree that picked it on a
// topic, it says so to some peers, with records of others, and ends the
// connection a little later. Those go first that have no topic in common with
// it, then those that it did not pick itself; those without whom a topic of its
// own would be nearly alone stay, and so do for a while those that have just
// come: they know nobody else yet.

const (
	fullGrace    = 3 * time.Second  // from saying so to the end: meanwhile the peer finds others
	fullForget   = 15 * time.Second // a peer that said so and stays is counted on again
	surplusGrace = 5 * time.Second  // a peer that is up for less is spared
	surplusAgain = time.Second      // until the next look while there are too many
	uselessAfter = 10 * time.Second // a peer that a wish brought must have shown a common topic
	hardPart     = 2                // with PeersMax and half as many again, being new helps nobody
	fullTopics   = 4                // topics of which a surplus peer is told others
	linksPart    = 2                // a topic may have so many times Degree peers that picked us
)

// uselessTimer ends a connection that a wish brought about and that serves no
// topic: the record was told for a topic that its peer has nothing to do with.
type uselessTimer struct{ p *peer }

func (t uselessTimer) due(c *Core) {
	if p := t.p; !p.down && len(p.topics) == 0 && p.stays() {
		c.drop(p.record)
		c.sayFull(p)
	}
}

// trimPeers ends the connections that were told so, and tells others if there
// are too many.
func (c *Core) trimPeers() {
	v := &c.view
	v.surplusAt = Never
	count := 0
	for _, p := range c.peerList {
		switch {
		case p.stays():
			count++
		case p.fullAt == 0 || p.dismissed:
		case c.now >= p.fullAt.Add(fullGrace):
			p.dismissed = true
			c.out.Disconnect = append(c.out.Disconnect, Disconnect{Peer: p.id, Reason: "too many connections", Surplus: true})
		default:
			v.surplusAt = min(v.surplusAt, p.fullAt.Add(fullGrace))
		}
	}
	if excess := count - c.cfg.PeersMax; excess > 0 {
		surplus, young := c.surplusPeers()
		told := min(excess, len(surplus))
		for _, p := range surplus[:told] {
			c.sayFull(p)
		}
		if beyond := excess - told - c.cfg.PeersMax/hardPart; beyond > 0 {
			for _, p := range young[:min(beyond, len(young))] {
				c.sayFull(p)
			}
		}
		c.trimSoon(surplusAgain)
	}
	if !c.exchanging() {
		return // nobody could be told of others
	}
	for _, t := range c.topicList {
		c.trimLinks(t)
	}
}

// trimLinks tells peers that picked us for this topic alone, if they are too many.
func (c *Core) trimLinks(t *topic) {
	excess := t.linksIn() - linksPart*c.cfg.Degree
	if excess <= 0 {
		return
	}
	c.trimSoon(surplusAgain)
	var surplus []*peer
	for _, tp := range t.peers {
		p := tp.peer
		if tp.linkIn && !tp.linkOut && len(p.topics) == 1 && p.stays() && c.now >= p.upAt.Add(surplusGrace) {
			surplus = append(surplus, p)
		}
	}
	c.shufflePeers(surplus)
	for _, p := range surplus[:min(excess, len(surplus))] {
		c.sayFull(p)
	}
}

// linksIn returns how many peers picked us as a neighbour.
func (t *topic) linksIn() (n int) {
	for _, tp := range t.peers {
		if tp.linkIn && tp.peer.stays() {
			n++
		}
	}
	return n
}

func (c *Core) trimSoon(d time.Duration) {
	c.view.surplusAt = min(c.view.surplusAt, c.now.Add(d))
}

// surplusPeers returns the peers that may go, in the order in which they should,
// and those that have just come and share a topic.
func (c *Core) surplusPeers() (surplus, young []*peer) {
	var idle, others, picked []*peer
	for _, p := range c.peerList {
		switch {
		case !p.stays():
		case c.now < p.upAt.Add(surplusGrace):
			if len(p.topics) > 0 {
				young = append(young, p)
			}
		case len(p.topics) == 0:
			idle = append(idle, p)
		case c.needs(p):
		case slices.ContainsFunc(p.topics, func(tp *topicPeer) bool { return tp.linkOut }):
			picked = append(picked, p)
		default:
			others = append(others, p)
		}
	}
	for _, peers := range [][]*peer{idle, others, picked, young} {
		c.shufflePeers(peers)
	}
	return slices.Concat(idle, others, picked), young
}

func (c *Core) shufflePeers(peers []*peer) {
	c.rngView.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
}

// needs reports whether some topic would be left with less than two peers.
func (c *Core) needs(p *peer) bool {
	return slices.ContainsFunc(p.topics, func(tp *topicPeer) bool {
		return tp.wants && c.degree(tp.topic) > 0 && c.present(tp.topic) <= 2
	})
}

// sayFull tells the peer that it is one too many, and of others to connect to.
func (c *Core) sayFull(p *peer) {
	p.leaving, p.fullAt = true, c.now
	c.stats.PeersSurplus++
	c.out.Avoid = append(c.out.Avoid, p.id)
	c.trimSoon(fullGrace)
	told := 0
	for _, tp := range p.topics {
		if told == fullTopics || !c.exchanging() {
			break
		}
		if !tp.shares() || c.degree(tp.topic) == 0 {
			continue
		}
		if records := c.someRecords(tp, fullShare, fullShare); len(records) > 0 {
			told++
			c.send(p, News, &wire.Shuffle{Topic: tp.topic.name, Full: true, Records: records})
		}
	}
	if told == 0 {
		c.send(p, News, &wire.Shuffle{Full: true})
	}
	c.wishSoon()
}

// hearFull notes that the peer is about to end the connection. It is believed once: one
// that stays is counted again, and could say so for ever to be in nobody's way.
func (c *Core) hearFull(p *peer) {
	if p.leaving || p.saidFull {
		return
	}
	p.leaving, p.saidFull = true, true
	c.out.Avoid = append(c.out.Avoid, p.id)
	c.timers.at(c.now.Add(fullForget), fullTimer{p})
	c.wishSoon()
}

// fullTimer counts on a peer again that said it was full and stayed.
type fullTimer struct{ p *peer }

func (t fullTimer) due(c *Core) {
	if t.p.fullAt == 0 && !t.p.down {
		t.p.leaving = false
		c.trimSoon(surplusAgain)
	}
}
