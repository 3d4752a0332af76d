package eventlogtest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// suite runs one test with a log of its own.
type suite struct {
	*testing.T
	open    func() eventlog.Log
	log     eventlog.Log
	durable bool
}

// again closes the log and opens it anew, if it is durable.
func (s *suite) again() {
	s.Helper()
	if !s.durable {
		return
	}
	Close(s.T, s.log)
	s.log = s.open()
}

// twice runs check on the log as it is, and after it was opened anew.
func (s *suite) twice(check func()) {
	s.Helper()
	check()
	if s.durable {
		s.again()
		check()
	}
}

func (s *suite) append(ops ...eventlog.Op) {
	s.Helper()
	Append(s.T, s.log, ops...)
}

// Run runs the conformance suite.
func Run(t *testing.T, factory Factory) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"an empty log has nothing", testEmpty},
		{"batches are read in the order of release", testOrder},
		{"offsets count events, and a gap takes one", testOffsets},
		{"late is remembered", testLate},
		{"an offset inside a batch returns the batch", testInside},
		{"a read stops at its bytes", testReadBytes},
		{"an unreleased batch is stored and not read", testUnreleased},
		{"duplicates change nothing", testDuplicates},
		{"ops on what is not there are skipped and counted", testSkipped},
		{"an invalid op refuses its append alone", testInvalid},
		{"a verdict bars from release", testVerdict},
		{"topics are listed by name", testTopics},
		{"durables and cursors are kept until forgotten", testDurables},
		{"a time finds the first offset dated then or later", testSeekTime},
		{"changed is closed when next has passed the offset", testChanged},
		{"each tells authors in order", testEach},
		{"callbacks come in the order of the appends", testCallbacks},
		{"appends and reads run at once", testConcurrent},
		{"close is idempotent and ends everything", testClose},
		{"the incarnation stays", testIncarnation},
		{"age removes what is older whole", testRetainAge},
		{"keep vetoes", testRetainKeep},
		{"bytes of an author trim that author", testRetainAuthor},
		{"bytes of a topic trim who holds the most", testRetainTopic},
		{"the total limit is kept and offsets stay", testRetainTotal},
		{"gaps go with what was trimmed around them", testRetainGaps},
		{"what was trimmed is not stored again", testTrimmedAgain},
		{"durables outlive retention, and forgotten ones stay forgotten", testRetainDurables},
		{"readers go on while retention works", testRetainConcurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			open, durable := factory(t)
			s := &suite{T: t, open: open, log: open(), durable: durable}
			defer func() { Close(t, s.log) }()
			test.run(s)
		})
	}
}

func testEmpty(s *suite) {
	s.twice(func() {
		if entries, err := s.log.Read("t", 0, 1); len(entries) != 0 || err != nil {
			s.Errorf("read: %v, %v", entries, err)
		}
		if _, err := s.log.Batch(wire.BatchID{1}); !errors.Is(err, eventlog.ErrNotFound) {
			s.Errorf("batch: %v, want ErrNotFound", err)
		}
		if _, ok := s.log.Topic("t"); ok || len(s.log.Topics()) != 0 || len(s.log.Durables()) != 0 {
			s.Error("an empty log has topics or durables")
		}
		if _, ok := s.log.Cursor("d", "t"); ok {
			s.Error("an empty log has a cursor")
		}
		if s.log.NewestTime() != 0 || s.log.SeekTime("t", Base) != 0 {
			s.Error("an empty log has times")
		}
		info := s.log.Info()
		if info.Durable != s.durable || info.Batches != 0 || info.Full || info.Failed != nil {
			s.Errorf("info: %+v", info)
		}
		if removed, err := s.log.Retain(Base, eventlog.Limits{Age: 1, Bytes: 1 << 30}, nil); len(removed) != 0 || err != nil {
			s.Errorf("retain: %v, %v", removed, err)
		}
	})
}

// expect checks that a topic reads as batches, in order and without bodies lost.
func (s *suite) expect(topic string, want ...*wire.Batch) {
	s.Helper()
	entries := ReadAll(s.T, s.log, topic)
	if len(entries) != len(want) {
		s.Fatalf("%s has %d entries, want %d", topic, len(entries), len(want))
	}
	for i, b := range want {
		e := entries[i]
		if e.Batch == nil || e.Batch.ID != b.ID || !slices.Equal(e.Batch.Raw, b.Raw) {
			s.Fatalf("entry %d of %s is not batch %v", i, topic, b.ID)
		}
		if e.Meta.ID != b.ID || e.Meta.Header != b.Header || e.Meta.Size != len(b.Raw) || e.Meta.Offset != e.Offset {
			s.Fatalf("meta of entry %d:\n%+v\nwant that of\n%+v", i, e.Meta, b.Header)
		}
	}
}

