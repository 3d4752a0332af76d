package reconcile

import (
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

// node is one end of an exchange as tests see it.
type end struct {
	set    *Set
	except *Except
	limits Limits
}

func (e end) view() View { return e.set.View(e.except) }

// cost is what an exchange came to.
type cost struct {
	bytes, trips, symbols int
	workA, workB          int
	opens                 int
	timeA, timeB          time.Duration // until the asker knows the difference, without the codec
}

// outcome is what an exchange found: what the initiator lacks and what it has over.
type outcome struct {
	lack, surplus []Item
	left          bool
}

// over takes a message through the codec, as a frame.
func over(t rapid.TB, c *cost, m wire.Message) wire.Message {
	t.Helper()
	frame := wire.AppendMessage(nil, m)
	c.bytes += len(frame)
	if len(frame) > wire.ControlFrameMaxBytes {
		t.Fatalf("%T of %d bytes", m, len(frame))
	}
	for got, err := range wire.ParseFrame(frame) {
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		return got
	}
	return nil
}

// parameters of an exchange.
type parameters struct {
	nonceA, nonceB uint64
	low, high      wire.Time
	expect         uint32
	plain          bool
	tamper         func(*wire.Cells) // nil: the answerer is honest
}

// run carries out one exchange, as the core does. The error is ErrStuck or nil.
func run(t rapid.TB, a, b end, p parameters, c *cost) (o outcome, r Result, err error) {
	t.Helper()
	open := &wire.Open{
		Session: 1, Topic: "orders.eu", Nonce: p.nonceA, Floor: p.low, Cut: p.high, Expect: p.expect, Plain: p.plain,
	}
	clock := time.Now()
	since := func(d *time.Duration) {
		*d += time.Since(clock)
		clock = time.Now()
	}
	x := Begin(a.view(), testLink, open, a.limits)
	since(&c.timeA)
	c.opens++
	c.trips++
	opened := over(t, c, open).(*wire.Open)
	clock = time.Now()
	y, answer, cells, offered := Respond(b.view(), testLink, p.nonceB, opened, b.limits)
	since(&c.timeB)
	o.lack = append(o.lack, offered...)
	got := func(part Result) {
		o.surplus = append(o.surplus, part.Surplus...)
		for short := range slices.Chunk(part.Lack, wire.ShortIDsMax) {
			found := y.Resolve(short)
			if len(found) != len(short) && p.tamper == nil {
				t.Fatalf("%d of %d short IDs resolved", len(found), len(short))
			}
			o.lack = append(o.lack, found...)
		}
	}
	answered := over(t, c, answer).(*wire.Answer)
	clock = time.Now()
	r, err = x.Answer(a.view(), answered)
	since(&c.timeA)
	for got(r); err == nil && !r.Done; {
		if r.More != nil {
			c.trips++
			more := over(t, c, r.More).(*wire.More)
			clock = time.Now()
			if cells, err = y.More(b.view(), more); err != nil {
				t.Fatal(err)
			}
			since(&c.timeB)
		}
		if len(cells) == 0 {
			t.Fatal("the exchange hangs")
		}
		for _, m := range cells {
			if r.Done || err != nil {
				t.Fatal("over before all symbols are there")
			}
			c.symbols += len(m.Symbols)
			if p.tamper != nil {
				p.tamper(m)
			}
			received := over(t, c, m).(*wire.Cells)
			clock = time.Now()
			r, err = x.Cells(received)
			since(&c.timeA)
			got(r)
		}
		cells = nil
	}
	c.workA += x.Work()
	c.workB += y.Work()
	o.left = r.Left
	if err != nil && !errors.Is(err, ErrStuck) {
		t.Fatal(err)
	}
	return o, r, err
}

// repair exchanges until the two agree, as the core does, and returns what it came to. When
// swap returns true, roles change.
func repair(t rapid.TB, a, b end, low, high wire.Time, swap func() bool) cost {
	t.Helper()
	var c cost
	p, attempt := parameters{low: low, high: high}, 0
	for {
		da, na := a.view().Digest(low, high)
		db, nb := b.view().Digest(low, high)
		if da == db && na == nb {
			return c
		}
		if c.opens > 1000 {
			t.Fatalf("%d and %d items after %d exchanges, now over [%d, %d)", na, nb, c.opens, p.low, p.high)
		}
		p.nonceA, p.nonceB, p.plain = p.nonceA+1, p.nonceB+7, attempt >= 2
		o, r, err := run(t, a, b, p, &c)
		for _, it := range o.lack {
			a.set.Insert(it)
		}
		for _, it := range o.surplus {
			b.set.Insert(it)
		}
		if err == nil && !r.Left {
			da, _ := a.view().Digest(p.low, p.high)
			if db, _ := b.view().Digest(p.low, p.high); da != db {
				t.Fatalf("nothing was left out of exchange %d, and yet they differ", c.opens)
			}
		}
		switch {
		case err != nil:
			attempt++
		case r.Narrow:
			p.low, p.high = r.Low, r.High
		default:
			p.low, p.high, attempt = low, high, 0
			if swap() {
				a, b = b, a
			}
		}
	}
}
