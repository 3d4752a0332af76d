package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/busnode/busnode/gossip/reconcile"
	"github.com/busnode/busnode/gossip/wire"
)

// exchangeRun runs the exchange between two sets: A opens it and B answers.
type exchangeRun struct {
	tally
	sets *twoSets
	rng  *rand.Rand
	link reconcile.Key
	buf  []byte

	symbols       int
	session       uint32
	lack, surplus []reconcile.Item // found
}

// exchangesMax bounds how many exchanges may be tried. One is enough, but for more
// than 10^5 differences or so.
const exchangesMax = 1000

func newExchangeRun(sets *twoSets, seed uint64) *exchangeRun {
	rng := rand.New(newSource(seed, "keys"))
	return &exchangeRun{sets: sets, rng: rng, link: reconcile.LinkKey(rng.Uint64(), rng.Uint64())}
}

// carry takes a message over the wire, as far as there is one: it is encoded, counted and parsed.
func carry[M wire.Message](x *exchangeRun, from, to *side, m M) (M, error) {
	from.do(func() { x.buf = wire.AppendMessage(x.buf[:0], m) })
	x.bytes += len(x.buf)
	var got wire.Message
	var err error
	to.do(func() {
		for got, err = range wire.ParseFrame(x.buf) {
			if err != nil {
				return
			}
		}
	})
	same, ok := got.(M)
	if err == nil && !ok {
		err = fmt.Errorf("a %T came as a %T", m, got)
	}
	return same, err
}

// heartbeat has A tell B its digest, and reports whether it is B's too.
func (x *exchangeRun) heartbeat() (equal bool, err error) {
	hash := reconcile.TopicHash(benchTopic) // which nodes keep
	root := func(set *reconcile.Set) uint64 {
		digest, _ := set.View(nil).Digest(x.sets.floor, x.sets.cut)
		topics := []reconcile.TopicState{{Name: benchTopic, Hash: hash, Digest: digest}}
		return reconcile.NewTopicTree(x.link, topics).Root()
	}
	m := &wire.Heartbeat{Wall: x.sets.cut.Add(settling * batchGap), Floor: x.sets.floor, Cut: x.sets.cut}
	x.a.do(func() { m.Digest = root(x.sets.a) })
	got, err := carry(x, &x.a, &x.b, m)
	if err != nil {
		return false, err
	}
	x.b.do(func() { equal = root(x.sets.b) == got.Digest })
	x.roundTrips++
	return equal, nil
}

// warm sends a heartbeat that does not count, so that both know their digests
// as running nodes do: it takes two that differ to begin an exchange.
func (x *exchangeRun) warm() error {
	before := x.tally
	_, err := x.heartbeat()
	x.tally = before
	return err
}

// agree measures a heartbeat between two who agree.
func (x *exchangeRun) agree() (equal bool, err error) {
	if err := x.warm(); err != nil {
		return false, err
	}
	return x.heartbeat()
}

// find runs exchanges until both sets are the same, and reports whether what was
// found is exactly in what they differed.
func (x *exchangeRun) find(ctx context.Context) (equal bool, err error) {
	low, high, plain, stuck := x.sets.floor, x.sets.cut, false, 0
	for range exchangesMax {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if err := x.warm(); err != nil {
			return false, err
		}
		before := len(x.lack) + len(x.surplus)
		end, err := x.exchange(low, high, plain)
		x.apply()
		switch {
		case errors.Is(err, reconcile.ErrStuck) && !plain:
			stuck++ // another key, then without symbols, as the core does
			plain = stuck > 1
			continue
		case err != nil:
			return false, err
		case end.Narrow:
			low, high = end.Low, end.High
			continue
		case x.sets.same():
			return x.sets.differBy(idsOf(x.lack), idsOf(x.surplus)), nil
		case len(x.lack)+len(x.surplus) == before:
			return false, nil
		}
		low, high, plain, stuck = x.sets.floor, x.sets.cut, false, 0
	}
	return false, nil
}

// apply gives both sets what was found.
func (x *exchangeRun) apply() {
	for _, it := range x.lack {
		x.sets.a.Insert(it)
	}
	for _, it := range x.surplus {
		x.sets.b.Insert(it)
	}
}