func testOrder(s *suite) {
	a, b := NewAuthor(s, "t", 1), NewAuthor(s, "t", 2)
	a1, a2, b1, b2 := a.Batch(2, 10), a.Batch(1, 100_000), b.Batch(3, 0), b.Batch(1, 300_000)
	s.append(Stored(a1), Stored(b1), Stored(a2), Released(b1), Stored(b2), Released(a1))
	s.append(Released(a2), Released(b2))
	s.twice(func() {
		s.expect("t", b1, a1, a2, b2)
		for _, want := range []*wire.Batch{a1, a2, b1, b2} {
			if got, err := s.log.Batch(want.ID); err != nil || !slices.Equal(got.Raw, want.Raw) {
				s.Errorf("batch %v: %v", want.ID, err)
			}
		}
		if got := s.log.NewestTime(); got != Base.Add(1e9) {
			s.Errorf("newest time is %v", got.Std())
		}
	})
}

func testOffsets(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2, b3 := a.Batch(5, 10), a.Batch(1, 10), a.Batch(7, 10)
	gap := eventlog.Gap{Topic: "t", Author: a.ID(), From: b2.Header.Start(), To: b2.Header.End(), Reason: "lost"}
	s.append(append(Both(b1), eventlog.Op{Kind: eventlog.OpGap, Gap: gap})...)
	s.append(Both(b3)...)
	s.append(eventlog.Op{Kind: eventlog.OpGap, Gap: gap})
	check := func() {
		entries := ReadAll(s.T, s.log, "t")
		var offsets []uint64
		for _, e := range entries {
			offsets = append(offsets, e.Offset)
		}
		if !slices.Equal(offsets, []uint64{0, 5, 6, 13}) {
			s.Fatalf("offsets are %v", offsets)
		}
		if g := entries[1].Gap; g == nil || *g != gap || entries[1].Batch != nil || entries[1].Meta != nil {
			s.Errorf("entry at 5 is %+v", entries[1])
		}
		info, _ := s.log.Topic("t")
		if info.First != 0 || info.Next != 14 || info.Events != 12 || info.Batches != 2 || info.Authors != 1 {
			s.Errorf("topic: %+v", info)
		}
		n := 0
		s.log.EachGap(func(g eventlog.Gap) bool { n++; return g == gap })
		if n != 2 {
			s.Errorf("%d gaps, want 2", n)
		}
	}
	s.twice(check)
	if s.durable {
		b4 := a.Batch(1, 1)
		s.append(Both(b4)...)
		if e := ReadAll(s.T, s.log, "t"); e[len(e)-1].Offset != 14 {
			s.Errorf("after opening anew the next release got offset %d, want 14", e[len(e)-1].Offset)
		}
	}
}

func testLate(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2, b3 := a.Batch(1, 1), a.Batch(1, 1), a.Batch(1, 1)
	late := func(b *wire.Batch) eventlog.Op {
		return eventlog.Op{Kind: eventlog.OpRelease, ID: b.ID, Late: true}
	}
	s.append(append(Both(b3), Stored(b1), late(b1))...)
	s.append(Stored(b2))
	s.append(late(b2))
	s.twice(func() {
		s.expect("t", b3, b1, b2)
		for i, e := range ReadAll(s.T, s.log, "t") {
			if want := i > 0; e.Late != want || e.Meta.Late != want {
				s.Errorf("entry %d: late %v, want %v", i, e.Late, want)
			}
		}
	})
}

func testInside(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2 := a.Batch(10, 1), a.Batch(10, 1)
	s.append(Both(b1, b2)...)
	s.twice(func() {
		for offset, want := range map[uint64]*wire.Batch{0: b1, 9: b1, 10: b2, 15: b2, 19: b2} {
			entries, err := s.log.Read("t", offset, 1)
			if err != nil || len(entries) != 1 || entries[0].Meta.ID != want.ID {
				s.Errorf("offset %d: %v, %v", offset, entries, err)
			}
		}
		if entries, err := s.log.Read("t", 20, 1<<20); len(entries) != 0 || err != nil {
			s.Errorf("at next: %v, %v", entries, err)
		}
		if entries, err := s.log.Read("t", 1000, 1<<20); len(entries) != 0 || err != nil {
			s.Errorf("beyond next: %v, %v", entries, err)
		}
	})
}

func testReadBytes(s *suite) {
	a := NewAuthor(s, "t", 1)
	for range 20 {
		s.append(Both(a.Batch(1, 10_000))...)
	}
	s.twice(func() {
		for max, want := range map[int][2]int{0: {1, 1}, 1: {1, 1}, 50_000: {4, 6}, 1 << 30: {20, 20}} {
			entries, err := s.log.Read("t", 0, max)
			if err != nil || len(entries) < want[0] || len(entries) > want[1] {
				s.Errorf("%d bytes: %d entries, want %v; %v", max, len(entries), want, err)
			}
		}
	})
}

func testUnreleased(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2 := a.Batch(1, 1), a.Batch(1, 1)
	s.append(Stored(b2))
	s.twice(func() {
		if len(ReadAll(s.T, s.log, "t")) != 0 {
			s.Error("an unreleased batch is read")
		}
		if _, err := s.log.Batch(b2.ID); err != nil {
			s.Error(err)
		}
		s.log.Each(func(m *eventlog.Meta) bool {
			if m.Released || m.ID != b2.ID {
				s.Errorf("meta: %+v", m)
			}
			return true
		})
	})
	s.append(Both(b1)...)
	s.append(Released(b2))
	s.twice(func() { s.expect("t", b1, b2) })
}

