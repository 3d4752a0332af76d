package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

func TestClockNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := wire.TimeOf(time.Now())
		c := newClock(now.Add(time.Minute)) // the log knows better than the physical clock
		last := c.next()
		if last <= now.Add(time.Minute) {
			t.Errorf("%v is not above the floor", last.Std())
		}
		for range 100 {
			if n := c.next(); n <= last {
				t.Fatalf("%d after %d", n, last)
			} else {
				last = n
			}
		}
		c.observe(last.Add(10 * time.Second))
		if n := c.next(); n <= last.Add(10*time.Second) {
			t.Errorf("%v is not above what was observed", n.Std())
		}
		far := now.Add(time.Hour)
		c.observe(far)
		if n := c.next(); n > far {
			t.Error("a batch from the future carried the clock along")
		}
		if w := c.wall(); w != now.Add(time.Minute) {
			t.Errorf("wall is %v, want the floor", w.Std())
		}
	})
}

func TestEpochsAscend(t *testing.T) {
	c := newClock(0)
	first := c.epochAbove(0)
	if d := time.Since(first.Time().Std()); d < -time.Second || d > time.Minute {
		t.Errorf("the epoch is of %v", first.Time().Std())
	}
	high := first + 1<<40
	if e := c.epochAbove(high); e <= high {
		t.Errorf("epoch %d is not above %d", e, high)
	}
}

func TestBudgetIsSharedFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1000)
		stop := make(chan struct{})
		if !b.take("a", 250, stop) {
			t.Fatal("stopped")
		}
		var waited, other bool
		go func() { waited = b.take("a", 10, stop) }()
		go func() { other = b.take("b", 900, stop) }() // it holds nothing: it never starves
		synctest.Wait()
		if waited || !other {
			t.Errorf("the flooder got on: %v, the other: %v", waited, other)
		}
		b.give("b", 900)
		synctest.Wait()
		if waited {
			t.Error("the flooder got on with its share used up")
		}
		b.give("a", 250)
		synctest.Wait()
		if !waited {
			t.Error("the flooder waits though its share is free")
		}
		if !b.take("a", 240, stop) {
			t.Error("stopped")
		}
		stopped := true
		go func() { stopped = b.take("a", 240, stop) }()
		synctest.Wait()
		close(stop)
		synctest.Wait()
		if stopped {
			t.Error("take did not end with stop")
		}
	})
}

func TestRecentKeepsTheNewest(t *testing.T) {
	r := newRecentCache(1000)
	batch := func(i int) *wire.Batch {
		b := &wire.Batch{Raw: make([]byte, 100)}
		b.ID[0], b.ID[1] = byte(i), byte(i>>8)
		return b
	}
	for i := range 1000 {
		r.put(batch(i))
		r.put(batch(i)) // once is enough
	}
	for i := range 1000 {
		if got := r.get(batch(i).ID) != nil; got != (i >= 990) {
			t.Fatalf("batch %d is kept: %v", i, got)
		}
	}
	if r.bytes != 1000 || len(r.byID) != 10 {
		t.Errorf("%d bytes, %d batches", r.bytes, len(r.byID))
	}
}

// recordingCarrier keeps what is sent, and may be slow or fail.
type recordingCarrier struct {
	carrier.Carrier
	mtu    int
	frames chan []byte
	err    error
}

func (c *recordingCarrier) Traits() carrier.Traits { return carrier.Traits{MTU: c.mtu, Reliable: true} }

