package reconcile

import (
	"iter"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// View is what of a set is compared with one peer. It stays valid while set and
// exceptions change.
type View struct {
	set    *Set
	except *Except
}

// View returns the set without the items of x, which may be nil.
func (s *Set) View(x *Except) View { return View{s, x} }

// Digest returns the digest and the number of the items dated in [low, high). It
// depends on these items alone: see the package comment.
func (v View) Digest(low, high wire.Time) (Digest, int) {
	if v.except.Len() == 0 {
		return v.set.Digest(low, high)
	}
	return v.digest(low, high)
}

// Count returns how many items are dated in [low, high).
func (v View) Count(low, high wire.Time) int {
	if low >= high {
		return 0
	}
	count := v.set.root.countIn(low, high)
	if v.except.Len() > 0 {
		count -= v.except.root.countIn(low, high)
	}
	return count
}

// Items returns the items dated in [low, high), in ascending order.
func (v View) Items(low, high wire.Time) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		v.walk(low, high, func(items []Item) bool { return each(items, yield) })
	}
}

func (v View) walk(low, high wire.Time, f func([]Item) bool) {
	if low < high {
		v.holes().walk(v.set.root, low, high, f)
	}
}

// after returns the earliest time from which up to high there are at most limit
// items, and low at the earliest.
func (v View) after(low, high wire.Time, limit int) wire.Time {
	if low >= high || v.Count(low, high) <= limit {
		return low
	}
	// Invariant: from low there are more, from high there are not.
	for end := high; ; {
		middle := low + wire.Time(uint64(high-low)/2)
		switch {
		case middle == low:
			return high
		case v.Count(middle, end) > limit:
			low = middle
		default:
			high = middle
		}
	}
}

// newest returns the newest items dated in [low, high), at most limit, ascending.
// Of items of one time it returns the first ones.
func (v View) newest(low, high wire.Time, limit int) []Item {
	from := v.after(low, high, limit)
	if from > low && v.Count(from, high) == 0 {
		from-- // all of this one instant, which has too many
	}
	items := make([]Item, 0, min(limit, v.Count(from, high)))
	v.walk(from, high, func(part []Item) bool {
		items = append(items, part[:min(len(part), limit-len(items))]...)
		return len(items) < limit
	})
	return slices.Clip(items)
}

// hashed returns how many items went into digests so far.
func (v View) hashed() int {
	if v.set.hasher == nil {
		return 0
	}
	return v.set.hasher.items
}
