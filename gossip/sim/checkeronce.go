package sim

// OnceChecker holds a simulation to P3: a node stores a batch once and shows it
// to its readers once, as long as its log lives; and to P6's outcome: nothing is
// stored or shown that was never published.
type OnceChecker struct {
	findings
	sim   *Sim
	nodes []onceLog
}

// onceLog is what happened to batches in one life of a log, by their index.
type onceLog struct{ stored, released bitset }

// NewOnceChecker returns a checker of P3.
func NewOnceChecker(s *Sim) *OnceChecker {
	return &OnceChecker{findings: findings{promise: "P3 once"}, sim: s}
}

func (c *OnceChecker) of(n *Node) *onceLog {
	for len(c.nodes) <= n.Index {
		c.nodes = append(c.nodes, onceLog{})
	}
	return &c.nodes[n.Index]
}

func (c *OnceChecker) published(n *Node, batch int, what string) bool {
	if batch < 0 || batch >= len(c.sim.store.batches) {
		c.add(c.sim, "node %d %s batch %d, which nobody published", n.Index, what, batch)
		return false
	}
	return true
}

// Stored notes that a batch is in the log.
func (c *OnceChecker) Stored(n *Node, batch int) {
	if c.published(n, batch, "stores") && !c.of(n).stored.set(batch) {
		c.add(c.sim, "node %d stores %s twice", n.Index, c.sim.spot(batch))
	}
}

// Released notes that readers are shown a batch.
func (c *OnceChecker) Released(n *Node, batch int, _ bool) {
	if !c.published(n, batch, "releases") {
		return
	}
	if !c.of(n).stored.has(batch) {
		c.add(c.sim, "node %d releases %s, which it does not hold", n.Index, c.sim.spot(batch))
	}
	if !c.of(n).released.set(batch) {
		c.add(c.sim, "node %d releases %s twice", n.Index, c.sim.spot(batch))
	}
}

// Restarted begins a new life of a log that was lost.
func (c *OnceChecker) Restarted(n *Node, lost bool) {
	if lost {
		*c.of(n) = onceLog{}
	}
}

// bitset is a set of small numbers.
type bitset []uint64

// set adds i. It reports whether i is new.
func (b *bitset) set(i int) bool {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	old := (*b)[i/64]
	(*b)[i/64] |= 1 << (i % 64)
	return old != (*b)[i/64]
}

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }
