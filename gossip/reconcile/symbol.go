package reconcile

import (
	"math/bits"

	"github.com/dchest/siphash"

	"github.com/busnode/busnode/gossip/wire"
)

// shortBits and checkBits are the lengths of a short ID and of a check.
const (
	shortBits = 48
	checkBits = 24
)

// short returns the keyed short ID of a batch.
func (k Key) short(id *wire.BatchID) uint64 {
	return siphash.Hash(k.K0, k.K1, id[:]) >> (64 - shortBits)
}

// expand returns the check and the first state of the mapping that belong to a short
// ID. The decoder knows nothing else of an item, so they depend on nothing else.
func (k Key) expand(short uint64) (check uint32, state uint64) {
	x := finalize(short ^ k.K0)
	return uint32(x >> (64 - checkBits)), finalize(x^k.K1) | 1
}

// finalize is a permutation each bit of whose output depends on each of its
// input: SplitMix64's (Stafford's variant 13 of MurmurHash3's).
func finalize(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// span is the time from low up to but excluding high.
type span struct{ low, high wire.Time }

// coded is an item as it goes through the symbols.
type coded struct {
	short uint64
	state uint64 // of the mapping
	next  uint32 // the first symbol still to come that the item takes part in
	when  uint32 // its time, see coder
}

// add adds the item, count times, to those of the symbols from index from on
// that it takes part in, and moves it behind them.
func (c *coded) add(symbols []wire.Symbol, from, check uint32, count int32) {
	at, state, short := c.next, c.state, c.short
	for i := uint64(at) - uint64(from); i < uint64(len(symbols)); i = uint64(at) - uint64(from) {
		s := &symbols[i]
		s.Sum ^= short
		s.Check ^= check
		s.Count += count
		state, at = next(state, at)
	}
	c.next, c.state = at, state
}

// passWork is how many items are passed over at the cost of one that is hashed.
const passWork = 16

// coder makes the symbols of our own items. It is a snapshot: what changes in the set
// later has no part in it. It takes 24 bytes an item.
type coder struct {
	key   Key
	view  View // to find items again by time and short ID
	items []coded
	made  int // symbols
	work  int // items hashed, see takeWork
	// when of an item is the number of units of 2^unit nanoseconds from base to its time.
	base wire.Time
	unit uint
}

// newCoder takes in the items dated in the spans, which ascend and do not overlap.
func newCoder(view View, key Key, spans []span) *coder {
	c := &coder{key: key, view: view}
	if len(spans) == 0 {
		return c
	}
	count := 0
	for _, s := range spans {
		count += view.Count(s.low, s.high)
	}
	c.items = make([]coded, 0, count)
	c.base = spans[0].low
	c.unit = uint(max(0, bits.Len64(uint64(spans[len(spans)-1].high-c.base))-32))
	for _, s := range spans {
		view.walk(s.low, s.high, c.take)
	}
	c.work += len(c.items)
	return c
}

func (c *coder) take(items []Item) bool {
	for i := range items {
		it := &items[i]
		short := c.key.short(&it.ID)
		_, state := c.key.expand(short)
		c.items = append(c.items, coded{short: short, state: state, when: c.when(it.Time)})
	}
	return true
}

func (c *coder) when(t wire.Time) uint32 { return uint32(uint64(t-c.base) >> c.unit) }

// time returns the first instant of a unit.
func (c *coder) time(when uint32) wire.Time { return c.base + wire.Time(uint64(when)<<c.unit) }

// symbols returns the next n symbols.
func (c *coder) symbols(n int) []wire.Symbol {
	symbols := make([]wire.Symbol, n)
	from := uint32(c.made)
	c.made += n
	for i := range c.items {
		if it := &c.items[i]; int(it.next) < c.made {
			check, _ := c.key.expand(it.short)
			it.add(symbols, from, check, 1)
		}
	}
	// To pass over an item costs little, and a symbol has few items after the first flight.
	c.work += len(c.items)/passWork + n/4
	return symbols
}

// takeWork returns the number of items hashed since it was called last.
func (c *coder) takeWork() int {
	if c == nil {
		return 0
	}
	work := c.work
	c.work = 0
	return work
}
