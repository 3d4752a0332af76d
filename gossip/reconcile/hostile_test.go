package reconcile

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/wire"
)

// pair returns two ends with n items each, of which the newest differ: d, half of them each.
func pair(n, d int) (a, b end) {
	items := series(benchStart, benchStep, n)
	a, b = end{setOf(items...), nil, DefaultLimits()}, end{setOf(items...), nil, DefaultLimits()}
	differ(a.set, b.set, items, d, true, 1)
	return a, b
}

// mix adds an item with this short ID, count times, to symbols under a key.
func mix(key Key, short uint64, count int32, m *wire.Cells) {
	check, state := key.expand(short)
	for at := uint32(0); int(at) < int(m.Start)+len(m.Symbols); state, at = next(state, at) {
		if at < m.Start {
			continue
		}
		s := &m.Symbols[at-m.Start]
		s.Count += count
		if count%2 != 0 {
			s.Sum, s.Check = s.Sum^short, s.Check^check
		}
	}
}

var hostile = parameters{nonceA: 11, nonceB: 12, low: benchStart, high: benchEnd}

// Two items with one short ID cancel in sum and check, but not in count. They stop nobody
// for good: the rest is found, and under another key they are two.
func TestTwinsEndAnExchangeButNotTheNext(t *testing.T) {
	a, b := pair(5000, 200)
	key := sessionKey(testLink, hostile.nonceA, hostile.nonceB, "orders.eu")
	p := hostile
	p.tamper = func(m *wire.Cells) { mix(key, 0xabcdef012345, 2, m) }
	var c cost
	o, _, err := run(t, a, b, p, &c)
	if !errors.Is(err, ErrStuck) {
		t.Fatalf("err = %v, want ErrStuck", err)
	}
	if found := len(o.lack) + len(o.surplus); found < 190 {
		t.Errorf("found %d of 200 besides the twins", found)
	}
	if c.symbols > 5*needed(202) {
		t.Errorf("%d symbols before giving up", c.symbols)
	}
	p.nonceA, p.tamper = 13, nil
	if o, _, err = run(t, a, b, p, &c); err != nil || len(o.lack)+len(o.surplus) != 200 {
		t.Errorf("found %d and %d of 200 under another key: %v", len(o.lack), len(o.surplus), err)
	}
	p.plain = true
	if o, _, err = run(t, a, b, p, &c); err != nil || len(o.lack)+len(o.surplus) != 200 {
		t.Errorf("found %d and %d of 200 without symbols: %v", len(o.lack), len(o.surplus), err)
	}
}

// opened returns an initiator that waits for symbols, the messages it got, and the responder.
func opened(t *testing.T, a, b end) (x *Initiator, y *Responder, cells []*wire.Cells) {
	t.Helper()
	open := &wire.Open{Topic: "orders.eu", Nonce: hostile.nonceA, Floor: hostile.low, Cut: hostile.high}
	x = Begin(a.view(), testLink, open, a.limits)
	y, answer, cells, _ := Respond(b.view(), testLink, hostile.nonceB, open, b.limits)
	if _, err := x.Answer(a.view(), answer); err != nil || len(cells) != 1 {
		t.Fatal(err, len(cells))
	}
	return x, y, cells
}

func TestSymbolsOfItemsThatAreNotOursEnd(t *testing.T) {
	a, b := pair(5000, 100)
	x, _, cells := opened(t, a, b)
	var spans []span
	for i := range x.all {
		spans = append(spans, x.all[i].span)
	}
	// As if the other had all that we have, but for one item that there is not.
	cells[0].Symbols = newCoder(a.view(), x.key, spans).symbols(len(cells[0].Symbols))
	mix(x.key, 0xabcdef012345, -1, cells[0])
	if r, err := x.Cells(cells[0]); !errors.Is(err, ErrStuck) || len(r.Lack)+len(r.Surplus) > 0 {
		t.Fatalf("%+v, %v, want ErrStuck", r, err)
	}
	if _, err := x.Cells(cells[0]); !errors.Is(err, ErrStray) {
		t.Fatalf("after the end: %v, want ErrStray", err)
	}
}

// A check is short: what looks like an item in a symbol that it has no part in is none.
func TestItemsAreFoundOnlyWhereTheyBelong(t *testing.T) {
	const short = 0xabcdef012345
	check, state := testLink.expand(short)
	stranger := uint32(1)
	for maps(state, stranger) {
		stranger++
	}
	for i, want := range map[uint32]int{0: 1, stranger: 0} {
		cells := make([]wire.Symbol, stranger+1)
		cells[i] = wire.Symbol{Sum: short, Check: check, Count: 1}
		d := decoder{key: testLink}
		d.take(cells, make([]wire.Symbol, len(cells)))
		if d.peel(); len(d.found) < want || want == 0 && len(d.found) > 0 {
			t.Errorf("found %d items in symbol %d, want %d", len(d.found), i, want)
		}
	}
}