func testDuplicates(s *suite) {
	a := NewAuthor(s, "t", 1)
	b := a.Batch(2, 10)
	s.append(Stored(b), Stored(b), Released(b), Released(b))
	s.append(Both(b)...)
	s.twice(func() {
		s.expect("t", b)
		if info := s.log.Info(); info.Batches != 1 || info.Events != 2 || info.Skipped != 0 {
			s.Errorf("info: %+v", info)
		}
		s.append(Both(b)...)
	})
	if info, _ := s.log.Topic("t"); info.Next != 2 {
		s.Errorf("next is %d, want 2", info.Next)
	}
}

func testSkipped(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2 := a.Batch(1, 1), a.Batch(1, 1)
	s.append(Released(b1), Stored(b2), Released(b2), eventlog.Op{Kind: eventlog.OpVerdict, ID: b1.ID, Reason: 1})
	s.append(eventlog.Op{Kind: eventlog.OpCursor, Durable: eventlog.Durable{Name: "nobody"}, Topic: "t", Offset: 1})
	if n := s.log.Info().Skipped; n != 3 {
		s.Errorf("%d ops were skipped, want 3", n)
	}
	s.twice(func() {
		s.expect("t", b2)
		if _, ok := s.log.Cursor("nobody", "t"); ok {
			s.Error("an undeclared durable has a cursor")
		}
	})
}

func testInvalid(s *suite) {
	a := NewAuthor(s, "t", 1)
	b := a.Batch(1, 1)
	for _, op := range []eventlog.Op{
		{},
		{Kind: 200},
		{Kind: eventlog.OpBatch},
		{Kind: eventlog.OpForget, Durable: eventlog.Durable{Name: string(make([]byte, 1<<16))}},
	} {
		if err := TryAppend(s.log, Stored(b), op); err == nil {
			s.Errorf("op of kind %d was taken", op.Kind)
		}
	}
	s.append(Both(b)...)
	s.twice(func() { s.expect("t", b) })
}

func testVerdict(s *suite) {
	a := NewAuthor(s, "t", 1)
	b1, b2, b3 := a.Batch(1, 1), a.Batch(1, 1), a.Batch(1, 1)
	verdict := func(b *wire.Batch) eventlog.Op {
		return eventlog.Op{Kind: eventlog.OpVerdict, ID: b.ID, Reason: wire.ReasonConflict}
	}
	s.append(Stored(b1), verdict(b1), Released(b1))
	s.append(Stored(b2))
	s.append(verdict(b2))
	s.append(Released(b2))
	s.append(Both(b3)...)
	s.twice(func() {
		s.expect("t", b3)
		verdicts := 0
		s.log.Each(func(m *eventlog.Meta) bool {
			if m.Verdict == wire.ReasonConflict {
				verdicts++
			}
			return true
		})
		if verdicts != 2 {
			s.Errorf("%d verdicts, want 2", verdicts)
		}
		s.append(Released(b1))
	})
}

func testTopics(s *suite) {
	for i, name := range []string{"c", "a", "b.x"} {
		s.append(Both(NewAuthor(s, name, byte(i)).Batch(i+1, 1))...)
	}
	s.twice(func() {
		var names []string
		for _, t := range s.log.Topics() {
			names = append(names, t.Name)
		}
		if !slices.Equal(names, []string{"a", "b.x", "c"}) {
			s.Errorf("topics are %v", names)
		}
	})
}

func testConcurrent(s *suite) {
	const authors, batches = 4, 50
	var wg sync.WaitGroup
	for i := range authors {
		a := NewAuthor(s, "t", byte(i))
		var all []*wire.Batch
		for range batches {
			all = append(all, a.Batch(2, 100))
		}
		wg.Go(func() {
			for _, b := range all {
				if err := TryAppend(s.log, Both(b)...); err != nil {
					s.Error(err)
				}
			}
		})
		wg.Go(func() { s.follow("t", authors*batches*2) })
	}
	wg.Wait()
	s.twice(func() {
		if n := len(ReadAll(s.T, s.log, "t")); n != authors*batches {
			s.Errorf("%d batches, want %d", n, authors*batches)
		}
	})
}

// follow reads a topic as it grows up to offset end.
func (s *suite) follow(topic string, end uint64) {
	for offset := uint64(0); offset < end; {
		<-s.log.Changed(topic, offset)
		entries, err := s.log.Read(topic, offset, 1000)
		if err != nil || len(entries) == 0 {
			s.Errorf("read from %d: %d entries, %v", offset, len(entries), err)
			return
		}
		for _, e := range entries {
			if e.Offset != offset || e.Batch == nil {
				s.Errorf("at %d: %+v", offset, e)
				return
			}
			offset = e.Next()
		}
	}
}