func idsOf(items []reconcile.Item) idList {
	ids := make(idList, len(items))
	for i := range items {
		ids[i] = items[i].ID
	}
	return ids
}

// exchange runs one exchange, to its end or until it fails, and returns how it ended.
func (x *exchangeRun) exchange(low, high wire.Time, plain bool) (reconcile.Result, error) {
	x.session++
	open := &wire.Open{
		Session: x.session, Topic: benchTopic, Nonce: x.rng.Uint64(), Floor: low, Cut: high, Plain: plain,
	}
	d := &dialogue{x: x, viewA: x.sets.a.View(nil), viewB: x.sets.b.View(nil)}
	limits := reconcile.DefaultLimits()
	x.a.do(func() { d.asker = reconcile.Begin(d.viewA, x.link, open, limits) })
	open, err := carry(x, &x.a, &x.b, open)
	if err != nil {
		return reconcile.Result{}, err
	}
	x.roundTrips++
	var answer *wire.Answer
	var cells []*wire.Cells
	var offered []reconcile.Item
	nonce := x.rng.Uint64()
	x.b.do(func() {
		d.answerer, answer, cells, offered = reconcile.Respond(d.viewB, x.link, nonce, open, limits)
	})
	x.lack = append(x.lack, offered...)
	if err = d.run(answer, cells); err == nil {
		err = x.tell(offered)
	}
	x.lack = append(x.lack, d.answerer.Resolve(d.short)...)
	return d.last, err
}

// tell takes to A the Offers of ranges in which it holds nothing: they are all that A
// learns of these, so they count.
func (x *exchangeRun) tell(offered []reconcile.Item) error {
	for part := range slices.Chunk(offered, wire.ShortIDsMax) {
		m := &wire.Offer{Topic: benchTopic}
		for i := range part {
			m.IDs = append(m.IDs, part[i].ID.Short())
		}
		if _, err := carry(x, &x.b, &x.a, m); err != nil {
			return err
		}
	}
	return nil
}

// dialogue is what the two sides of one exchange say to each other after the Open.
type dialogue struct {
	x            *exchangeRun
	viewA, viewB reconcile.View
	asker        *reconcile.Initiator
	answerer     *reconcile.Responder
	short        []uint64   // of what A lacks
	more         *wire.More // that A has to say; nil: nothing
	last         reconcile.Result
}

// take notes what a message brought to light.
func (d *dialogue) take(r reconcile.Result) {
	d.short, d.x.surplus = append(d.short, r.Lack...), append(d.x.surplus, r.Surplus...)
	d.last = r
	if r.More != nil {
		d.more = r.More
	}
}

func (d *dialogue) run(answer *wire.Answer, cells []*wire.Cells) error {
	x := d.x
	answer, err := carry(x, &x.b, &x.a, answer)
	if err != nil {
		return err
	}
	var r reconcile.Result
	x.a.do(func() { r, err = d.asker.Answer(d.viewA, answer) })
	d.take(r)
	for err == nil {
		if err = d.flight(cells); err != nil || d.last.Done {
			return err
		}
		if cells, err = d.askMore(); err != nil {
			return err
		}
	}
	return err
}

// flight takes symbols to A. What is under way when A has enough counts too, and
// is left aside.
func (d *dialogue) flight(cells []*wire.Cells) error {
	x := d.x
	var end error
	for _, m := range cells {
		got, err := carry(x, &x.b, &x.a, m)
		if err != nil {
			return err
		}
		x.symbols += len(got.Symbols)
		if end != nil || d.last.Done {
			continue
		}
		var r reconcile.Result
		x.a.do(func() { r, end = d.asker.Cells(got) })
		d.take(r)
	}
	return end
}

// askMore takes A's demand to B and returns the symbols that answer it.
func (d *dialogue) askMore() (cells []*wire.Cells, err error) {
	x := d.x
	if d.more == nil {
		return nil, errors.New("the exchange came to a halt")
	}
	more, err := carry(x, &x.a, &x.b, d.more)
	if err != nil {
		return nil, err
	}
	d.more = nil
	x.roundTrips++
	x.b.do(func() { cells, err = d.answerer.More(d.viewB, more) })
	return cells, err
}
