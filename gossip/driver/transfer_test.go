package driver

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// narrow gives a node a carrier with little on the way, so that a cut loses
// little beside what the test is about, and lets it publish large events.
func (r *rig) narrow(n byte, opts ...carrier.MemoryOption) func(*Config) {
	opts = append(opts, carrier.MemoryQueue(32<<10))
	return func(c *Config) {
		c.Carriers = []carrier.Carrier{r.net.Join(peerOf(testKey(n)), opts...)}
		c.EventMaxBytes = eventMaxCeiling
	}
}

// publishLarge publishes one event of about size bytes, and returns its batch.
func (x *node) publishLarge(size int) *wire.Batch {
	x.rig.t.Helper()
	payload := make([]byte, size)
	copy(payload, "a-0 ")
	if _, err := x.Publish(x.rig.t.Context(), testTopic, wire.Event{Payload: payload}); err != nil {
		x.rig.t.Fatal(err)
	}
	return x.onlyBatch()
}

// onlyBatch returns the batch that the node holds.
func (x *node) onlyBatch() (b *wire.Batch) {
	x.rig.t.Helper()
	x.log.Each(func(m *eventlog.Meta) bool {
		var err error
		if b, err = x.log.Batch(m.ID); err != nil {
			x.rig.t.Fatal(err)
		}
		return false
	})
	return b
}

// waitFor waits until the condition holds.
func (r *rig) waitFor(what string, within time.Duration, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// parted waits until the node has taken n parts more.
func (x *node) parted(n uint64) {
	x.rig.t.Helper()
	n += x.assembly.counts().parts
	x.rig.waitFor("parts", time.Minute, func() bool { return x.assembly.counts().parts >= n || x.count() > 0 })
}

// sent returns the bytes that nodes sent.
func sent(nodes ...*node) (n int) {
	for _, x := range nodes {
		n += int(x.Stats().BytesOut)
	}
	return n
}

func TestCutsCostAPartEach(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1, r.narrow(1)), r.start(2, r.narrow(2))
		r.net.SetBandwidth(1 << 20)
		size := a.publishLarge(4<<20 - 1000).Size()
		for range 10 {
			r.connect(a, b)
			b.parted(10)
			r.net.Disconnect(a.id, b.id)
			time.Sleep(100 * time.Millisecond)
		}
		if b.count() != 0 {
			t.Fatal("the batch was there before the last cut")
		}
		r.connect(a, b)
		b.wantAll(time.Minute, map[string]int{"a": 1})
		if n := sent(a); n > size*12/10 {
			t.Errorf("%d bytes were sent of a batch of %d", n, size)
		}
		if s := b.Stats(); s.PartsIn == 0 || s.PartialsSpoiled+s.PartialsEvicted+s.PartialsExpired != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
		wantEmpty(t, b.assembly)
	})
}

func TestTwoPeersAlternate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b, c := r.start(1, r.narrow(1)), r.start(2, r.narrow(2)), r.start(3, r.narrow(3))
		r.connect(a, c)
		size := a.publishLarge(4<<20 - 1000).Size()
		c.wantAll(10*time.Second, map[string]int{"a": 1})
		r.net.Disconnect(a.id, c.id)
		r.net.SetBandwidth(1 << 20)
		before := sent(a, c)
		for i := range 10 {
			from := []*node{a, c}[i%2]
			r.connect(from, b)
			b.parted(10)
			r.net.Disconnect(from.id, b.id)
			time.Sleep(100 * time.Millisecond)
		}
		r.connect(c, b)
		b.wantAll(time.Minute, map[string]int{"a": 1})
		if n := sent(a, c) - before; n > size*12/10 {
			t.Errorf("%d bytes were sent of a batch of %d", n, size)
		}
	})
}

