package reconcile

import (
	"math/bits"

	"github.com/busnode/busnode/gossip/wire"
)

// decoder finds the items in which two sides differ from the difference of their
// symbols. Its work and memory are bounded by the symbols received.
type decoder struct {
	key Key
	// cells are the other's symbols less ours less what was found.
	cells []wire.Symbol
	// found are the items found, in order. Invariant: their symbols before len(cells) are
	// taken out of cells, and next is the first one after them.
	found []coded
	pure  []uint32 // cells that may hold one item alone

	first   int64  // count of symbol 0, before anything was taken out
	spread  uint64 // sum of the estimates of symbols from 1 on, times spreadUnit
	symbols int    // from 1 on, that are part of spread
}

// What coded.when says of an item found.
const (
	theirs = 0
	ours   = 1
)

const (
	spreadUnit = 16      // fractions matter where few items differ
	spreadMax  = 1 << 23 // of what is squared: the counts of a liar are greater, hardly others
)

// take takes in the other's next symbols, and ours of the same indices.
func (d *decoder) take(others, own []wire.Symbol) {
	from := len(d.cells)
	for i := range others {
		o, s := &others[i], &own[i]
		count := int64(o.Count) - int64(s.Count)
		d.learn(int64(from+i), count)
		d.cells = append(d.cells, wire.Symbol{
			Sum: o.Sum ^ s.Sum, Check: o.Check ^ s.Check, Count: int32(count),
		})
	}
	fresh := d.cells[from:]
	for i := range d.found {
		if f := &d.found[i]; int(f.next) < len(d.cells) {
			check, _ := d.key.expand(f.short)
			f.add(fresh, uint32(from), check, f.sign())
		}
	}
	for i := range fresh {
		if c := fresh[i].Count; c == 1 || c == -1 {
			d.pure = append(d.pure, uint32(from+i))
		}
	}
}

// sign returns what takes an item found out of the cells.
func (c *coded) sign() int32 {
	if c.when == theirs {
		return -1
	}
	return 1
}

// peel takes items out of the cells, as long as some cell holds one alone.
func (d *decoder) peel() {
	// Each of an honest peer's items takes a symbol at least.
	for len(d.pure) > 0 && len(d.found) < len(d.cells) {
		i := d.pure[len(d.pure)-1]
		d.pure = d.pure[:len(d.pure)-1]
		c := d.cells[i]
		if c.Count != 1 && c.Count != -1 {
			continue
		}
		check, state := d.key.expand(c.Sum)
		// The check has few bits. That the item belongs where it was found is a second one.
		if check != c.Check || !maps(state, i) {
			continue
		}
		item := coded{short: c.Sum, state: state, when: theirs}
		if c.Count < 0 {
			item.when = ours
		}
		d.remove(&item, check)
		d.found = append(d.found, item)
	}
	d.pure = d.pure[:0]
}

// remove takes an item out of all cells, and notes those that may now hold one alone.
func (d *decoder) remove(item *coded, check uint32) {
	sign := item.sign()
	for int(item.next) < len(d.cells) {
		c := &d.cells[item.next]
		c.Sum ^= item.short
		c.Check ^= check
		c.Count += sign
		if c.Count == 1 || c.Count == -1 {
			d.pure = append(d.pure, item.next)
		}
		item.state, item.next = next(item.state, item.next)
	}
}

// maps reports whether the item whose mapping begins with state takes part in symbol i.
func maps(state uint64, i uint32) bool {
	at := uint32(0)
	for at < i {
		state, at = next(state, at)
	}
	return at == i
}

// done reports whether all differences are found.
func (d *decoder) done() bool {
	for i := range d.cells {
		if d.cells[i] != (wire.Symbol{}) {
			return false
		}
	}
	return len(d.cells) > 0
}

// learn takes the count of symbol i, of all that differs, into the estimate.
//
// With p = 2/(2+i), the share of the items that symbol i has, (N − N₀p)²/(p(1−p)) is
// on average the number of items: N is a sum of as many terms of ±1 or 0.
func (d *decoder) learn(i, count int64) {
	if i == 0 {
		d.first = count
		return
	}
	x := uint64(min(max((2+i)*count-2*d.first, -spreadMax), spreadMax))
	d.spread += x * x / 2 * spreadUnit / uint64(i)
	d.symbols++
}

// differences estimates how many items differ. Its standard deviation is √(2/n) of it
// after n symbols.
func (d *decoder) differences() int {
	estimate := uint64(0)
	if d.symbols > 0 {
		estimate = (d.spread/uint64(d.symbols) + spreadUnit - 1) / spreadUnit
	}
	return int(max(estimate, uint64(max(d.first, -d.first)), uint64(len(d.found))))
}

// needed returns how many symbols are enough for so many differences, mostly: 1.35 a
// difference on average, more where they are few.
func needed(differences int) int {
	return differences*138/100 + 4*isqrt(differences) + 8
}

// fewDifferences is where a flight more costs about as much as the margin that saves it.
const fewDifferences = 500

// upto returns how many symbols there should be in all for the rest to decode, mostly: a
// larger margin costs more than the flight that it saves.
//
// On average it takes 1.36 a difference, with a standard deviation of 1.3 times their square
// root. The estimate has one of √(2/m) of it after m symbols. The margin is 1.25 times both,
// or 1.75 times where differences are few.
func (d *decoder) upto() int {
	n := d.differences()
	estimated := n * n / max(d.symbols, 1) * 578 / 100 // (1.25 · 1.36 n)² · 2/m
	chance := n * 264 / 100                            // (1.25 · 1.3)² n
	margin := isqrt(estimated + chance)
	if n < fewDifferences {
		margin = margin * 7 / 5
	}
	return n*136/100 + 10 + margin
}

// isqrt returns the square root of x, rounded down.
func isqrt(x int) int {
	if x <= 0 {
		return 0
	}
	// Newton's method from above descends until it is there.
	r := 1 << ((bits.Len(uint(x)) + 1) / 2)
	for {
		better := (r + x/r) / 2
		if better >= r {
			return r
		}
		r = better
	}
}