// A peer whose symbols mean nothing gets a bounded number of questions and nothing else.
func TestSymbolsThatMeanNothingEnd(t *testing.T) {
	for name, count := range map[string]func(r *rand.Rand) int32{
		"counts of chance": func(r *rand.Rand) int32 { return int32(r.Uint32()) },
		"small counts":     func(r *rand.Rand) int32 { return int32(r.IntN(5)) - 2 },
		"one too many":     func(*rand.Rand) int32 { return 5001 },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 9))
			a, b := pair(5000, 100)
			x, _, cells := opened(t, a, b)
			start, upto := 0, len(cells[0].Symbols)
			for flights := 0; ; flights++ {
				if flights > flightsMax {
					t.Fatal("does not end")
				}
				var result Result
				var err error
				for start < upto && err == nil {
					m := &wire.Cells{Items: 1<<32 - 1, Start: uint32(start)}
					for range min(upto-start, wire.SymbolsMax) {
						m.Symbols = append(m.Symbols, wire.Symbol{Sum: r.Uint64() >> 16, Check: r.Uint32() >> 8, Count: count(r)})
					}
					start += len(m.Symbols)
					if result, err = x.Cells(m); len(result.Lack)+len(result.Surplus) > start {
						t.Fatalf("%d found in %d symbols", len(result.Lack), start)
					}
				}
				if err != nil || result.Done {
					return
				}
				if result.More == nil || result.More.Upto > SymbolsMax || int(result.More.Upto) <= start {
					t.Fatalf("asks for %+v after %d", result.More, start)
				}
				upto = int(result.More.Upto)
			}
		})
	}
}

func TestAnswersThatDoNotFitAreLies(t *testing.T) {
	all := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for name, m := range map[string]*wire.Answer{
		"a bit beyond the ranges":  {Coded: []byte{0, 0, 0, 0, 0, 0, 0, 0x80}},
		"a long bitmap":            {Empty: append(make([]byte, 60), 1)},
		"a range answered twice":   {Coded: []byte{1}, Offered: []byte{1}},
		"plain and coded":          {Coded: []byte{1}, Plain: []wire.RangeIDs{{Index: 0}}},
		"a plain range beyond":     {Plain: []wire.RangeIDs{{Index: 1 << 31}}},
		"a plain range twice":      {Plain: []wire.RangeIDs{{Index: 1}, {Index: 1}}},
		"finer of nothing":         {Finer: []wire.RangeDigest{{Low: benchStart}}},
		"finer that begins late":   {Coded: []byte{1}, Finer: []wire.RangeDigest{{Low: benchStart + 1}}},
		"finer out of order":       {Coded: []byte{1}, Finer: []wire.RangeDigest{{Low: benchStart}, {Low: benchStart}}},
		"finer beyond the coded":   {Coded: []byte{1}, Finer: []wire.RangeDigest{{Low: benchStart}, {Low: benchEnd}}},
		"all ranges and many more": {Coded: all},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := pair(5000, 10)
			open := &wire.Open{Topic: "orders.eu", Nonce: 1, Floor: hostile.low, Cut: hostile.high}
			x := Begin(a.view(), testLink, open, a.limits)
			if r, err := x.Answer(a.view(), m); !errors.Is(err, ErrLie) {
				t.Fatalf("%+v, %v, want ErrLie", r, err)
			}
			if _, err := x.Answer(a.view(), &wire.Answer{}); !errors.Is(err, ErrStray) {
				t.Fatalf("after the end: %v, want ErrStray", err)
			}
		})
	}
}

func TestMoreThatDoesNotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		m    wire.More
		want error
	}{
		"what was sent":       {wire.More{Upto: 1}, ErrStray},
		"stale ranges":        {wire.More{Upto: 1000, Stale: []byte{1}}, ErrStray},
		"beyond all limits":   {wire.More{Upto: SymbolsMax + 1}, ErrLie},
		"as much as possible": {wire.More{Upto: SymbolsMax}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(5000, 100)
			_, y, _ := opened(t, a, b)
			if _, err := y.More(b.view(), &c.m); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want == nil && y.Work() < SymbolsMax/8 {
				t.Error("so many symbols cost nothing")
			}
		})
	}
	t.Run("many flights", func(t *testing.T) {
		a, b := pair(5000, 100)
		_, y, _ := opened(t, a, b)
		for upto := uint32(1000); ; upto++ {
			if _, err := y.More(b.view(), &wire.More{Upto: upto}); err != nil {
				if !errors.Is(err, ErrLie) {
					t.Fatal(err)
				}
				return
			}
			if upto > 1000+flightsMax {
				t.Fatal("does not end")
			}
		}
	})
}

// A claim of 2^32 items costs no memory, and is not hashed.
func TestCountsThatAreNotTrueCostNothing(t *testing.T) {
	_, b := pair(5000, 0)
	open := &wire.Open{Topic: "orders.eu", Floor: hostile.low, Cut: hostile.high}
	open.Ranges = b.view().Ranges(openKey(testLink, 0), hostile.low, hostile.high, RangesDefault)
	for i := range open.Ranges {
		open.Ranges[i].Count, open.Ranges[i].Digest = 1<<32-1, 1
	}
	open.Expect = 1<<32 - 1
	y, answer, cells, offered := Respond(b.view(), testLink, 0, open, b.limits)
	if work := y.Work(); work > 10_000 || len(offered) > 0 || !answer.More {
		t.Errorf("%d items hashed, %d offered for ranges that are not so", work, len(offered))
	}
	for _, m := range cells {
		if len(m.Symbols) > firstMax {
			t.Errorf("%d symbols in the first flight", len(m.Symbols))
		}
	}
}

