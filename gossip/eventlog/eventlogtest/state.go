package eventlogtest

import (
	"errors"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// Cursor returns the op that moves a cursor.
func Cursor(name, topic string, offset uint64) eventlog.Op {
	return eventlog.Op{Kind: eventlog.OpCursor, Durable: eventlog.Durable{Name: name}, Topic: topic, Offset: offset}
}

// Declared returns the op that declares a durable.
func Declared(name, filter string) eventlog.Op {
	return eventlog.Op{Kind: eventlog.OpDurable, Durable: eventlog.Durable{Name: name, Filter: filter}}
}

func testDurables(s *suite) {
	s.append(Declared("b", "x.>"), Declared("a", "y"), Cursor("a", "y", 5), Cursor("a", "y", 7), Cursor("b", "x.1", 1))
	s.append(Declared("c", "z"), Cursor("c", "z", 9))
	s.append(eventlog.Op{Kind: eventlog.OpForget, Durable: eventlog.Durable{Name: "c"}}, Declared("b", "x.*"))
	check := func(wantA uint64) {
		if d := s.log.Durables(); !slices.Equal(d, []eventlog.Durable{{Name: "a", Filter: "y"}, {Name: "b", Filter: "x.*"}}) {
			s.Errorf("durables: %v", d)
		}
		if o, ok := s.log.Cursor("a", "y"); !ok || o != wantA {
			s.Errorf("cursor of a: %d, %v", o, ok)
		}
		if o, ok := s.log.Cursor("b", "x.1"); !ok || o != 1 {
			s.Errorf("cursor of b: %d, %v", o, ok)
		}
		if _, ok := s.log.Cursor("c", "z"); ok {
			s.Error("a forgotten durable has a cursor")
		}
		if len(s.log.Topics()) != 0 {
			s.Error("a cursor made a topic")
		}
	}
	s.twice(func() { check(7) })
	s.append(Cursor("a", "y", 3))
	s.twice(func() { check(3) })
}

func testSeekTime(s *suite) {
	a, b := NewAuthor(s, "t", 1), NewAuthor(s, "t", 2)
	s.append(Both(a.At(100).Batch(2, 1), b.At(50).Batch(2, 1), a.At(200).Batch(2, 1))...)
	s.append(Both(b.At(150).Batch(1, 1), a.At(300).Batch(1, 1))...)
	s.twice(func() {
		for t, want := range map[wire.Time]uint64{0: 0, 50: 0, 100: 0, 101: 4, 200: 4, 201: 7, 300: 7, 301: 8} {
			if got := s.log.SeekTime("t", t); got != want {
				s.Errorf("time %d: offset %d, want %d", t, got, want)
			}
		}
	})
}

func testChanged(s *suite) {
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	a := NewAuthor(s, "t", 1)
	at0, at2, at9 := s.log.Changed("t", 0), s.log.Changed("t", 2), s.log.Changed("t", 9)
	other := s.log.Changed("other", 0)
	b := a.Batch(3, 1)
	s.append(Stored(b))
	if isClosed(at0) {
		s.Error("closed before the release")
	}
	s.append(Released(b))
	if !isClosed(at0) || !isClosed(at2) || isClosed(at9) || isClosed(other) {
		s.Errorf("closed at 0, 2, 9, other: %v %v %v %v", isClosed(at0), isClosed(at2), isClosed(at9), isClosed(other))
	}
	if !isClosed(s.log.Changed("t", 1)) || isClosed(s.log.Changed("t", 3)) {
		s.Error("what is there already")
	}
	s.append(Both(a.Batch(6, 1))...)
	if isClosed(at9) {
		s.Error("next is 9: offset 9 has not been passed")
	}
	s.append(eventlog.Op{Kind: eventlog.OpGap, Gap: eventlog.Gap{Topic: "t", Author: a.ID()}})
	if !isClosed(at9) {
		s.Error("a gap does not wake")
	}
}

func testEach(s *suite) {
	var ops []eventlog.Op
	for i := range 3 {
		a := NewAuthor(s, "t", byte(i))
		var all []*wire.Batch
		for range 150 {
			all = append(all, a.Batch(1, 1))
		}
		a.Restart()
		for range 150 {
			all = append(all, a.Batch(1, 1))
		}
		for j := range all {
			ops = append(ops, Stored(all[(j*7)%len(all)]))
		}
	}
	s.append(ops...)
	s.twice(func() {
		last := make(map[wire.Author]wire.Mark)
		n := 0
		s.log.Each(func(m *eventlog.Meta) bool {
			if m.Header.Start().Compare(last[m.Header.Author]) <= 0 {
				s.Fatalf("%v after %v", m.Header.Start(), last[m.Header.Author])
			}
			last[m.Header.Author] = m.Header.End()
			n++
			return true
		})
		if n != 900 {
			s.Errorf("%d batches, want 900", n)
		}
		n = 0
		s.log.Each(func(*eventlog.Meta) bool { n++; return n < 10 })
		if n != 10 {
			s.Errorf("each went on to %d after false", n)
		}
	})
}

func testCallbacks(s *suite) {
	const n = 200
	a := NewAuthor(s, "t", 1)
	var written, durable []int
	done := make(chan struct{})
	for i := range n {
		b := a.Batch(1, 10)
		s.log.Append(Both(b), func(err error) {
			if got, readErr := s.log.Batch(b.ID); err != nil || readErr != nil || got.ID != b.ID {
				s.Errorf("written %d: %v, %v", i, err, readErr)
			}
			written = append(written, i)
		}, func(err error) {
			if err != nil || len(written) <= i {
				s.Errorf("durable %d: %v, %d written", i, err, len(written))
			}
			if durable = append(durable, i); len(durable) == n {
				close(done)
			}
		})
	}
	<-done
	if !slices.IsSorted(written) || !slices.IsSorted(durable) || len(written) != n {
		s.Errorf("order: %v %v", written, durable)
	}
}

func testClose(s *suite) {
	a := NewAuthor(s, "t", 1)
	b := a.Batch(1, 1)
	waiting := s.log.Changed("t", 7)
	queued := make(chan error, 1)
	s.log.Append(Both(b), nil, func(err error) { queued <- err })
	Close(s.T, s.log)
	if err := <-queued; err != nil {
		s.Errorf("what was queued at Close: %v", err)
	}
	select {
	case <-waiting:
	case <-time.After(10 * time.Second):
		s.Error("Close leaves a reader waiting")
	}
	Close(s.T, s.log)
	if err := TryAppend(s.log, Both(b)...); !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("append: %v, want ErrClosed", err)
	}
	if _, err := s.log.Read("t", 0, 1); !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("read: %v, want ErrClosed", err)
	}
	if _, err := s.log.Batch(b.ID); !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("batch: %v, want ErrClosed", err)
	}
	if _, err := s.log.Retain(Base.Add(1e18), eventlog.Limits{Age: 1}, nil); !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("retain: %v, want ErrClosed", err)
	}
	s.log.Resume()
	if s.durable {
		s.log = s.open()
		s.expect("t", b)
	}
}

func testIncarnation(s *suite) {
	was := s.log.Info().Incarnation
	if was == 0 {
		s.Error("no incarnation")
	}
	s.twice(func() {
		if now := s.log.Info().Incarnation; now != was {
			s.Errorf("incarnation was %x and is %x", was, now)
		}
	})
}
