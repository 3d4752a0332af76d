package sim

import (
	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// OrderChecker holds a simulation to P4, and to P5 as far as readers see it: a
// node's readers are shown each author's events in order, what is skipped is
// told as a gap before what comes after it, and what comes after its gap is
// marked as late.
type OrderChecker struct {
	findings
	sim     *Sim
	streams map[stream]*reading // looked up, never ranged over
	lives   []int               // by node: how often its log was lost
}

// reading is how far a stream was read.
type reading struct {
	life int
	head wire.Mark // of what was shown in order, and of gaps
	gaps []stretch // that were told
	owed []stretch // that are not owed to a reader, so that no gap tells of them
}

// stretch is a part of a stream: after, exclusive, to upto, inclusive.
type stretch struct{ after, upto wire.Mark }

func (r stretch) covers(h *wire.Header) bool {
	return h.Start().Compare(r.after) > 0 && h.End().Compare(r.upto) <= 0
}

// NewOrderChecker returns a checker of P4.
func NewOrderChecker(s *Sim) *OrderChecker {
	return &OrderChecker{
		findings: findings{promise: "P4 in order, P5 never silent"}, sim: s, streams: map[stream]*reading{},
	}
}

func (c *OrderChecker) life(node int) int {
	if node < len(c.lives) {
		return c.lives[node]
	}
	return 0
}

// of returns the reading of a stream; a log that was lost begins anew.
func (c *OrderChecker) of(n *Node, topic string, author wire.Author) (stream, *reading) {
	st := stream{n.Index, topic, author}
	r := c.streams[st]
	if r == nil || r.life != c.life(n.Index) {
		r = &reading{life: c.life(n.Index)}
		c.streams[st] = r
	}
	return st, r
}

// broken reports whether the author's chain of predecessors is: the author has lost
// its log, and what it published since does not name what it published before.
func (c *OrderChecker) broken(author int) bool { return c.life(author) > 0 }

// Released looks at what readers are shown.
func (c *OrderChecker) Released(n *Node, batch int, late bool) {
	p := &c.sim.store.batches[batch]
	h := &p.Batch.Header
	st, r := c.of(n, h.Topic, h.Author)
	if late {
		if h.End().Compare(r.head) > 0 {
			c.add(c.sim, "%v: %s is marked late, but readers are at %v", st, c.sim.spot(batch), markText(r.head))
		}
		if !c.mayBeLate(r, h) && !c.broken(p.Author) {
			c.add(c.sim, "%v: %s is marked late, but no gap was told for it", st, c.sim.spot(batch))
		}
		return
	}
	prev := h.Prev.Mark
	switch {
	case h.Start().Compare(r.head) <= 0:
		c.add(c.sim, "%v: %s comes after %v", st, c.sim.spot(batch), markText(r.head))
	case prev == r.head:
	case prev.Compare(r.head) < 0:
		// An honest author's batches name each other. Readers may be ahead of what one
		// names only where its author had forgotten what it had published.
		if !c.broken(p.Author) {
			c.add(c.sim, "%v: %s comes after %v, which is not its predecessor", st, c.sim.spot(batch), markText(r.head))
		}
	case prev.Compare(n.trimmedUpto(h.Topic, h.Author)) <= 0 && r.head == (wire.Mark{}):
		// It had trimmed what came before without anybody's reading it: it had no interest then.
		r.owed = append(r.owed, stretch{r.head, prev})
	case r.head == (wire.Mark{}) && h.Prev.Time < n.floor():
		// A joiner is not owed what was too old before it came.
		r.owed = append(r.owed, stretch{r.head, prev})
	default:
		c.add(c.sim, "%v: %s comes after %v: what is between is skipped without a gap",
			st, c.sim.spot(batch), markText(r.head))
	}
	r.head = h.End()
}

func (c *OrderChecker) mayBeLate(r *reading, h *wire.Header) bool {
	for _, list := range [...][]stretch{r.gaps, r.owed} {
		for _, g := range list {
			if g.covers(h) {
				return true
			}
		}
	}
	return false
}

// Gap notes that readers are told of one.
func (c *OrderChecker) Gap(n *Node, g *gossip.Gap) {
	st, r := c.of(n, g.Topic, g.Author)
	if g.To.Compare(r.head) <= 0 {
		c.add(c.sim, "%v: a gap is told up to %v, but readers are at %v", st, markText(g.To), markText(r.head))
	}
	// The beginning of a stream has no epoch to name: such a gap begins with its last epoch.
	next := wire.Mark{Epoch: r.head.Epoch, Seq: r.head.Seq + 1}
	if r.head != (wire.Mark{}) && g.From != next {
		c.add(c.sim, "%v: a gap is told from %v, but readers are at %v", st, markText(g.From), markText(r.head))
	}
	r.gaps = append(r.gaps, stretch{r.head, g.To})
	r.head = g.To
}

// Restarted begins anew where a log was lost.
func (c *OrderChecker) Restarted(n *Node, lost bool) {
	if !lost {
		return
	}
	for len(c.lives) <= n.Index {
		c.lives = append(c.lives, 0)
	}
	c.lives[n.Index]++
}
