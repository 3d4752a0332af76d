package reconcile

import (
	"crypto/sha256"
	"hash"
	"math"

	"github.com/busnode/busnode/gossip/wire"
)

// digestMax is the number of items that are hashed in one go. It is part of
// the protocol: nodes that differ in it never agree.
const digestMax = 4096

// The first byte of what is hashed keeps leaves and inner nodes apart.
const (
	tagLeaf  = 0
	tagInner = 1
)

// Digest returns the digest and the number of the items dated in [low, high).
// It depends on these items alone: see the package comment.
func (s *Set) Digest(low, high wire.Time) (Digest, int) {
	// Most topics of many are small or as old as the range: without a look at much memory.
	switch {
	case s.root == nil:
		return Digest{}, 0
	case s.root.covered(low, high):
		return *s.sumOf(s.root), s.root.count
	}
	if m := s.memo.find(low, high); m != nil {
		return m.digest, m.count
	}
	d, count := s.digest(low, high)
	s.memo.keep(known{low, high, d, count})
	return d, count
}

func (s *Set) digest(low, high wire.Time) (Digest, int) { return View{set: s}.digest(low, high) }

func (v View) digest(low, high wire.Time) (Digest, int) {
	if low >= high {
		return Digest{}, 0
	}
	return v.sumIn(v.set.root, v.holes(), low, high)
}

// sumOf returns the hash of all items below n, none of which has the last
// instant of all: no range has it.
func (s *Set) sumOf(n *node) *Digest {
	if !n.hashed {
		n.sum = View{set: s}.compute(n, holes{}, math.MinInt64, math.MaxInt64, n.count)
		n.hashed = true
	}
	return &n.sum
}

// sumIn returns the hash and the number of the items below n that are dated in
// [low, high), but for those of h.
func (v View) sumIn(n *node, h holes, low, high wire.Time) (Digest, int) {
	if n.apart(low, high) {
		return Digest{}, 0
	}
	whole := n.covered(low, high)
	if whole && h.none() {
		return *v.set.sumOf(n), n.count
	}
	count := n.countIn(low, high) - h.countIn(low, high)
	switch {
	case count == 0:
		return Digest{}, 0
	case whole:
		return v.sumBut(n, h, count), count
	}
	return v.compute(n, h, low, high, count), count
}

// sumBut returns the hash of the items below n but for those of h; there are count.
func (v View) sumBut(n *node, h holes, count int) Digest {
	whole := *v.set.sumOf(n)
	if known, ok := v.except.known[n]; ok && known.whole == whole {
		return known.rest
	}
	rest := v.compute(n, h, math.MinInt64, math.MaxInt64, count)
	v.except.keep(n, remainder{whole, rest})
	return rest
}

// compute hashes the items below n that are dated in [low, high) but for
// those of h, of which there are count, at least one.
func (v View) compute(n *node, h holes, low, high wire.Time, count int) Digest {
	if count <= digestMax {
		return v.hashItems(n, h, low, high, count)
	}
	var buf [1 + fanout*33]byte
	b := append(buf[:0], tagInner)
	kids := 0
	var sum Digest
	for i, k := range n.kids {
		part, count := v.sumIn(k, h.below(n.depth, i), low, high)
		if count == 0 {
			continue
		}
		kids, sum = kids+1, part
		b = append(append(b, byte(i)), part[:]...)
	}
	// The trie of these items alone has no node where they do not part.
	if kids == 1 {
		return sum
	}
	return sha256.Sum256(b)
}

func (v View) hashItems(n *node, h holes, low, high wire.Time, count int) (sum Digest) {
	if v.set.hasher == nil {
		v.set.hasher = &hasher{hash: sha256.New()}
	}
	r := v.set.hasher
	r.items += count
	r.hash.Reset()
	r.buf = append(r.buf[:0], tagLeaf)
	h.walk(n, low, high, r.add)
	r.hash.Write(r.buf)
	r.hash.Sum(sum[:0])
	return sum
}

// hasher hashes IDs, several in a call. A set keeps one, for it is small and
// would otherwise be allocated for each leaf.
type hasher struct {
	hash  hash.Hash
	buf   []byte
	items int // hashed so far
}

func (h *hasher) add(items []Item) bool {
	for i := range items {
		h.buf = append(h.buf, items[i].ID[:]...)
		if len(h.buf) >= 8*len(items[i].ID) {
			h.hash.Write(h.buf)
			h.buf = h.buf[:0]
		}
	}
	return true
}

// memo keeps the newest digests whose range cuts through the set. What is
// compared with all neighbours ends at the same cut, and news is dated after
// it: so the edges are not hashed again for each neighbour and heartbeat.
type memo struct {
	entries [8]known
	next    int
}

// known is a digest that holds until an item in its range changes. The zero
// value has an empty range and is never found.
type known struct {
	low, high wire.Time
	digest    Digest
	count     int
}

func (m *memo) find(low, high wire.Time) *known {
	for i := range m.entries {
		if e := &m.entries[i]; e.low == low && e.high == high && low < high {
			return e
		}
	}
	return nil
}

func (m *memo) keep(k known) {
	m.entries[m.next] = k
	m.next = (m.next + 1) % len(m.entries)
}

// changed drops what an item dated t has part in.
func (m *memo) changed(t wire.Time) {
	for i := range m.entries {
		if e := &m.entries[i]; e.low <= t && t < e.high {
			*e = known{}
		}
	}
}

// changedBelow drops what items dated before t have part in.
func (m *memo) changedBelow(t wire.Time) {
	for i := range m.entries {
		if e := &m.entries[i]; e.low < t {
			*e = known{}
		}
	}
}
