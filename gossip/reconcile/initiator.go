package reconcile

import (
	"fmt"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// What an initiator waits for.
const (
	waitsForAnswer = iota
	waitsForCells
	waitsForNothing // the exchange is over
)

// Initiator is the side of an exchange that opened it.
type Initiator struct {
	view   View
	link   Key
	open   *wire.Open
	limits Limits
	state  int
	key    Key
	left   bool // something was left out
	work   int

	all     []stretch // coded ranges; what the other has is known of finer ones alone
	symbols *coder
	own     []wire.Symbol // of ours, that wait for the other's
	decoder decoder
	told    int // of what the decoder found
	claim   uint32
	upto    int // symbols of the flight under way; 0: the other chooses
	flights int
}

// Begin opens an exchange on what is dated from open.Floor up to open.Cut. The caller
// has set all of open but its Ranges, and does not change it later.
func Begin(v View, link Key, open *wire.Open, l Limits) *Initiator {
	hashed := v.hashed()
	open.Ranges = v.Ranges(openKey(link, open.Nonce), open.Floor, open.Cut, min(l.Ranges, wire.RangesMax))
	return &Initiator{view: v, link: link, open: open, limits: l, work: (v.hashed() - hashed) / digestWork}
}

// Work returns how many items were hashed since it was asked last.
func (x *Initiator) Work() int {
	work := x.work + x.symbols.takeWork()
	x.work = 0
	return work
}

// Answer takes the answer to the Open. The error wraps [ErrStray] or [ErrLie].
func (x *Initiator) Answer(v View, m *wire.Answer) (Result, error) {
	if x.state != waitsForAnswer {
		return Result{}, fmt.Errorf("%w: another Answer", ErrStray)
	}
	x.state, x.view, x.left = waitsForNothing, v, m.More
	x.key = sessionKey(x.link, x.open.Nonce, m.Nonce, x.open.Topic)
	if err := x.checkAnswer(m); err != nil {
		return Result{}, err
	}
	hashed := v.hashed()
	defer func() { x.work += (v.hashed() - hashed) / digestWork }()
	var r Result
	for _, ids := range m.Plain {
		x.plain(&r, x.span(int(ids.Index)), ids.IDs)
	}
	r.Surplus = merge(r.Surplus, x.empty(m.Empty))
	var coded []span
	for i := range x.open.Ranges {
		if bitmap(m.Coded).has(i) {
			coded = append(coded, x.span(i))
		}
	}
	if len(m.Finer) > 0 {
		return x.finer(r, coded, m.Finer)
	}
	if len(coded) == 0 {
		return x.done(r), nil
	}
	items := 0
	for _, s := range coded {
		count := v.Count(s.low, s.high)
		items += count
		x.all = append(x.all, stretch{span: s, ours: count})
	}
	if items > 2*ItemsMax && len(coded) > 1 { // twice: the set has grown meanwhile
		return r, fmt.Errorf("%w: symbols over %d items", ErrLie, items)
	}
	x.symbols = newCoder(v, x.key, coded)
	x.state = waitsForCells
	return r, nil
}

// span returns the bounds of a range of the Open.
func (x *Initiator) span(i int) span {
	high := x.open.Cut
	if i+1 < len(x.open.Ranges) {
		high = x.open.Ranges[i+1].Low
	}
	return span{x.open.Ranges[i].Low, high}
}

func (x *Initiator) checkAnswer(m *wire.Answer) error {
	n := len(x.open.Ranges)
	var plain bitmap
	for i, r := range m.Plain {
		if int64(r.Index) >= int64(n) || i > 0 && r.Index <= m.Plain[i-1].Index {
			return fmt.Errorf("%w: plain range %d", ErrLie, r.Index)
		}
		plain.set(int(r.Index))
	}
	seen := make(bitmap, n/8+1)
	for _, b := range []bitmap{m.Coded, m.Empty, m.Offered, plain} {
		if !b.within(n) {
			return fmt.Errorf("%w: bitmap of %d bytes over %d ranges", ErrLie, len(b), n)
		}
		for i := range min(len(b), len(seen)) {
			if seen[i]&b[i] != 0 {
				return fmt.Errorf("%w: a range is answered twice", ErrLie)
			}
			seen[i] |= b[i]
		}
	}
	return nil
}

// plain compares the short IDs of all that the other has in a range with ours.
func (x *Initiator) plain(r *Result, s span, ids []uint64) {
	lack := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		lack[id] = true
	}
	for it := range x.view.Items(s.low, s.high) {
		x.work++
		short := x.key.short(&it.ID)
		if _, both := lack[short]; both {
			lack[short] = false
		} else if len(r.Surplus) < offeredMax {
			r.Surplus = append(r.Surplus, it)
		} else {
			x.left = true
		}
	}
	for _, id := range ids {
		if lack[id] {
			r.Lack = append(r.Lack, id)
			lack[id] = false // said twice, it lacks once
		}
	}
}

