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
	if !t.interested && !t.listed {
		return
	}
	var candidates []*topicPeer
	for _, tp := range t.peers {
		if tp.wants {
			candidates = append(candidates, tp)
		}
	}
	if len(candidates) > c.cfg.Degree {
		slices.SortStableFunc(candidates, func(x, y *topicPeer) int {
			return cmp.Compare(c.linkHash(x), c.linkHash(y))
		})
		for _, tp := range candidates[c.cfg.Degree:] {
			if tp.linkOut {
				tp.linkOut = false
				c.send(tp.peer, News, &wire.Link{Topic: t.name})
			}
		}
		candidates = candidates[:c.cfg.Degree]
	}
	for _, tp := range candidates {
		if !tp.linkOut {
			tp.linkOut = true
			c.send(tp.peer, News, &wire.Link{Topic: t.name, Up: true})
		}
	}
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
	if tp == nil || !tp.wants {
		c.stats.Unsolicited++
		return
	}
	tp.linkIn = m.Up
}
