package reconcile

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// wanted is an item that is to be found by its short ID and its time.
type wanted struct {
	when  uint32
	short uint64
}

// find returns the items with these short IDs, ascending, and how many of the short
// IDs were not taken in. Items that left the set since are left out of both.
//
// It passes over all items, at one or two nanoseconds each: to arrange them so that it need
// not costs as much as a hundred such passes, in memory out of reach of the cache.
func (c *coder) find(short []uint64) (items []Item, unknown int) {
	if len(short) == 0 {
		return nil, 0
	}
	c.work += len(c.items) / passWork
	short = slices.Compact(slices.Sorted(slices.Values(short)))
	all, known := c.search(short)
	slices.SortFunc(all, func(a, b wanted) int {
		if a.when != b.when {
			return cmp.Compare(a.when, b.when)
		}
		return cmp.Compare(a.short, b.short)
	})
	return c.locate(slices.Compact(all)), len(short) - known
}

// search returns the time of the items with these short IDs, which ascend, and how many of the
// short IDs there are.
func (c *coder) search(short []uint64) (all []wanted, known int) {
	// Few of the items that are not wanted have their bit set.
	const itemBits = 32
	filter := make([]uint64, 1<<bits.Len(uint(len(short)*itemBits/64)))
	mask := uint64(len(filter) - 1)
	for _, s := range short {
		filter[s>>6&mask] |= 1 << (s & 63)
	}
	all = make([]wanted, 0, len(short))
	found := make([]bool, len(short))
	for i := range c.items {
		s := c.items[i].short
		if filter[s>>6&mask]>>(s&63)&1 == 0 {
			continue
		}
		if at, ok := slices.BinarySearch(short, s); ok {
			all = append(all, wanted{c.items[i].when, s})
			if !found[at] {
				found[at] = true
				known++
			}
		}
	}
	return all, known
}

// locate returns the items that are wanted, which ascend. It looks once at each leaf that has some.
func (c *coder) locate(all []wanted) []Item {
	items := make([]Item, 0, len(all))
	for len(all) > 0 {
		low, high := c.time(all[0].when), c.time(all[len(all)-1].when)+1<<c.unit
		if high < low {
			high = math.MaxInt64
		}
		rest := all[:0]
		c.view.walk(low, high, func(part []Item) bool {
			items, all = c.pick(items, all, part)
			// What follows may be of the same unit of time. Else the next leaf wanted may be far.
			if len(all) > 0 && all[0].when == c.when(part[len(part)-1].Time) {
				return true
			}
			rest = all
			return false
		})
		all = rest
	}
	return items
}

// pick appends those items of part, ascending and without a gap, that are wanted. It returns what
// is wanted of later units of time than part's last one, or of this.
func (c *coder) pick(items []Item, all []wanted, part []Item) ([]Item, []wanted) {
	byShort := func(w wanted, short uint64) int { return cmp.Compare(w.short, short) }
	for len(all) > 0 {
		when := all[0].when
		part = part[seek(part, c.time(when)):]
		if len(part) == 0 {
			return items, all
		}
		n := 1
		for n < len(all) && all[n].when == when {
			n++
		}
		i := 0
		for ; i < len(part) && c.when(part[i].Time) == when; i++ {
			short := c.key.short(&part[i].ID)
			if _, found := slices.BinarySearchFunc(all[:n], short, byShort); found {
				items = append(items, part[i])
			}
		}
		c.work += i
		if i == len(part) {
			return items, all
		}
		all = all[n:]
	}
	return items, all
}

// seek is lowerBound for what is mostly near the beginning: it reads less memory on the way.
func seek(items []Item, t wire.Time) int {
	step := 1
	for step < len(items) && items[step].Time < t {
		step *= 2
	}
	return step/2 + lowerBound(items[step/2:min(step+1, len(items))], t)
}
