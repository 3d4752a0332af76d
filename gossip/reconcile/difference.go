package reconcile

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// Encode tells what s holds in the stale ranges among the other's, which
// [Set.Compare] found; the last range ends at high. It takes the newest ranges
// first and at most budget IDs in all, and returns the ranges ascending by
// index. A range in which s holds nothing is part of the answer: it says so.
//
// More reports that something was left out. A range with more than budget
// items never fits: see [Oversize]. Only if all of them are of one time, which
// no range can divide, its first ones are told.
func Encode(
	s *Set, high wire.Time, theirs []wire.RangeDigest, stale []int, budget int,
) (ranges []wire.RangeIDs, more bool) {
	left := budget
	for _, i := range slices.Backward(stale) {
		low, end := bounds(theirs, i, high)
		count := s.Count(low, end)
		if count > budget && s.divisible(low, end) {
			more = true
			continue
		}
		if count > left && left < budget {
			more = true
			break
		}
		ids := s.shortIDs(low, end, min(count, left))
		more = more || len(ids) < count
		left -= len(ids)
		ranges = append(ranges, wire.RangeIDs{Index: uint32(i), IDs: ids})
	}
	slices.Reverse(ranges)
	return ranges, more
}

// Oversize returns the bounds of the newest stale range with more than budget
// items of ours that time can divide. It is to be answered with an Open of our
// own over these bounds. Budgets are 32 or more: [Set.Ranges] goes no finer.
func Oversize(
	s *Set, high wire.Time, theirs []wire.RangeDigest, stale []int, budget int,
) (low, end wire.Time, found bool) {
	for _, i := range slices.Backward(stale) {
		low, end = bounds(theirs, i, high)
		if s.Count(low, end) > budget && s.divisible(low, end) {
			return low, end, true
		}
	}
	return 0, 0, false
}

// divisible reports whether items of more than one time are dated in [low, end).
func (s *Set) divisible(low, end wire.Time) bool {
	first := s.root.ceiling(&Item{Time: low})
	return first != nil && s.Count(first.Time+1, end) > 0
}

// shortIDs returns the short IDs of the first limit items dated in [low, high).
func (s *Set) shortIDs(low, high wire.Time, limit int) []uint64 {
	if limit == 0 {
		return nil
	}
	ids := make([]uint64, 0, limit)
	for it := range s.Items(low, high) {
		if len(ids) == limit {
			break
		}
		ids = append(ids, it.Short())
	}
	return ids
}

// Decode finds the difference from what the other told of our ranges, the
// last of which ends at high: lack are its short IDs that we do not hold,
// surplus are our items that it does not hold, both in order of (time, ID) if the
// other kept to it. What it told of ranges that we did not ask for, or out of
// order, is left aside. Memory is bounded by what was received and what we hold.
func Decode(
	s *Set, high wire.Time, ours []wire.RangeDigest, ranges []wire.RangeIDs,
) (lack []uint64, surplus []Item) {
	next := 0 // the lowest index that is still to come
	for _, r := range ranges {
		if uint64(r.Index) >= uint64(len(ours)) || int(r.Index) < next {
			continue
		}
		next = int(r.Index) + 1
		theirs := make(map[uint64]struct{}, len(r.IDs))
		for _, id := range r.IDs {
			if _, again := theirs[id]; again {
				continue
			}
			theirs[id] = struct{}{}
			if _, held := s.short[id]; !held {
				lack = append(lack, id)
			}
		}
		low, end := bounds(ours, int(r.Index), high)
		for it := range s.Items(low, end) {
			if _, held := theirs[it.Short()]; !held {
				surplus = append(surplus, it)
			}
		}
	}
	return lack, surplus
}
