package eventlogtest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

func (s *suite) retain(now wire.Time, l eventlog.Limits, keep func(*eventlog.Meta) bool) []eventlog.Meta {
	s.Helper()
	removed, err := s.log.Retain(now, l, keep)
	if err != nil {
		s.Fatalf("retain: %v", err)
	}
	return removed
}

func testRetainAge(s *suite) {
	a, b := NewAuthor(s, "t", 1), NewAuthor(s, "u", 2)
	a1, a2, a3, b1 := a.Batch(2, 10), a.Batch(2, 10), a.Batch(2, 10), b.Batch(1, 10)
	s.append(Both(a1, a2, a3, b1)...)
	removed := s.retain(Base.Add(61*time.Second), eventlog.Limits{Age: time.Minute}, nil)
	if len(removed) != 2 || removed[0].ID != a1.ID || removed[1].ID != b1.ID {
		s.Fatalf("removed %+v", removed)
	}
	s.twice(func() {
		s.expect("t", a2, a3)
		info, _ := s.log.Topic("t")
		if info.First != 2 || info.Next != 6 || info.Batches != 2 {
			s.Errorf("topic: %+v", info)
		}
		if _, err := s.log.Read("t", 1, 1); !errors.Is(err, eventlog.ErrTrimmed) {
			s.Errorf("below first: %v, want ErrTrimmed", err)
		}
		if m := s.log.TrimmedTo("t", a.ID()); m != a1.Header.End() {
			s.Errorf("trimmed to %v", m)
		}
		type trim struct {
			upto   wire.Mark
			newest wire.Time
		}
		trimmed := map[string]trim{}
		s.log.EachTrimmed(func(topic string, who wire.Author, upto wire.Mark, newest wire.Time) bool {
			trimmed[topic+who.PeerID().String()] = trim{upto, newest}
			return true
		})
		if trimmed["t"+a.ID().PeerID().String()] != (trim{a1.Header.End(), a1.Header.Time}) {
			s.Errorf("EachTrimmed tells %v", trimmed)
		}
		if m := s.log.TrimmedTo("u", a.ID()); m != (wire.Mark{}) {
			s.Errorf("trimmed to %v on another topic", m)
		}
		if _, err := s.log.Batch(a1.ID); !errors.Is(err, eventlog.ErrNotFound) {
			s.Errorf("batch: %v, want ErrNotFound", err)
		}
		if info, _ := s.log.Topic("u"); info.Next != 1 || info.First != 1 || info.Batches != 0 {
			s.Errorf("a topic that was emptied: %+v", info)
		}
	})
	s.append(Both(b.Batch(1, 1))...)
	s.twice(func() {
		if e := ReadAll(s.T, s.log, "u"); len(e) != 1 || e[0].Offset != 1 {
			s.Errorf("after emptying: %+v", e)
		}
	})
}

func testRetainKeep(s *suite) {
	a, b := NewAuthor(s, "t", 1), NewAuthor(s, "t", 2)
	a1, a2, b1 := a.Batch(1, 10), a.Batch(1, 10), b.Batch(1, 10)
	s.append(Both(a1, b1, a2)...)
	keep := func(m *eventlog.Meta) bool { return m.Header.Author == a.ID() }
	for _, l := range []eventlog.Limits{{Age: 1}, {AuthorBytes: 1}, {TopicBytes: 1}, {Bytes: 1}} {
		s.retain(Base.Add(time.Hour), l, keep)
	}
	s.twice(func() { s.expect("t", a1, a2) })
}

func testRetainAuthor(s *suite) {
	a, b := NewAuthor(s, "t", 1), NewAuthor(s, "t", 2)
	a2 := NewAuthor(s, "u", 1)
	b1 := b.Batch(1, 1000)
	s.append(Both(b1)...)
	var all []*wire.Batch
	for range 10 {
		all = append(all, a.Batch(1, 1000))
	}
	u := a2.Batch(1, 1000)
	s.append(Both(all...)...)
	s.append(Both(u)...)
	size := int64(u.Size())
	s.retain(Base, eventlog.Limits{AuthorBytes: 4*size + 100}, nil)
	s.twice(func() {
		// u is as old as a's first, so it goes as one of the oldest.
		s.expect("t", append([]*wire.Batch{b1}, all[6:]...)...)
		s.expect("u")
		if m := s.log.TrimmedTo("t", b.ID()); m != (wire.Mark{}) {
			s.Errorf("who was below the limit was trimmed to %v", m)
		}
	})
}