// empty returns our items in ranges in which the other has nothing, newest ranges first
// as far as the limit goes.
func (x *Initiator) empty(in bitmap) []Item {
	var parts [][]Item
	room := x.limits.offers()
	for i := len(x.open.Ranges) - 1; i >= 0; i-- {
		if !in.has(i) {
			continue
		}
		if room == 0 {
			x.left = true
			break
		}
		s := x.span(i)
		items := x.view.newest(s.low, s.high, room)
		room -= len(items)
		x.left = x.left || len(items) < x.view.Count(s.low, s.high)
		parts = append(parts, items)
	}
	slices.Reverse(parts)
	return slices.Concat(parts...)
}

// finer chooses those of finer ranges that differ, newest first as far as the
// limits go, and asks for symbols over them.
func (x *Initiator) finer(r Result, coded []span, ranges []wire.RangeDigest) (Result, error) {
	all, ok := x.view.stretches(x.key, coded, ranges)
	if !ok {
		return r, fmt.Errorf("%w: finer ranges do not divide the coded ones", ErrLie)
	}
	if x.open.Plain {
		return x.narrowPlain(r, all), nil
	}
	var stale bitmap
	items, apart, both, chosen := 0, 0, 0, 0
	for i := len(all) - 1; i >= 0; i-- {
		s := &all[i]
		if !s.stale {
			continue
		}
		items, apart = items+s.items(), apart+s.apart()
		if chosen > 0 && (items > min(x.limits.Items, ItemsMax) || apart > x.limits.Symbols/2) {
			x.left = true
			apart -= s.apart()
			break
		}
		chosen++
		both += s.ours + s.theirs
		stale.set(i)
		x.all = append(x.all, *s)
	}
	if chosen == 0 {
		return x.done(r), nil // it came in meanwhile
	}
	slices.Reverse(x.all)
	x.symbols = newCoder(x.view, x.key, spansOf(all, stale))
	x.state = waitsForCells
	// So many ranges tell how many differences there are about as well as symbols would.
	expect := max(apart, thrown(chosen, len(all)), int(x.open.Expect))
	x.upto = min(max(first(expect, mutual(x.all), both), min(needed(expect)+expect/16, needed(both))), x.limits.Symbols)
	x.flights = 1
	r.More = &wire.More{Session: x.open.Session, Upto: uint32(x.upto), Stale: stale}
	return r, nil
}

// thrown returns how many differences it takes on average, each in any of n ranges, until
// they are in so many of them: the sum of n/(n-i) for i below hit.
func thrown(hit, n int) int {
	sum := 0
	for i := range min(hit, n) {
		sum += n << 10 / (n - i)
	}
	return sum >> 10
}

// narrowPlain has the newest of the finer ranges that differ opened alone.
func (x *Initiator) narrowPlain(r Result, all []stretch) Result {
	for _, s := range slices.Backward(all) {
		if s.stale {
			r.Narrow, r.Low, r.High = true, s.low, s.high
			break
		}
	}
	return x.done(r)
}

func (x *Initiator) done(r Result) Result {
	x.state = waitsForNothing
	r.Done, r.Left = true, x.left || r.Narrow
	return r
}

