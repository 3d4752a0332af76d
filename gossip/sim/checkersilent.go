package sim

import "github.com/busnode/busnode/gossip"

// SilentChecker holds a simulation to the rest of P5: whatever becomes of a
// batch that reaches a core is counted, and what is in the log is shown to
// readers sooner or later, or barred by a verdict.
type SilentChecker struct {
	findings
	counted uint64 // batches, by cores that are no more
}

// NewSilentChecker returns a checker of P5. The simulation is never measured anew.
func NewSilentChecker() *SilentChecker {
	return &SilentChecker{findings: findings{promise: "P5 never silent"}}
}

// Stopped takes over what the core has counted.
func (c *SilentChecker) Stopped(n *Node) { c.counted += batchesCounted(n.core.Stats()) }

// batchesCounted returns how many of the batches that reached a core it has
// accounted for. Those that come to the place of a damaged one are no part of it:
// nothing is damaged here.
func batchesCounted(s gossip.Stats) uint64 {
	return s.Accepted + s.Duplicate + s.RepairDuplicate + s.RefusedTopic + s.RefusedOld + s.RefusedNew +
		s.RefusedTrimmed + s.RefusedTwin
}

// End looks whether all was counted, and shown.
func (c *SilentChecker) End(s *Sim) {
	counted := c.counted
	for _, n := range s.nodes {
		if !n.Up() {
			continue
		}
		counted += batchesCounted(n.core.Stats())
		if i := n.Waiting(); i >= 0 {
			c.add(s, "node %d holds %s and has not shown it to its readers", n.Index, s.spot(i))
		}
	}
	if got := s.tally.Copies; got != counted {
		c.add(s, "%d batches reached the nodes, and their cores account for %d", got, counted)
	}
}