func testRetainTopic(s *suite) {
	a, b := NewAuthor(s, "t", 1), NewAuthor(s, "t", 2)
	var as, bs []*wire.Batch
	for range 10 {
		as = append(as, a.Batch(1, 1000))
	}
	bs = append(bs, b.Batch(1, 1000), b.Batch(1, 1000))
	other := NewAuthor(s, "u", 1).Batch(1, 3000)
	s.append(Both(bs...)...)
	s.append(Both(as...)...)
	s.append(Both(other)...)
	size := int64(as[0].Size())
	s.retain(Base, eventlog.Limits{TopicBytes: 5*size + 100}, nil)
	s.twice(func() {
		s.expect("t", append(slices.Clone(bs), as[7:]...)...)
		s.expect("u", other)
	})
}

func testRetainTotal(s *suite) {
	flooder, quiet := NewAuthor(s, "t", 1), NewAuthor(s, "u", 2)
	const limit = 200_000
	var early []*wire.Batch
	for range 3 {
		early = append(early, quiet.Batch(1, 100))
	}
	s.append(Both(early...)...)
	s.append(Declared("d", "u"), Cursor("d", "u", 2))
	unreleased := NewAuthor(s, "v", 3).Batch(1, 100)
	s.append(Stored(unreleased))
	gap := eventlog.Gap{Topic: "u", Author: flooder.ID(), To: wire.Mark{Epoch: 1 << 60, Seq: 2}}
	s.append(eventlog.Op{Kind: eventlog.OpGap, Gap: gap})
	var last *wire.Batch
	for range 30 {
		for range 5 {
			last = flooder.Batch(2, 5000)
			s.append(Both(last)...)
		}
		s.retain(Base, eventlog.Limits{Bytes: limit}, nil)
		if got := s.log.Info().Bytes; got > limit {
			s.Fatalf("the log takes %d bytes, limit %d", got, limit)
		}
	}
	s.twice(func() {
		entries := ReadAll(s.T, s.log, "u")
		if len(entries) != 4 || entries[3].Gap == nil || *entries[3].Gap != gap {
			s.Fatalf("the quiet author has %d entries, want 3 batches and a gap", len(entries))
		}
		for i, b := range early {
			if e := entries[i]; e.Offset != uint64(i) || e.Batch == nil || e.Batch.ID != b.ID {
				s.Errorf("entry %d moved to offset %d", i, e.Offset)
			}
		}
		entries = ReadAll(s.T, s.log, "t")
		if n := len(entries); n < 10 || entries[n-1].Offset != 298 || entries[n-1].Batch.ID != last.ID {
			s.Errorf("the flooder has %d entries", n)
		}
		if _, err := s.log.Batch(unreleased.ID); err != nil {
			s.Errorf("unreleased batch: %v", err)
		}
		if o, ok := s.log.Cursor("d", "u"); !ok || o != 2 {
			s.Errorf("cursor: %d, %v", o, ok)
		}
		if m := s.log.TrimmedTo("t", flooder.ID()); m.Seq != entries[0].Meta.Header.First-1 {
			s.Errorf("trimmed to %v, and held from %d", m, entries[0].Meta.Header.First)
		}
	})
}

