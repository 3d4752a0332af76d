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

// piece is a part of a view on its way to become a range: the items below n but for
// those of h, dated in [low, high), of which there are count.
type piece struct {
	n         *node
	h         holes
	low, high wire.Time
	count     int
}

// piece returns the piece of the items dated in [low, high).
func (v View) piece(low, high wire.Time) piece {
	return piece{v.set.root, v.holes(), low, high, v.Count(low, high)}
}

// Ranges divides [low, high) into at most limit ranges, the newest finest and
// those before it coarser, with digests under key. The first begins at low. All other bounds fall between
// nodes of the trie or inside of a leaf, so what two nodes in agreement compare
// costs next to no hashing once it is known. A range with over 32 items
// is divided if the limit allows two ranges and time divides its items at all.
func (v View) Ranges(key Key, low, high wire.Time, limit int) []wire.RangeDigest {
	pieces := []piece{v.piece(low, high)}
	for i := 0; pieces[i].count > newestMax; i = len(pieces) - 1 {
		parts := pieces[i].split()
		if len(parts) == 0 || i+len(parts) > limit {
			break
		}
		pieces = append(pieces[:i], parts...)
	}
	return v.digests(key, divide(pieces, limit))
}

// divide divides the widest piece, as long as there are at most limit.
func divide(pieces []piece, limit int) []piece {
	for i := widest(pieces, limit); i >= 0; i = widest(pieces, limit) {
		pieces = slices.Replace(pieces, i, i+1, pieces[i].split()...)
	}
	return pieces
}

// digests returns the ranges that the pieces are, under key.
func (v View) digests(key Key, pieces []piece) []wire.RangeDigest {
	ranges := make([]wire.RangeDigest, len(pieces))
	for i, p := range pieces {
		ranges[i] = wire.RangeDigest{Low: p.low, Count: uint32(p.count)}
		if p.count > 0 {
			sum, _ := v.sumIn(p.n, p.h, p.low, p.high)
			ranges[i].Digest = key.digest32(&sum)
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
		p.n, p.h = parts[0].n, parts[0].h
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
			h := p.h.below(n.depth, i)
			count := k.countIn(p.low, p.high) - h.countIn(p.low, p.high)
			if count > 0 && n.depth < timeDigits {
				parts = append(parts, piece{n: k, h: h, low: bound(&n.ref, n.depth, i), count: count})
			}
		}
		return parts
	}
	items := within(n.items, p.low, p.high)
	if !p.h.none() {
		items = make([]Item, 0, p.count)
		p.h.walk(n, p.low, p.high, func(part []Item) bool {
			items = append(items, part...)
			return true
		})
	}
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
		parts = append(parts, piece{n: n, h: p.h, low: low, count: count})
	}
	return parts
}

// bound returns the first time that shares depth digits with ref and has x as the next.
func bound(ref *Item, depth, x int) wire.Time {
	shift := 60 - 4*depth
	return keyTime((timeKey(ref.Time)>>shift&^15 | uint64(x)) << shift)
}

// stretch is a span and how many items each side has of it.
type stretch struct {
	span
	ours, theirs int
	stale        bool
}

// compare compares the other's ranges, the last of which ends at high, with ours.
// Ranges out of order count as empty.
func (v View) compare(key Key, high wire.Time, theirs []wire.RangeDigest) []stretch {
	all := make([]stretch, len(theirs))
	for i, r := range theirs {
		end := high
		if i+1 < len(theirs) {
			end = min(high, theirs[i+1].Low)
		}
		digest, count := v.digest(r.Low, end)
		all[i] = stretch{
			span: span{r.Low, end}, ours: count, theirs: int(r.Count),
			stale: key.digest32(&digest) != r.Digest || uint32(count) != r.Count,
		}
	}
	return all
}
