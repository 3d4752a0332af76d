package gossip

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// The view of a topic: its neighbours are those that this node picked, up to
// Degree, and those that picked it. While there are no more than Degree
// interested peers, all are picked. Nobody who picks us is declined: to a leaf
// whose only peer we are, that would be a cut. The carrier bounds how many
// connections there are.

// chooseNeighbours picks the topic's neighbours anew after something changed,
// and tells those concerned. The choice goes by a hash of both ends and the
// topic, alike at both ends, so that it stays put while peers come and go, most
// links are picked from both sides, and topics do not all load the same peer.
func (c *Core) chooseNeighbours(t *topic) {
	if t.monger != nil {
		t.monger.repartner()
	}
	if !t.interested && !t.listed {
		return
	}
	const few = 16 // lists that are no longer take no memory
	wanting, publishing := make([]*topicPeer, 0, few), make([]*topicPeer, 0, few)
	for _, tp := range t.peers {
		switch {
		case tp.peer.member():
		case tp.wants:
			wanting = append(wanting, tp)
		case !t.interested:
			tp.linkOut = false // it forgets our pick with our interest
		case tp.holds:
			publishing = append(publishing, tp)
		}
	}
	picked, rest := c.pick(wanting, c.cfg.Degree)
	// While there are few readers, those too that only publish: with many of their own they do not
	// pick us, and nobody else may bring us what they publish.
	more, others := c.pick(publishing, c.cfg.Degree-len(picked))
	for _, list := range [...][]*topicPeer{rest, others} {
		for _, tp := range list {
			if tp.linkOut {
				tp.linkOut = false
				c.send(tp.peer, News, &wire.Link{Topic: t.name})
			}
		}
	}
	for _, list := range [...][]*topicPeer{picked, more} {
		for _, tp := range list {
			if !tp.linkOut {
				tp.linkOut = true
				c.send(tp.peer, News, &wire.Link{Topic: t.name, Up: true})
			}
		}
	}
}

// pick divides peers in at most n that are picked, and the others. It sorts them.
func (c *Core) pick(peers []*topicPeer, n int) (picked, rest []*topicPeer) {
	if len(peers) <= n {
		return peers, nil
	}
	slices.SortStableFunc(peers, func(x, y *topicPeer) int {
		return cmp.Compare(c.linkHash(x), c.linkHash(y))
	})
	return peers[:n], peers[n:]
}

func (c *Core) linkHash(tp *topicPeer) uint64 {
	a, b := c.selfID, tp.peer.id
	if a > b {
		a, b = b, a
	}
	h := fnv.New64a()
	h.Write([]byte(a))
	h.Write([]byte(b))
	h.Write([]byte(tp.topic.name))
	// FNV's high bits mix badly in short inputs; fold once more.
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], h.Sum64())
	h.Write(sum[:])
	return h.Sum64()
}

func (c *Core) receiveLink(p *peer, m *wire.Link) {
	t := c.topics[m.Topic]
	if t == nil {
		return // nothing to gossip about; the topic's coming will be told
	}
	tp := t.topicPeerOf(p)
	if tp == nil || !tp.wants || p.member() {
		c.stats.Unsolicited++
		return
	}
	tp.linkIn = m.Up
	if m.Up && t.linksIn() > linksPart*c.cfg.Degree {
		c.trimSoon(surplusAgain)
	}
}