func TestLinkDownIsNotLostInASecondLink(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		other := carrier.NewNetwork(2)
		both := func(n byte) func(*Config) {
			return func(c *Config) {
				r.narrow(n)(c)
				c.Carriers = append(c.Carriers, other.Join(peerOf(testKey(n)), carrier.MemoryQueue(32<<10)))
			}
		}
		a, b := r.start(1, both(1)), r.start(2, both(2))
		r.net.SetBandwidth(1 << 20)
		other.SetBandwidth(1 << 20)
		size := a.publishLarge(4<<20 - 1000).Size()
		r.connect(a, b)
		synctest.Wait()
		other.Connect(a.id, b.id)
		b.parted(60)
		r.net.Disconnect(a.id, b.id)
		b.wantAll(time.Minute, map[string]int{"a": 1})
		if n := sent(a); n > size*12/10 {
			t.Errorf("%d bytes were sent of a batch of %d", n, size)
		}
	})
}

// meteredCarrier lets a link carry so many bytes and then breaks it, as a relay does.
type meteredCarrier struct {
	carrier.Carrier
	left  atomic.Int64
	spent func()
}

func (c *meteredCarrier) Send(ctx context.Context, to wire.PeerID, lane carrier.Lane, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if c.left.Add(-int64(n)) < 0 {
		c.spent()
		return errors.New("test: the allowance is used up")
	}
	return c.Carrier.Send(ctx, to, lane, parts...)
}

func TestAllowanceOfARelayIsEnough(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		const allowance = 128 << 10
		metered := &meteredCarrier{}
		a := r.start(1, func(c *Config) {
			r.narrow(1, carrier.MemoryLimited())(c)
			metered.Carrier = c.Carriers[0]
			c.Carriers[0] = metered
		})
		b := r.start(2, r.narrow(2))
		metered.spent = func() { r.net.Disconnect(a.id, b.id) }
		size := a.publishLarge(2 << 20).Size()
		links := 0
		for ; b.count() == 0 && links < 30; links++ {
			metered.left.Store(allowance)
			r.connect(a, b)
			time.Sleep(3 * time.Second)
			r.net.Disconnect(a.id, b.id)
			time.Sleep(100 * time.Millisecond)
		}
		b.wantAll(time.Second, map[string]int{"a": 1})
		// Some of each allowance goes to greetings, and to what is on the way when it ends.
		if most := size / (allowance * 2 / 3); links > most {
			t.Errorf("%d links of %d bytes for a batch of %d, want at most %d", links, allowance, size, most)
		}
	})
}

func TestSlowLinkMakesProgress(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1, r.narrow(1)), r.start(2, r.narrow(2))
		r.net.SetBandwidth(256 << 10)
		size := a.publishLarge(eventMaxCeiling - 1000).Size()
		begin := time.Now()
		r.connect(a, b)
		b.wantAll(2*time.Minute, map[string]int{"a": 1})
		if took := time.Since(begin); took < 4*gossip.DefaultConfig().WantTimeout {
			t.Fatalf("it took %v: no test of patience", took)
		}
		if n := sent(a); n > size*11/10 {
			t.Errorf("%d bytes were sent of a batch of %d", n, size)
		}
		if n := b.Stats().Gossip.WantTimeouts; n != 0 {
			t.Errorf("%d wants timed out", n)
		}
	})
}

// puppet is a peer that sends what the test tells it to, and hears nothing.
type puppet struct {
	rig *rig
	id  wire.PeerID
	carrier.Carrier
}

func (*puppet) LinkUp(carrier.Link)                     {}
func (*puppet) LinkDown(wire.PeerID, error)             {}
func (*puppet) Frame(wire.PeerID, carrier.Lane, []byte) {}

// puppet makes one with a key of its own, and connects it to the nodes.
func (r *rig) puppet(n byte, to ...*node) *puppet {
	p := &puppet{rig: r, id: peerOf(testKey(n))}
	p.Carrier = r.net.Join(p.id)
	if err := p.Start(p); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			r.t.Error(err)
		}
	})
	for _, x := range to {
		r.net.Connect(p.id, x.id)
	}
	synctest.Wait()
	return p
}