func (c *recordingCarrier) Send(ctx context.Context, _ wire.PeerID, _ carrier.Lane, parts ...[]byte) error {
	if c.err != nil {
		return c.err
	}
	select {
	case c.frames <- bytes.Join(parts, nil):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// testOutbox returns an outbox that is not run yet.
func testOutbox(c *recordingCarrier, lane carrier.Lane) (*Driver, *outbox) {
	d := &Driver{recent: newRecentCache(1 << 30), reports: reports{signal: make(chan struct{}, 1)}}
	l := &link{carrier: c, info: carrier.Link{Peer: "peer"}}
	return d, newOutbox(d, l, lane)
}

func sealTest(t testing.TB, i, size int) *wire.Batch {
	t.Helper()
	h := wire.Header{Network: "test", Topic: testTopic, Epoch: 1, First: uint64(i), Count: 1, Time: 1000}
	if i > 1 {
		h.Prev = wire.Prev{Mark: wire.Mark{Epoch: 1, Seq: uint64(i - 1)}, Time: 1000}
	}
	body := wire.AppendEvent(nil, h.Time, &wire.Event{Payload: make([]byte, size)})
	b, err := wire.Seal(h, body, wire.NewSigner(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOutboxGathersFramesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &recordingCarrier{mtu: wire.FrameMaxBytes, frames: make(chan []byte, 1000)}
		d, o := testOutbox(c, carrier.Repair)
		var want []string
		for i := 1; i <= 300; i++ {
			if i%3 == 0 {
				if !o.putMessage(&wire.Served{ID: uint32(i)}) {
					t.Fatal("no room for a message")
				}
				want = append(want, fmt.Sprint("served ", i))
				continue
			}
			b := sealTest(t, i, i*37%4000)
			d.recent.put(b)
			if !o.putBatch(b.ID, 0, false) {
				t.Fatal("no room for a push")
			}
			want = append(want, fmt.Sprint("push ", i))
		}
		large := 0
		for i, size := range []int{70_000, 330_000, 3 << 20} {
			b := sealTest(t, 301+i, size)
			d.recent.put(b)
			o.putBatch(b.ID, 0, size < partsAboveBytes) // the first because the peer asks for parts
			o.putMessage(&wire.Served{ID: uint32(301 + i)})
			want = append(want, fmt.Sprint("parts of ", b.ID, b.Size()), fmt.Sprint("served ", 301+i))
			large += b.Size()
		}
		go o.run()
		synctest.Wait()
		close(c.frames)
		var got []string
		frames, part := 0, 0
		for f := range c.frames {
			frames++
			for m, err := range wire.ParseFrame(f) {
				if err != nil {
					t.Fatal(err)
				}
				switch m := m.(type) {
				case *wire.Served:
					got = append(got, fmt.Sprint("served ", m.ID))
				case *wire.Part:
					if len(f) > wire.PartMaxBytes+2*partOverhead || int(m.Offset) != part {
						t.Errorf("a part at %d after %d, in a frame of %d bytes", m.Offset, part, len(f))
					}
					if part += len(m.Data); part == int(m.Size) {
						got = append(got, fmt.Sprint("parts of ", m.Batch, m.Size))
						part = 0
					}
				case *wire.Push:
					if !m.Repair {
						t.Error("a push on the repair lane is not marked")
					}
					got = append(got, fmt.Sprint("push ", m.Batch.Header.First))
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if most := 8 + large/wire.PartMaxBytes; frames > most {
			t.Errorf("%d frames, want at most %d", frames, most)
		}
		o.cancel(errLinkGone)
		synctest.Wait()
	})
}

func TestOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &recordingCarrier{mtu: wire.FrameMaxBytes, frames: make(chan []byte, 1000)}
		d, o := testOutbox(c, carrier.News)
		b := sealTest(t, 1, 100_000)
		d.recent.put(b)
		n := 0
		for o.putBatch(b.ID, 0, false) {
			n++
		}
		if n != newsMaxBytes/b.Size() {
			t.Errorf("%d pushes of %d bytes were taken", n, b.Size())
		}
		messages := 0
		for o.putMessage(&wire.Have{Topic: testTopic, Heads: make([]wire.Head, 100)}) {
			messages++
		}
		if o.control < controlMax || o.control > controlMax+wire.ControlFrameMaxBytes {
			t.Errorf("%d messages of %d bytes were taken", messages, o.control)
		}
		if len(d.reports.take()) != 0 {
			t.Error("an outbox that is full reported room")
		}
		go o.run()
		synctest.Wait()
		if r := d.reports.take(); len(r) != 1 || r[0] != (drained{"peer"}) {
			t.Errorf("reports %v, want one of room", r)
		}
		o.cancel(errLinkGone)
		synctest.Wait()
	})
}

func TestOutboxReportsWhatTheCarrierRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &recordingCarrier{mtu: wire.FrameMaxBytes, err: carrier.ErrTooLarge}
		d, o := testOutbox(c, carrier.News)
		b := sealTest(t, 1, 100)
		d.recent.put(b)
		o.putBatch(b.ID, 0, false)
		go o.run()
		synctest.Wait()
		r := d.reports.take()
		if len(r) != 1 {
			t.Fatalf("reports %v", r)
		}
		if f, ok := r[0].(sendFailed); !ok || len(f.ids) != 1 || f.ids[0] != b.ID {
			t.Errorf("report %+v", r[0])
		}
		o.cancel(errLinkGone)
		synctest.Wait()
	})
}

