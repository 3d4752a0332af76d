package gossip

import "github.com/busnode/busnode/gossip/reconcile"

// Comparing costs hashing, and a small Open can ask for much of it. So what a
// peer may have us hash is bounded by a bucket of items: it starts full, a peer
// that asks for no more than what flows in never notices, and one that asks for
// more is told to come back. A second bucket bounds what all peers together may ask.

const (
	workNodeShare  = 4  // the node's bucket fills with so much of WorkMax in a second
	workPeerShare  = 16 // a peer's with so much
	workNodeFactor = 2  // the node's bucket holds so many of a peer's
)

// bucket holds items that may be hashed. It may be overdrawn, and then fills first.
type bucket struct {
	level  int
	filled Time
}

// fill adds what flowed in since the last time, rate items a second up to max.
func (b *bucket) fill(now Time, rate, max int) {
	second := Time(1e9)
	gone := now - b.filled
	if gone >= second*Time(max/rate+1)*2 {
		b.level, b.filled = max, now
		return
	}
	n := int(gone * Time(rate) / second)
	if n == 0 {
		return // less than one item: the time counts for the next call
	}
	b.filled += Time(n) * second / Time(rate)
	b.level = min(b.level+n, max)
}

// allowance returns how many items the peer may have us hash now.
func (c *Core) allowance(p *peer) int {
	peerMax, nodeMax := c.cfg.WorkMax, workNodeFactor*c.cfg.WorkMax
	p.work.fill(c.now, max(1, peerMax/workPeerShare), peerMax)
	c.work.fill(c.now, max(1, c.cfg.WorkMax/workNodeShare), nodeMax)
	left := min(p.work.level, c.work.level)
	if p.work.level > peerMax/2 {
		left = max(left, peerMax/workPeerShare) // others that ask for much shall not starve one that does not
	}
	return max(0, left)
}

// charge notes that n items were hashed for the peer.
func (c *Core) charge(p *peer, n int) {
	p.work.level -= n
	c.work.level -= n
	c.stats.ItemsHashed += uint64(n)
}

// limits returns what an exchange with the peer may cost at most.
func (c *Core) limits(p *peer) reconcile.Limits {
	l := reconcile.DefaultLimits()
	l.Items = min(l.Items, c.allowance(p))
	return l
}
