package sim

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// BoundedChecker holds a simulation to P8, and to P10 where nothing happens:
// what a node sends one peer in a second is bounded, a core keeps no more than
// what there is, and nodes that agree exchange nothing.
type BoundedChecker struct {
	findings
	rates map[[2]int]*rate // from and to; looked up, never ranged over
	quiet bool
	most  int
}

// rate counts the messages of a second.
type rate struct {
	second  int64
	n       int
	batches int
}

// messagesMax is how many messages a node may send a peer in a second, beside as many as
// there are batches in it. It is far above what is seen: a storm makes
// thousands.
const messagesMax = 1000

// NewBoundedChecker returns a checker of P8.
func NewBoundedChecker() *BoundedChecker {
	return &BoundedChecker{findings: findings{promise: "P8 bounded"}, rates: map[[2]int]*rate{}}
}

// Most returns how many messages without a batch a node has sent a peer in a second at most.
func (c *BoundedChecker) Most() int { return c.most }

// Quiet says that from now on nothing is to be exchanged: all is repaired, and
// had time to be found so.
func (c *BoundedChecker) Quiet() { c.quiet = true }

// Sent counts.
func (c *BoundedChecker) Sent(n, peer *Node, m wire.Message, batch int) {
	s := n.sim
	key := [2]int{n.Index, peer.Index}
	r := c.rates[key]
	if r == nil {
		r = &rate{}
		c.rates[key] = r
	}
	if second := int64(s.now) / int64(time.Second); second != r.second {
		r.second, r.n, r.batches = second, 0, 0
	}
	if m == nil {
		r.batches++
	} else {
		r.n++
		c.most = max(c.most, r.n)
		if r.n == messagesMax+r.batches {
			c.add(s, "node %d sends node %d %d messages and %d batches in a second", n.Index, peer.Index, r.n, r.batches)
		}
	}
	if c.quiet {
		c.atRest(n, peer, m, batch)
	}
}

// atRest looks at what is sent when there is nothing to tell.
func (c *BoundedChecker) atRest(n, peer *Node, m wire.Message, batch int) {
	switch m := m.(type) {
	case nil:
		c.add(n.sim, "node %d sends node %d %s after all is repaired", n.Index, peer.Index, n.sim.spot(batch))
	case *wire.Open:
		c.add(n.sim, "node %d opens an exchange on %s with node %d after all is repaired", n.Index, m.Topic, peer.Index)
	case *wire.Want, *wire.WantIDs:
		c.add(n.sim, "node %d asks node %d for batches after all is repaired", n.Index, peer.Index)
	}
}

// End looks at what the cores keep.
func (c *BoundedChecker) End(s *Sim) {
	topics, streams := s.published()
	for _, n := range s.nodes {
		if !n.Up() {
			continue
		}
		stats, held := n.core.Stats(), 0
		for i := range n.log.arrivals {
			if n.holds(i) {
				held++
			}
		}
		if stats.Batches != held {
			c.add(s, "node %d's core keeps %d batches; its log, %d", n.Index, stats.Batches, held)
		}
		if stats.Authors > streams {
			c.add(s, "node %d's core keeps %d authors on topics; there are %d", n.Index, stats.Authors, streams)
		}
		if most := topics + len(n.filter) + len(n.former); stats.Topics > most {
			c.add(s, "node %d's core keeps %d topics; there are at most %d", n.Index, stats.Topics, most)
		}
		if stats.Peers != len(n.links) {
			c.add(s, "node %d's core keeps %d peers; it has %d", n.Index, stats.Peers, len(n.links))
		}
	}
}

// published counts the topics on which something was published, and the pairs of them
// with an author.
func (s *Sim) published() (topics, streams int) {
	seenTopics, seenStreams := map[string]bool{}, map[stream]bool{}
	for i := range s.store.batches {
		h := &s.store.batches[i].Batch.Header
		seenTopics[h.Topic] = true
		seenStreams[stream{topic: h.Topic, author: h.Author}] = true
	}
	return len(seenTopics), len(seenStreams)
}
