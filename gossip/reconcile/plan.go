package reconcile

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// plan decides what to do about each of the ranges of an Open, newest first
// as far as the limits go.
type plan struct {
	v      View
	key    Key
	l      Limits
	all    []stretch
	answer *wire.Answer

	both                               []int // ranges in which both sides hold something, newest first
	coded, plain, empty, offeredRanges bitmap
	offers                             [][]Item // newest range first
	divide                             bool     // the coded ranges are to be divided further
	first                              int      // symbols of the first flight
	work                               int      // items hashed
}

// choose finds the ranges that one side has nothing of, and the others within the budget.
func (p *plan) choose(plain bool) {
	left, offers, apart := p.l.Items, p.l.offers(), 0
	for i := len(p.all) - 1; i >= 0; i-- {
		s := &p.all[i]
		switch {
		case !s.stale:
		case s.ours == 0:
			p.empty.set(i)
		case s.theirs == 0:
			if offers == 0 {
				p.answer.More = true
				return
			}
			items := p.v.newest(s.low, s.high, offers)
			offers -= len(items)
			p.offers = append(p.offers, items)
			p.offeredRanges.set(i)
			p.answer.More = p.answer.More || len(items) < s.ours
		default:
			left, apart = left-s.items(), apart+s.apart()
			if len(p.both) > 0 && !plain && (left < 0 || apart > p.l.Symbols/2) {
				p.answer.More = true
				return
			}
			p.both = append(p.both, i)
		}
	}
}

// items returns what is offered, ascending.
func (p *plan) items() []Item {
	slices.Reverse(p.offers)
	return slices.Concat(p.offers...)
}

// Costs in bytes, to choose what is cheaper.
const (
	symbolBytes     = 10
	differenceBytes = 14 // of one difference among many, in symbols
	plainIDBytes    = 6
	plainBytes      = 4 // of a plain range besides its short IDs
)

// code decides between plain short IDs for tiny ranges and symbols, and whether
// to divide first.
func (p *plan) code(expect int) {
	items, apart, tiny, tinyBytes := 0, 0, 0, 0
	for _, i := range p.both {
		s := &p.all[i]
		items, apart = items+s.ours+s.theirs, apart+s.apart()
		if s.items() <= tinyMax {
			tiny, tinyBytes = tiny+1, tinyBytes+plainBytes+plainIDBytes*s.ours
		}
	}
	alone := tiny == len(p.both) && tinyBytes <= symbolBytes*first(max(apart, expect), 0, items)
	for _, i := range p.both {
		s := &p.all[i]
		dear := plainBytes+plainIDBytes*s.ours > differenceBytes*max(1, s.apart())
		if s.items() > tinyMax || dear && !alone {
			p.coded.set(i)
			continue
		}
		items, apart = items-s.ours-s.theirs, apart-s.apart()
		p.tell(i, s.ours)
	}
	slices.Reverse(p.answer.Plain)
	coded := make([]stretch, 0, len(p.both))
	for _, i := range slices.Backward(p.both) {
		if p.coded.has(i) {
			coded = append(coded, p.all[i])
		}
	}
	p.first = first(max(apart, expect), mutual(coded), items)
	p.divide = p.costly(max(apart, expect))
}

// Where some differences are guessed, there may be many times as many: then the first
// flight is as large as tells their number well, and is needed anyway.
const (
	someDifferences = 20
	firstSome       = 96
)

// first returns the size of a first flight over so many items, if so many differences are
// certain or expected, and more are guessed. A guess is not worth more symbols than
// differences: the next flight, of a size better known, adds what is missing.
func first(differences, guess, items int) int {
	n := max(differences+differences/2, guess)
	if n >= someDifferences {
		n = max(n, firstSome)
	}
	return max(firstMin, min(n, needed(items), firstMax))
}

// mutual guesses from the counts of ranges in order of time how many items differ, if each side lacks
// about as many as the other. Then a range's counts differ by as many terms of ±1 as it has
// differences, on average as much as their square root.
//
// Where one side lacks more, counts differ by more; but then they do likewise in the next
// range. So it is from range to range that changes count, at most half of a
// range's items each, and less the more one side's lack prevails in all of them.
func mutual(ranges []stretch) int {
	if len(ranges) < 2 {
		return 0
	}
	sum, size, guess, before := 0, 0, 0, 0
	for i := range ranges {
		x := min(max(ranges[i].ours-ranges[i].theirs, -ItemsMax), ItemsMax)
		sum, size = sum+x, size+max(x, -x)
		if i > 0 {
			guess += min((x-before)*(x-before)/2, (ranges[i].items()+ranges[i-1].items())/4)
		}
		before = x
	}
	if size == 0 {
		return 0
	}
	guess = min(guess*len(ranges)/(len(ranges)-1), ItemsMax)
	// Times 1 - (sum/size)².
	return guess * (size - sum) / size * (size + sum) / size
}

// costly reports whether it is worth a round trip to divide the coded ranges.
func (p *plan) costly(differences int) bool {
	items, ranges, newest := 0, 0, -1
	for _, i := range p.both {
		if p.coded.has(i) {
			items, ranges, newest = items+p.all[i].items(), ranges+1, i
		}
	}
	if ranges == 1 {
		s := &p.all[newest]
		if s.items() > max(p.l.Items, wholeMax) || s.apart() > p.l.Symbols/2 {
			return true
		}
	}
	return items > p.l.Finer && differences < wire.RangesMax/2
}

// list tells the short IDs of whole ranges, as many as there is room for. A range with more
// is divided, so that the other can open it alone.
func (p *plan) list() {
	room := wire.ShortIDsMax
	for _, i := range p.both {
		s := &p.all[i]
		if s.ours <= room {
			room -= s.ours
			p.tell(i, s.ours)
			continue
		}
		p.answer.More = true
		switch {
		case room < wire.ShortIDsMax:
		case len(p.v.piece(s.low, s.high).split()) > 0:
			p.coded.set(i)
			p.divide = true
		default:
			// Items of one time cannot be divided. The other side takes those that are left
			// out for surplus; each exchange leaves out others.
			p.tell(i, room)
		}
		break
	}
	slices.Reverse(p.answer.Plain)
}

// tell tells the short IDs of items of a range: limit in a row, the first one by chance.
func (p *plan) tell(i, limit int) {
	s := &p.all[i]
	skip := int(p.key.K0 % uint64(s.ours-limit+1))
	ids := make([]uint64, 0, limit)
	for it := range p.v.Items(s.low, s.high) {
		if skip > 0 {
			skip--
			continue
		}
		if len(ids) == limit {
			break
		}
		ids = append(ids, p.key.short(&it.ID))
	}
	p.work += len(ids)
	p.plain.set(i)
	p.answer.Plain = append(p.answer.Plain, wire.RangeIDs{Index: uint32(i), IDs: ids})
}