// Cells takes symbols. The error wraps [ErrStray], [ErrLie] or [ErrStuck]; with the last
// one, the result holds.
func (x *Initiator) Cells(m *wire.Cells) (Result, error) {
	received := len(x.decoder.cells)
	if x.state != waitsForCells || int64(m.Start) != int64(received) {
		return Result{}, fmt.Errorf("%w: symbols from %d on, after %d", ErrStray, m.Start, received)
	}
	if received == 0 {
		x.claim = m.Items
		x.decoder.key = x.key
		if x.upto == 0 {
			x.upto = min(len(m.Symbols), firstMax)
			x.flights = 1
		}
	}
	after := received + len(m.Symbols)
	if len(m.Symbols) == 0 || after > x.upto || m.Items != x.claim || !wellFormed(m.Symbols) {
		x.state = waitsForNothing
		return Result{}, fmt.Errorf("%w: %d symbols of %d items, %d asked for", ErrLie, len(m.Symbols), m.Items, x.upto)
	}
	x.encode(len(m.Symbols))
	x.decoder.take(m.Symbols, x.own)
	x.own = x.own[len(m.Symbols):]
	if after < x.upto {
		return Result{}, nil
	}
	return x.decode()
}

// encode sees to it that n symbols of ours are there. Each flight is made in few passes over
// the items, but not more symbols than were received before: sizes are the other's claim.
func (x *Initiator) encode(n int) {
	if len(x.own) >= n {
		return
	}
	made := x.symbols.made
	x.own = append(slices.Clip(x.own), x.symbols.symbols(max(n-len(x.own), min(made, x.upto-made)))...)
}

func wellFormed(symbols []wire.Symbol) bool {
	for i := range symbols {
		if symbols[i].Sum >= 1<<shortBits || symbols[i].Check >= 1<<checkBits {
			return false
		}
	}
	return true
}

// decode takes out of a whole flight what it can, and decides how to go on.
func (x *Initiator) decode() (Result, error) {
	x.decoder.peel()
	var r Result
	var surplus []uint64
	for _, f := range x.decoder.found[x.told:] {
		if f.when == ours {
			surplus = append(surplus, f.short)
		} else {
			r.Lack = append(r.Lack, f.short)
		}
	}
	x.told = len(x.decoder.found)
	items, unknown := x.symbols.find(surplus)
	r.Surplus = items
	if unknown > 0 {
		// A liar, or two items with one short ID, which make others look like what they are not.
		x.state = waitsForNothing
		return r, fmt.Errorf("%w: %d items that we should have are not ours", ErrStuck, unknown)
	}
	if x.decoder.done() {
		return x.done(r), nil
	}
	differences, received := x.decoder.differences(), len(x.decoder.cells)
	limit := min(x.limits.Symbols, SymbolsMax)
	switch {
	case needed(differences) > limit:
		return x.narrow(r, differences, limit)
	case received >= 2*needed(differences)+2*firstMin || received >= limit || x.flights == flightsMax:
		x.state = waitsForNothing
		return r, fmt.Errorf("%w: %d symbols, about %d differences", ErrStuck, received, differences)
	}
	x.flights++
	// Should the estimate be short, each flight adds a greater part than the one before.
	x.upto = min(limit, max(x.decoder.upto(), received+received*x.flights/24+firstMin/2))
	r.More = &wire.More{Session: x.open.Session, Upto: uint32(x.upto)}
	return r, nil
}

// narrow ends the exchange because of too many differences: the next one is to be over
// the newest of the ranges that differ. It divides them anew, so each step is over less.
func (x *Initiator) narrow(r Result, differences, limit int) (Result, error) {
	room := int(int64(len(x.symbols.items)) * int64(limit) / 4 / int64(differences))
	newest := len(x.all) - 1
	low, high := x.all[newest].low, x.all[newest].high
	for i := newest; i >= 0 && x.all[i].ours <= room; i-- {
		room -= x.all[i].ours
		low = x.all[i].low
	}
	if low == x.open.Floor && high == x.open.Cut {
		x.state = waitsForNothing
		return r, fmt.Errorf("%w: about %d differences in one range", ErrStuck, differences)
	}
	r.Narrow, r.Low, r.High = true, low, high
	return x.done(r), nil
}
