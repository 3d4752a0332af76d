package reconcile

import (
	"errors"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// Errors of an exchange.
var (
	// ErrStray means that a message does not fit the state of the exchange, as a
	// duplicate does not. It was left aside; the exchange goes on.
	ErrStray = errors.New("reconcile: message out of turn")
	// ErrLie means that the peer contradicts itself or asks for more than may be
	// asked. The exchange is over.
	ErrLie = errors.New("reconcile: peer contradicts itself")
	// ErrStuck means that twice the symbols that should have been enough do not
	// decode, or to nonsense. The exchange is over; what was found until then is worth
	// asking for. Another one has another key; should it be stuck too, Open.Plain does
	// without symbols.
	ErrStuck = errors.New("reconcile: symbols do not decode")
)

// Limits bound what one exchange may cost a side. Other nodes may have others.
type Limits struct {
	Ranges  int // in an Open: 1 to wire.RangesMax
	Items   int // that are hashed or offered; but at least one range is done, whatever it has
	Symbols int // in all; 256 to SymbolsMax
	Finer   int // items above which stale ranges are divided before they are hashed, if few differences are expected
}

// Limits of the protocol: what a side may ask of the other whatever the other's Limits are.
const (
	ItemsMax   = 1 << 20 // in the coded ranges of an exchange, unless one range alone has more
	SymbolsMax = 1 << 18 // in an exchange
)

const (
	offeredMax = 1 << 17 // items in a list of what the other lacks as a whole
	tinyMax    = 24      // items of a range that may be told as they are
	firstMin   = 16      // symbols of a first flight
	firstMax   = wire.SymbolsMax
	flightsMax = 12
	wholeMax   = 4096 // items of a range that is not divided only because the budget is small
	digestWork = 4    // items that go into a digest at the cost of one that is hashed under a key
	offerWork  = 8    // items offered at that cost
)

// DefaultLimits returns good limits for sets of up to 10^8 items.
func DefaultLimits() Limits {
	return Limits{Ranges: RangesDefault, Items: ItemsMax, Symbols: SymbolsMax, Finer: 1 << 17}
}

// offers returns how many items may be listed of ranges in which the other has nothing.
// It is not less than what a range has that Ranges would not divide.
func (l *Limits) offers() int { return min(max(l.Items, olderMax), offeredMax) }

// Result is what a message has brought to light.
type Result struct {
	Lack    []uint64   // keyed short IDs of what we lack: for a Resolve
	Surplus []Item     // what the other lacks, ascending: for an Offer
	More    *wire.More // to be sent; nil: none
	Done    bool       // the exchange is over
	Left    bool       // with Done: something was left out for lack of budget; compare again
	// Narrow, with Done: more differs than one exchange can find. Open another one over
	// [Low, High), the newest part of what differs, with Open.Plain as it was.
	Narrow    bool
	Low, High wire.Time
}

// bitmap has bit i%8 of byte i/8 for range i.
type bitmap []byte

func (b *bitmap) set(i int) {
	for len(*b) <= i/8 {
		*b = append(*b, 0)
	}
	(*b)[i/8] |= 1 << (i % 8)
}

func (b bitmap) has(i int) bool { return i/8 < len(b) && b[i/8]>>(i%8)&1 == 1 }

// within reports whether no bit from n on is set.
func (b bitmap) within(n int) bool {
	for i := range b {
		if left := n - 8*i; left < 8 && b[i]>>max(left, 0) != 0 {
			return false
		}
	}
	return true
}

// spansOf returns the spans of those stretches that are in the bitmap.
func spansOf(all []stretch, in bitmap) []span {
	var spans []span
	for i := range all {
		if in.has(i) {
			spans = append(spans, all[i].span)
		}
	}
	return spans
}

// items returns how many items the side with more of them has.
func (s *stretch) items() int { return max(s.ours, s.theirs) }

// apart returns how many items differ at least.
func (s *stretch) apart() int { return max(s.ours-s.theirs, s.theirs-s.ours) }

// finer divides spans further, at most into wire.RangesMax ranges in all.
func (v View) finer(key Key, spans []span) []wire.RangeDigest {
	pieces := make([]piece, len(spans))
	for i, s := range spans {
		pieces[i] = v.piece(s.low, s.high)
	}
	return v.digests(key, divide(pieces, wire.RangesMax))
}

// stretches compares finer ranges, which are to divide the spans, with ours.
// It returns false if they do not.
func (v View) stretches(key Key, spans []span, finer []wire.RangeDigest) ([]stretch, bool) {
	parts := make([]stretch, 0, len(finer))
	for _, s := range spans {
		n := 0
		for n < len(finer) && finer[n].Low < s.high && (n == 0 || finer[n].Low > finer[n-1].Low) {
			n++
		}
		if n == 0 || finer[0].Low != s.low {
			return nil, false
		}
		parts = append(parts, v.compare(key, s.high, finer[:n])...)
		finer = finer[n:]
	}
	return parts, len(finer) == 0
}

// merge returns the items of a and b, which are ascending, without repetitions.
func merge(a, b []Item) []Item {
	if len(a) == 0 {
		return b
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, Item.Compare)
	return slices.Compact(all)
}