func (p *puppet) say(to *node, messages ...wire.Message) {
	p.rig.t.Helper()
	for _, m := range messages {
		if err := p.Send(p.rig.t.Context(), to.id, carrier.Repair, wire.AppendMessage(nil, m)); err != nil {
			p.rig.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func TestLiarsBeginningCostsOneTransfer(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1, r.narrow(1)), r.start(2, r.narrow(2))
		raw := a.publishLarge(1 << 20)
		liar := r.puppet(9, b)
		liar.say(b, stretch(raw, 0, 20_000), forge(stretch(raw, 20_000, 40_000)))
		r.net.Disconnect(liar.id, b.id)
		r.connect(a, b)
		b.wantAll(2*time.Second, map[string]int{"a": 1}) // the honest peer is asked again at once
		s := b.Stats()
		if s.PartialsSpoiled != 1 || s.Unverified != 1 || s.Gossip.Demerits != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
		if n := sent(a); n > 2*raw.Size()*11/10 {
			t.Errorf("%d bytes were sent of a batch of %d", n, raw.Size())
		}
		if len(b.Peers()) != 1 {
			t.Error("the honest peer was dropped")
		}
		wantEmpty(t, b.assembly)
	})
}

func TestLiarWhoSentAllIsBlamed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		b := r.start(2)
		liar := r.puppet(9, b)
		batch := sealNoise(t, 1, 100_000)
		for _, p := range stretches(batch, 0, 30_000) {
			liar.say(b, forge(p))
		}
		if s := b.Stats(); s.Unverified != 1 || s.Gossip.Demerits != 1 || s.Gossip.Accepted != 0 || s.PartialsSpoiled != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
		if b.budget.total != 0 {
			t.Errorf("%d bytes of the budget were not given back", b.budget.total)
		}
		wantEmpty(t, b.assembly)
	})
}

func TestMistakeInAPartIsBlamed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		b := r.start(2)
		liar := r.puppet(9, b)
		p := stretch(sealNoise(t, 1, 100_000), 0, 1000)
		p.Size++
		liar.say(b, p)
		if s := b.Stats(); s.Unverified != 1 || s.Gossip.Demerits != 1 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
	})
}

func TestWhatIsKeptEndsWithItsUse(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		raw := a.publishLarge(1 << 20)
		p := r.puppet(9, b)
		kept := func() (x assembly) {
			b.assembly.mu.Lock()
			defer b.assembly.mu.Unlock()
			if k := b.assembly.all[assemblyKey{id: raw.ID}]; k != nil {
				x = *k
			}
			return x
		}

		// The end of the answer, and silence, are told to the core.
		p.say(b, stretch(raw, 0, 30_000))
		if kept().told {
			t.Error("the core was told in the midst of a transfer")
		}
		p.say(b, &wire.Served{ID: 1})
		if x := kept(); !x.cut || !x.told {
			t.Errorf("after the answer: cut off %v, told %v", x.cut, x.told)
		}
		p.say(b, stretch(raw, 30_000, 60_000))
		time.Sleep(gossip.DefaultConfig().WantTimeout * 3 / 4)
		synctest.Wait()
		if x := kept(); !x.cut || len(x.buf) != 60_000 {
			t.Errorf("after a silence: cut off %v, %d bytes", x.cut, len(x.buf))
		}

		// Nobody continues it.
		time.Sleep(assemblyKeep)
		synctest.Wait()
		if n := b.Stats().PartialsExpired; n != 1 {
			t.Errorf("%d expired", n)
		}
		wantEmpty(t, b.assembly)

		// The batch comes in one piece.
		p.say(b, stretch(raw, 0, 30_000))
		if len(kept().buf) != 30_000 {
			t.Error("the part was not taken")
		}
		p.say(b, &wire.Push{Batch: raw, Repair: true})
		wantEmpty(t, b.assembly)
	})
}

func TestPartsOfABatchAtHandAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a := r.start(1)
		raw := a.publishLarge(100_000)
		p := r.puppet(9, a)
		p.say(a, stretch(raw, 0, 30_000))
		if n := a.Stats().PartsDropped; n != 1 {
			t.Errorf("%d parts were dropped", n)
		}
		wantEmpty(t, a.assembly)
	})
}

func TestOutboxSendsFromTheOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := sealTest(t, 1, 30_000)
		for offset, want := range map[uint32]int{1: b.Size() - 1, 20_000: b.Size() - 20_000, uint32(b.Size()): b.Size()} {
			c := &recordingCarrier{mtu: wire.FrameMaxBytes, frames: make(chan []byte, 1000)}
			d, o := testOutbox(c, carrier.Repair)
			d.recent.put(b)
			o.putBatch(b.ID, offset, false)
			go o.run()
			synctest.Wait()
			o.cancel(errLinkGone)
			synctest.Wait()
			close(c.frames)
			got := 0
			for f := range c.frames {
				for m, err := range wire.ParseFrame(f) {
					p, ok := m.(*wire.Part)
					if err != nil || !ok || p.Batch != b.ID || int(p.Size) != b.Size() {
						t.Fatalf("%T, %v", m, err)
					}
					got += len(p.Data)
				}
			}
			if got != want || d.counters.pushesOut.Load() != 1 || d.counters.partsOut.Load() != 1 {
				t.Errorf("from %d on %d bytes were sent, want %d", offset, got, want)
			}
		}
	})
}

func TestOutboxStopsAfterAPartThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &recordingCarrier{mtu: wire.FrameMaxBytes, err: carrier.ErrTooLarge}
		d, o := testOutbox(c, carrier.Repair)
		b := sealTest(t, 1, 1<<20)
		d.recent.put(b)
		o.putBatch(b.ID, 0, false)
		go o.run()
		synctest.Wait()
		r := d.reports.take()
		if n := d.counters.sendFailed.Load(); n != 1 || len(r) != 1 {
			t.Fatalf("%d frames failed, reports %v", n, r)
		}
		if f, ok := r[0].(sendFailed); !ok || len(f.ids) != 1 || f.ids[0] != b.ID {
			t.Errorf("report %+v", r[0])
		}
		o.cancel(errLinkGone)
		synctest.Wait()
	})
}

// A peer that begins a batch nobody asked it for, and adds a byte whenever its
// transfer would count as cut off, must not keep the batch from who was asked.
func TestTricklerDoesNotHoldUpWhoWasAsked(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1, r.narrow(1)), r.start(2, r.narrow(2))
		raw := a.publishLarge(1 << 20)
		liar := r.puppet(9, b)
		liar.say(b, stretch(raw, 0, 20_000))
		r.connect(a, b)
		for at := 20_000; at < 20_020 && b.count() == 0; at++ {
			liar.say(b, stretch(raw, at, at+1))
			time.Sleep(time.Second)
		}
		b.wantAll(time.Second, map[string]int{"a": 1})
		if s := b.Stats(); s.Gossip.WantsUnserved != 0 || sent(a) > raw.Size()*11/10 {
			t.Errorf("%d bytes were sent of a batch of %d; %v", sent(a), raw.Size(), nonzero(s.Counters()))
		}
		wantEmpty(t, b.assembly)
	})
}

// A batch that comes in another way while a slow peer answers with its parts
// must not make that peer look as if it did not serve.
func TestPartsThatCameTooLateAreServed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1, r.narrow(1)), r.start(2, r.narrow(2))
		raw := a.publishLarge(8 << 20)
		r.net.SetBandwidth(256 << 10)
		r.connect(a, b)
		b.parted(20)
		other := r.puppet(9, b)
		in := &receiver{d: b.Driver, carrier: b.cfg.Carriers[0]}
		in.Frame(other.id, carrier.News, wire.AppendMessage(nil, &wire.Push{Batch: raw})) // at once, not over the slow link
		time.Sleep(2 * time.Minute)
		b.wantAll(time.Second, map[string]int{"a": 1})
		s := b.Stats()
		if g := s.Gossip; g.WantTimeouts != 0 || g.WantsUnserved != 0 || g.Demerits != 0 || s.PartsDropped == 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
		if b.budget.total != 0 {
			t.Errorf("%d bytes of the budget were not given back", b.budget.total)
		}
		wantEmpty(t, b.assembly)
	})
}