func testRetainGaps(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2, b3, b4 := a.Batch(1, 1), a.Batch(1, 1), a.Batch(1, 1), a.Batch(1, 1)
	gap := eventlog.Gap{Topic: "t", Author: a.ID(), From: b2.Header.Start(), To: b2.Header.End(), Reason: "lost"}
	s.append(append(Both(b1), eventlog.Op{Kind: eventlog.OpGap, Gap: gap})...)
	s.append(Both(b3, b4)...)
	s.retain(Base.Add(63*time.Second), eventlog.Limits{Age: time.Minute}, nil)
	s.twice(func() {
		s.expect("t", b4)
		s.log.EachGap(func(g eventlog.Gap) bool { s.Errorf("gap %+v is still there", g); return true })
	})
	lone := eventlog.Gap{Topic: "lone", Author: a.ID(), To: wire.Mark{Epoch: 1 << 62}}
	s.append(eventlog.Op{Kind: eventlog.OpGap, Gap: lone})
	s.retain(Base.Add(time.Hour), eventlog.Limits{Age: time.Minute}, nil)
	s.twice(func() {
		if info, ok := s.log.Topic("lone"); !ok || info.First != 1 || info.Next != 1 {
			s.Errorf("a gap older than the limit: %+v", info)
		}
	})
}

func testRetainDurables(s *suite) {
	a := NewAuthor(s, "t", 1)
	forget := func(name string) eventlog.Op {
		return eventlog.Op{Kind: eventlog.OpForget, Durable: eventlog.Durable{Name: name}}
	}
	steps := [][]eventlog.Op{
		{Declared("again", "t"), Cursor("again", "t", 1), Declared("gone", "t")},
		{Declared("stays", ">"), Cursor("stays", "t", 4)},
		{forget("again"), forget("gone")},
		{Declared("again", "u"), Cursor("again", "u", 2)},
		{Cursor("stays", "u", 5)},
		{},
	}
	for _, ops := range steps {
		s.append(ops...)
		for range 20 {
			s.append(Both(a.Batch(1, 1000))...)
		}
		s.retain(Base, eventlog.Limits{TopicBytes: 12_000}, nil)
		s.again()
	}
	s.twice(func() {
		want := []eventlog.Durable{{Name: "again", Filter: "u"}, {Name: "stays", Filter: ">"}}
		if got := s.log.Durables(); !slices.Equal(got, want) {
			s.Errorf("durables: %v", got)
		}
		for _, c := range []struct {
			name, topic string
			offset      uint64
			ok          bool
		}{{"again", "t", 0, false}, {"again", "u", 2, true}, {"stays", "t", 4, true}, {"stays", "u", 5, true}} {
			if o, ok := s.log.Cursor(c.name, c.topic); o != c.offset || ok != c.ok {
				s.Errorf("cursor of %s on %s: %d, %v", c.name, c.topic, o, ok)
			}
		}
	})
}

func testTrimmedAgain(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2 := a.Batch(1, 1), a.Batch(1, 1)
	s.append(Both(b1, b2)...)
	s.retain(Base.Add(61*time.Second), eventlog.Limits{Age: time.Minute}, nil)
	s.append(Both(b1)...)
	s.twice(func() { s.expect("t", b2) })
}

func testRetainConcurrent(s *suite) {
	a := NewAuthor(s, "t", 1)
	var all []*wire.Batch
	for range 300 {
		all = append(all, a.Batch(1, 1000))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, b := range all {
			if err := TryAppend(s.log, Both(b)...); err != nil {
				s.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 30 {
			if _, err := s.log.Retain(Base, eventlog.Limits{Bytes: 60_000}, nil); err != nil {
				s.Error(err)
			}
		}
	})
	for range 2 {
		wg.Go(func() { s.followTrimmed("t", uint64(len(all))) })
	}
	wg.Wait()
	s.twice(func() {
		entries := ReadAll(s.T, s.log, "t")
		if e := entries[len(entries)-1]; e.Offset != uint64(len(all)-1) || e.Batch == nil {
			s.Errorf("the last entry is %+v", e)
		}
	})
}

// followTrimmed reads a topic as it grows, and goes on where retention overtook it.
func (s *suite) followTrimmed(topic string, end uint64) {
	for offset := uint64(0); offset < end; {
		<-s.log.Changed(topic, offset)
		entries, err := s.log.Read(topic, offset, 3000)
		if errors.Is(err, eventlog.ErrTrimmed) {
			info, _ := s.log.Topic(topic)
			offset = max(offset, info.First)
			continue
		}
		if err != nil {
			s.Error(err)
			return
		}
		for _, e := range entries {
			if e.Offset < offset {
				s.Errorf("offset %d after %d", e.Offset, offset)
				return
			}
			offset = e.Next()
		}
	}
}
