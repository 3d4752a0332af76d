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
	if m := s.memo.find(low, high); m != nil {
		return m.digest, m.count
	}
	d, count := s.digest(low, high)
	if count < s.Len() {
		s.memo.keep(known{low, high, d, count})
	}
	return d, count
}

func (s *Set) digest(low, high wire.Time) (Digest, int) {
	if low >= high {
		return 0, 0
	}
	sum, count := s.sumIn(s.root, low, high)
	if count == 0 {
		return 0, 0
	}
	return digestOf(&sum), count
}

// sumOf returns the hash of all items below n, none of which has the last
// instant of all: no range has it.
func (s *Set) sumOf(n *node) *[32]byte {
	if !n.hashed {
		n.sum = s.compute(n, math.MinInt64, math.MaxInt64, n.count)
		n.hashed = true
	}
	return &n.sum
}

// sumIn returns the hash and the number of the items below n that are dated in [low, high).
func (s *Set) sumIn(n *node, low, high wire.Time) ([32]byte, int) {
	switch {
	case n.apart(low, high):
		return [32]byte{}, 0
	case n.covered(low, high):
		return *s.sumOf(n), n.count
	}
	count := n.countIn(low, high)
	if count == 0 {
		return [32]byte{}, 0
	}
	return s.compute(n, low, high, count), count
}

// compute hashes the items below n that are dated in [low, high), of which
// there are count, at least one.
func (s *Set) compute(n *node, low, high wire.Time, count int) [32]byte {
	if count <= digestMax {
		return s.hashItems(n, low, high)
	}
	var buf [1 + fanout*33]byte
	b := append(buf[:0], tagInner)
	kids := 0
	var sum [32]byte
	for i, k := range n.kids {
		part, count := s.sumIn(k, low, high)
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

func (s *Set) hashItems(n *node, low, high wire.Time) (sum [32]byte) {
	if s.hasher == nil {
		s.hasher = &hasher{hash: sha256.New()}
	}
	h := s.hasher
	h.hash.Reset()
	h.buf = append(h.buf[:0], tagLeaf)
	n.walk(low, high, h.add)
	h.hash.Write(h.buf)
	h.hash.Sum(sum[:0])
	return sum
}

// hasher hashes IDs, several in a call. A set keeps one, for it is small and
// would otherwise be allocated for each leaf.
type hasher struct {
	hash hash.Hash
	buf  []byte
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