// Messages lost, repeated or out of turn end an exchange at worst; the next one finds all.
func TestMessagesLostRepeatedAndReordered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := pair(3000, rapid.SampledFrom([]int{1, 60, 700}).Draw(t, "d"))
		b.limits.Finer = rapid.SampledFrom([]int{100, 1 << 17}).Draw(t, "finer")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "faults"), 0))
		open := &wire.Open{Topic: "orders.eu", Nonce: 1, Floor: hostile.low, Cut: hostile.high}
		x := Begin(a.view(), testLink, open, a.limits)
		y, answer, cells, _ := Respond(b.view(), testLink, 2, open, b.limits)
		queue := []wire.Message{answer}
		for _, m := range cells {
			queue = append(queue, m)
		}
		lack := map[uint64]bool{}
		for steps := 0; len(queue) > 0 && steps < 100; steps++ {
			i := 0
			if r.IntN(4) == 0 {
				i = r.IntN(len(queue))
			}
			m := queue[i]
			if fault := r.IntN(6); fault != 0 { // else it will come again
				queue = slices.Delete(queue, i, i+1)
				if fault == 1 {
					continue // lost
				}
			}
			var result Result
			var err error
			switch m := m.(type) {
			case *wire.Answer:
				result, err = x.Answer(a.view(), m)
			case *wire.Cells:
				result, err = x.Cells(m)
			case *wire.More:
				cells, err = y.More(b.view(), m)
				for _, m := range cells {
					queue = append(queue, m)
				}
			}
			if err != nil && !errors.Is(err, ErrStray) {
				t.Fatalf("%T: %v", m, err)
			}
			if result.More != nil {
				queue = append(queue, result.More)
			}
			for _, short := range result.Lack {
				if lack[short] {
					t.Fatal("found twice")
				}
				lack[short] = true
			}
			for _, it := range y.Resolve(result.Lack) {
				a.set.Insert(it)
			}
			for _, it := range result.Surplus {
				if !a.set.Has(it) {
					t.Fatal("surplus that is not ours")
				}
				b.set.Insert(it)
			}
		}
		repair(t, a, b, hostile.low, hostile.high, func() bool { return true })
	})
}

// FuzzExchange feeds frames to both sides at any time: no panic, and no more memory than the
// messages and our own items account for.
func FuzzExchange(f *testing.F) {
	a, b := pair(600, 50)
	key := uint64(2)
	begin := func() (*Initiator, *Responder, *wire.Open, *wire.Answer, []*wire.Cells) {
		open := &wire.Open{Topic: "orders.eu", Nonce: 1, Floor: hostile.low, Cut: hostile.high}
		x := Begin(a.view(), testLink, open, a.limits)
		y, answer, cells, _ := Respond(b.view(), testLink, key, open, b.limits)
		return x, y, open, answer, cells
	}
	_, _, open, answer, cells := begin()
	seed := wire.AppendMessage(nil, answer)
	f.Add(wire.AppendMessage(nil, open))
	f.Add(wire.AppendMessage(seed, cells[0]))
	f.Add(wire.AppendMessage(nil, &wire.More{Upto: 500}))
	f.Add(wire.AppendMessage(nil, &wire.Resolve{Short: []uint64{1, 2, 3}}))
	f.Add(wire.AppendMessage(nil, &wire.Answer{Coded: []byte{1}, Finer: []wire.RangeDigest{{Low: benchStart, Count: 9}}}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		x, y, _, _, _ := begin()
		symbols, opens := uint64(0), uint64(0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for m, err := range wire.ParseFrame(frame) {
			if err != nil {
				break
			}
			switch m := m.(type) {
			case *wire.Open:
				opens++
				y, _, _, _ = Respond(b.view(), testLink, 3, m, b.limits)
			case *wire.Answer:
				_, _ = x.Answer(a.view(), m) // errors are the point of it
			case *wire.Cells:
				_, _ = x.Cells(m)
			case *wire.More:
				cells, err := y.More(b.view(), m)
				if err == nil {
					for _, c := range cells {
						symbols += uint64(len(c.Symbols))
					}
				}
			case *wire.Resolve:
				y.Resolve(m.Short)
			}
		}
		runtime.ReadMemStats(&after)
		// Each Open is answered out of 600 items, at 24 bytes of symbols in the making or 40 of an
		// offer; an Answer and a Resolve likewise.
		limit := 256<<10 + 64<<10*opens + 100*uint64(len(frame)) + 40*symbols
		if used := after.TotalAlloc - before.TotalAlloc; used > limit {
			t.Fatalf("%d bytes allocated for a frame of %d, %d symbols", used, len(frame), symbols)
		}
	})
}
