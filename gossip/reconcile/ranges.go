package reconcile

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// RangesDefault is a good number of ranges for an Open: three levels of the
// trie at 15 ranges each, and the newest.
const RangesDefault = 46

// Cut returns the instant up to which two nodes with the clocks a and b
// compare: settle behind the slower, rounded down to a multiple of quantum,
// so that both choose the same and what is still being spread is left out.
// A quantum of zero or less does not round.
func Cut(a, b wire.Time, settle, quantum time.Duration) wire.Time {
	t := min(a, b).Add(-settle)
	if quantum <= 0 {
		return t
	}
	q := wire.Time(quantum)
	rest := t % q
	if rest < 0 {
		rest += q
	}
	return t - rest
}

const (
	newestMax = 32      // items in the newest range, if the limit allows
	olderMax  = leafMax // items in any other, if the limit allows
)

// piece is a part of the set on its way to become a range: the items below n
// dated in [low, high), of which there are count.
type piece struct {
	n         *node
	low, high wire.Time
	count     int
}

// Ranges divides [low, high) into at most limit ranges, the newest finest and
// those before it coarser. The first begins at low. All other bounds fall between
// nodes of the trie or inside of a leaf, so what two nodes in agreement compare
// costs next to no hashing once it is known. A range with over 32 items
// is divided if the limit allows two ranges and time divides its items at all.
func (s *Set) Ranges(low, high wire.Time, limit int) []wire.RangeDigest {
	pieces := []piece{{s.root, low, high, s.Count(low, high)}}
	for i := 0; pieces[i].count > newestMax; i = len(pieces) - 1 {
		parts := pieces[i].split()
		if len(parts) == 0 || i+len(parts) > limit {
			break
		}
		pieces = append(pieces[:i], parts...)
	}
	for i := widest(pieces, limit); i >= 0; i = widest(pieces, limit) {
		pieces = slices.Replace(pieces, i, i+1, pieces[i].split()...)
	}
	ranges := make([]wire.RangeDigest, len(pieces))
	for i, p := range pieces {
		ranges[i] = wire.RangeDigest{Low: p.low, Count: uint32(p.count)}
		if p.count > 0 {
			sum, _ := s.sumIn(p.n, p.low, p.high)
			ranges[i].Digest = uint64(digestOf(&sum))
		}
	}
	return ranges
}

// widest returns the index of the piece with most items among those that can
// be divided within the limit, or -1.
func widest(pieces []piece, limit int) int {
	best := -1
	for i, p := range pieces {
		if p.count <= olderMax || best >= 0 && p.count <= pieces[best].count {
			continue
		}
		if parts := p.split(); len(parts) > 0 && len(pieces)-1+len(parts) <= limit {
			best = i
		}
	}
	return best
}

// split divides p at the first digit of time in which its items differ. It
// returns nothing if they are all of one time.
func (p piece) split() []piece {
	parts := p.kids()
	for len(parts) == 1 && parts[0].n != p.n {
		p.n = parts[0].n
		parts = p.kids()
	}
	if len(parts) < 2 {
		return nil
	}
	// A gap belongs to the part before it; what precedes the first part, to the first.
	parts[0].low = p.low
	for i := range parts {
		parts[i].high = p.high
		if i+1 < len(parts) {
			parts[i].high = parts[i+1].low
		}
	}
	return parts
}

// kids returns the parts of p below the kids of its node, or of a leaf by the first
// digit in which the items differ, and leaves their upper bounds open.
func (p piece) kids() (parts []piece) {
	n := p.n
	if n == nil {
		return nil
	}
	if n.kids != nil {
		for i, k := range n.kids {
			if count := k.countIn(p.low, p.high); count > 0 && n.depth < timeDigits {
				parts = append(parts, piece{n: k, low: bound(&n.ref, n.depth, i), count: count})
			}
		}
		return parts
	}
	items := within(n.items, p.low, p.high)
	if len(items) == 0 {
		return nil
	}
	depth := common(&items[0], &items[len(items)-1])
	for i := 0; i < len(items) && depth < timeDigits; i += parts[len(parts)-1].count {
		low := bound(&items[i], depth, items[i].digit(depth))
		count := 1
		for i+count < len(items) && items[i+count].digit(depth) == items[i].digit(depth) {
			count++
		}
		parts = append(parts, piece{n: n, low: low, count: count})
	}
	return parts
}

// bound returns the first time that shares depth digits with ref and has x as the next.
func bound(ref *Item, depth, x int) wire.Time {
	shift := 60 - 4*depth
	return keyTime((timeKey(ref.Time)>>shift&^15 | uint64(x)) << shift)
}

// bounds returns the bounds of the i-th range; the last ends at high.
func bounds(ranges []wire.RangeDigest, i int, high wire.Time) (wire.Time, wire.Time) {
	if i+1 < len(ranges) {
		high = min(high, ranges[i+1].Low)
	}
	return ranges[i].Low, high
}

// Compare returns the indices of the other's ranges in which its items and
// ours differ. The last range ends at high. Ranges out of order count as empty.
func (s *Set) Compare(high wire.Time, theirs []wire.RangeDigest) (stale []int) {
	for i, r := range theirs {
		low, end := bounds(theirs, i, high)
		digest, count := s.digest(low, end)
		if uint64(digest) != r.Digest || uint32(count) != r.Count {
			stale = append(stale, i)
		}
	}
	return stale
}
