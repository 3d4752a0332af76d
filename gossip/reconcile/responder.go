package reconcile

import (
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

// Responder is the side of an exchange that answers an Open.
type Responder struct {
	view    View
	key     Key
	limits  Limits
	session uint32
	all     []stretch // ranges of the Open
	plain   bitmap
	finer   []stretch // ranges of the Answer's Finer, until the other has chosen

	symbols *coder // nil before the first flight
	told    *coder // of the plain ranges; nil before it is needed
	flights int
	work    int
}

// Respond answers an Open. The messages are to be sent in this order; offered are
// items of ranges in which the other holds nothing, ascending: for an Offer.
func Respond(v View, link Key, nonce uint64, m *wire.Open, l Limits) (
	x *Responder, answer *wire.Answer, cells []*wire.Cells, offered []Item,
) {
	x = &Responder{view: v, limits: l, session: m.Session, key: sessionKey(link, m.Nonce, nonce, m.Topic)}
	hashed := v.hashed()
	x.all = v.compare(openKey(link, m.Nonce), m.Cut, m.Ranges)
	p := plan{v: v, key: x.key, l: l, all: x.all, answer: &wire.Answer{Session: m.Session, Nonce: nonce}}
	p.choose(m.Plain)
	if m.Plain {
		p.list()
	} else {
		p.code(int(m.Expect))
	}
	spans := spansOf(x.all, p.coded)
	if p.divide {
		p.answer.Finer = v.finer(x.key, spans)
		x.finer, _ = v.stretches(x.key, spans, p.answer.Finer)
	}
	x.plain = p.plain
	p.answer.Coded, p.answer.Empty, p.answer.Offered = p.coded, p.empty, p.offeredRanges
	if len(spans) > 0 && !p.divide {
		cells = x.flight(spans, p.first)
	}
	offered = p.items()
	x.work += (v.hashed()-hashed)/digestWork + p.work + len(offered)/offerWork
	return x, p.answer, cells, offered
}

// flight returns the next symbols, up to upto, of the items in the spans.
func (x *Responder) flight(spans []span, upto int) []*wire.Cells {
	if x.symbols == nil {
		x.symbols = newCoder(x.view, x.key, spans)
	}
	x.flights++
	start := x.symbols.made
	symbols := x.symbols.symbols(upto - start)
	cells := make([]*wire.Cells, 0, len(symbols)/wire.SymbolsMax+1)
	for len(symbols) > 0 {
		n := min(len(symbols), wire.SymbolsMax)
		cells = append(cells, &wire.Cells{
			Session: x.session, Items: uint32(len(x.symbols.items)), Start: uint32(start), Symbols: symbols[:n],
		})
		symbols, start = symbols[n:], start+n
	}
	return cells
}

// More returns the symbols that the other asks for. The error wraps [ErrStray] or
// [ErrLie].
func (x *Responder) More(v View, m *wire.More) ([]*wire.Cells, error) {
	made := 0
	if x.symbols != nil {
		made = x.symbols.made
	}
	switch {
	case x.symbols == nil && x.finer == nil:
		return nil, fmt.Errorf("%w: More, but no range is coded", ErrStray)
	case (x.symbols == nil) != (len(m.Stale) > 0):
		return nil, fmt.Errorf("%w: More with %d bytes of stale ranges", ErrStray, len(m.Stale))
	case int64(m.Upto) <= int64(made):
		return nil, fmt.Errorf("%w: More up to %d, after %d", ErrStray, m.Upto, made)
	case m.Upto > SymbolsMax || x.flights == flightsMax:
		return nil, fmt.Errorf("%w: More up to %d in flight %d", ErrLie, m.Upto, x.flights+1)
	}
	var spans []span
	if x.symbols == nil {
		stale := bitmap(m.Stale)
		items := 0
		for i := range x.finer {
			if stale.has(i) {
				items += x.finer[i].items()
				spans = append(spans, x.finer[i].span)
			}
		}
		if !stale.within(len(x.finer)) || len(spans) == 0 || items > ItemsMax && len(spans) > 1 {
			return nil, fmt.Errorf("%w: More over %d ranges with %d items", ErrLie, len(spans), items)
		}
		x.view, x.finer = v, nil
	}
	return x.flight(spans, int(m.Upto)), nil
}

// Resolve returns the items with the keyed short IDs, ascending. Those that are not
// held, or were removed since, are left out.
func (x *Responder) Resolve(short []uint64) []Item {
	var items []Item
	if len(x.plain) > 0 && len(short) > 0 {
		if x.told == nil {
			x.told = newCoder(x.view, x.key, spansOf(x.all, x.plain))
		}
		items, _ = x.told.find(short)
	}
	if x.symbols == nil {
		return items
	}
	coded, _ := x.symbols.find(short)
	return merge(items, coded)
}

// Work returns how many items were hashed since it was asked last.
func (x *Responder) Work() int {
	work := x.work + x.symbols.takeWork() + x.told.takeWork()
	x.work = 0
	return work
}