// flakySigner fails on demand.
type flakySigner struct {
	wire.Signer
	fail bool
}

var errSigner = errors.New("test: no signature")

func (s *flakySigner) Sign(m []byte) ([]byte, error) {
	if s.fail {
		return nil, errSigner
	}
	return s.Signer.Sign(m)
}

func TestSignerThatFailsLeavesNoHole(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		signer := &flakySigner{Signer: wire.NewSigner(testKey(1))}
		a := r.start(1, func(c *Config) { c.Signer = signer })
		a.publish("a", 0, 5)
		signer.fail = true
		for range 3 {
			if _, err := a.Publish(t.Context(), testTopic, wire.Event{}); !errors.Is(err, errSigner) {
				t.Errorf("Publish: %v", err)
			}
		}
		signer.fail = false
		ids := a.publish("a", 5, 5)
		if ids[0].Seq != 6 {
			t.Errorf("sequence %d after 5", ids[0].Seq)
		}
		a.wantAll(time.Second, map[string]int{"a": 10})
	})
}

func TestLostBodyIsFetchedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		a.publish("a", 0, 1)
		b.wantAll(time.Second, map[string]int{"a": 1})
		var id wire.BatchID
		b.log.Each(func(m *eventlog.Meta) bool {
			id = m.ID
			return false
		})
		b.Lost(id)
		b.Lost(id)
		time.Sleep(10 * time.Second)
		if s := b.Stats(); s.Damaged != 2 || s.Gossip.Lost != 1 || s.Gossip.Restored != 1 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
	})
}

func TestTwoCarriersReachOnePeer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		other := carrier.NewNetwork(2)
		both := func(n byte) func(*Config) {
			return func(c *Config) { c.Carriers = append(c.Carriers, other.Join(peerOf(testKey(n)))) }
		}
		a, b := r.start(1, both(1)), r.start(2, both(2))
		r.connect(a, b)
		synctest.Wait()
		other.Connect(a.id, b.id)
		a.publish("a", 0, 10)
		b.wantAll(time.Second, map[string]int{"a": 10})
		if p := a.Peers(); len(p) != 1 {
			t.Errorf("Peers: %+v", p)
		}
		r.net.Disconnect(a.id, b.id)
		synctest.Wait()
		a.publish("a", 10, 10)
		b.wantAll(5*time.Second, map[string]int{"a": 20})
		other.Disconnect(a.id, b.id)
		synctest.Wait()
		if p := a.Peers(); len(p) != 0 {
			t.Errorf("Peers: %+v", p)
		}
	})
}

func TestCountersHaveNames(t *testing.T) {
	s := Stats{FramesIn: 3, Gossip: gossip.Stats{TopicsThin: 2, Accepted: 7}}
	all := s.Counters()
	for name, want := range map[string]uint64{"frames_in": 3, "gossip_topics_thin": 2, "gossip_accepted": 7} {
		if all[name] != want {
			t.Errorf("%s = %d, want %d", name, all[name], want)
		}
	}
}
