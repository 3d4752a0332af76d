package driver

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// sealBy returns a batch of the author's, not its run's first.
func sealBy(t testing.TB, author int, first uint64, size int) *wire.Batch {
	t.Helper()
	seed := binary.BigEndian.AppendUint32(make([]byte, ed25519.SeedSize-4), uint32(author)+1)
	now := wire.TimeOf(time.Now())
	h := wire.Header{
		Network: "test", Topic: testTopic, Epoch: 1 << 16, First: first, Count: 1, Time: now,
		Prev: wire.Prev{Mark: wire.Mark{Epoch: 1 << 16, Seq: first - 1}, Time: now},
	}
	body := wire.AppendEvent(nil, h.Time, &wire.Event{Payload: make([]byte, size)})
	b, err := wire.Seal(h, body, wire.NewSigner(ed25519.NewKeyFromSeed(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// publishSlowly publishes n events one by one: a batch each.
func (x *node) publishSlowly(name string, from, n int) {
	x.rig.t.Helper()
	for i := range n {
		x.publish(name, from+i, 1)
		time.Sleep(100 * time.Millisecond)
	}
}

// raws returns the test topic's batches as the node stores them, in the order of their IDs.
func (x *node) raws() (all [][]byte) {
	x.rig.t.Helper()
	entries, err := x.log.Read(testTopic, 0, 1<<20)
	if err != nil {
		x.rig.t.Fatal(err)
	}
	for i := range entries {
		all = append(all, entries[i].Batch.Raw)
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}

func TestPushesAreShortAndBatchesStayAsTheyWereSigned(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		chain := func(c *Config) { c.Gossip.NoPeerExchange = true }
		a, b, c := r.start(1, chain), r.start(2, chain), r.start(3, chain)
		r.connect(a, b)
		r.connect(b, c)
		time.Sleep(time.Second)
		a.publishSlowly("a", 0, 50)
		c.wantAll(time.Second, map[string]int{"a": 50})
		b.wantAll(time.Second, map[string]int{"a": 50})
		for _, x := range []*node{a, b} {
			// The first is asked for where the link to the neighbour is yet to be told of.
			if s := x.Stats(); s.PushesShort < 48 || s.PushesOut-s.PushesShort-s.Gossip.WantsServed > 1 {
				t.Errorf("%d of %d pushes were short", s.PushesShort, s.PushesOut)
			}
		}
		for _, x := range []*node{b, c} {
			if s := x.Stats(); s.PushesUnknown+s.Malformed+s.Unverified != 0 || s.Gossip.Repaired > 1 {
				t.Errorf("%v", nonzero(s.Counters()))
			}
			if got, want := x.raws(), a.raws(); len(want) != 50 || !slices.EqualFunc(got, want, bytes.Equal) {
				t.Error("stored batches are not those that were signed")
			}
		}
	})
}

func TestNumbersAreForgottenWithTheLink(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		a, b := r.start(1), r.start(2)
		r.connect(a, b)
		for i := range 5 {
			a.publishSlowly("a", 10*i, 10)
			r.net.Disconnect(a.id, b.id)
			synctest.Wait()
			if len(b.Peers()) != 0 {
				t.Fatal("the link is up")
			}
			r.net.Connect(a.id, b.id)
			time.Sleep(time.Second)
		}
		b.wantAll(time.Second, map[string]int{"a": 50})
		if s := a.Stats(); s.PushesOut-s.PushesShort-s.Gossip.WantsServed != 5 {
			t.Errorf("%d pushes in full on 5 links: %v", s.PushesOut-s.PushesShort, nonzero(s.Counters()))
		}
		if s := b.Stats(); s.PushesUnknown != 0 || s.Malformed != 0 || s.Gossip.Demerits != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
	})
}

// incoming hands frames to a driver as a carrier does.
type incoming struct {
	*receiver
	x    *node
	from wire.PeerID
}

func (x *node) incoming(n byte) *incoming {
	in := &incoming{newReceiver(x.Driver, x.cfg.Carriers[0]), x, peerOf(testKey(n))}
	in.LinkUp(carrier.Link{Peer: in.from})
	return in
}

func (in *incoming) say(messages ...wire.Message) {
	var frame []byte
	for _, m := range messages {
		frame = wire.AppendMessage(frame, m)
	}
	in.Frame(in.from, carrier.News, frame)
	synctest.Wait()
}

func shortOf(t testing.TB, b *wire.Batch, number uint32) *wire.ShortPush {
	t.Helper()
	p, ok := b.Shorten(number)
	if !ok {
		t.Fatal("the batch cannot be shortened")
	}
	return &p
}

// What is left of an earlier link may arrive on the next one, see ADR 0012. It is no
// mistake, and a number never stands for what it stood for there.
func TestFramesOfAnEarlierLinkAreNoMistake(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		x := r.start(1)
		in := x.incoming(2)
		batch := func(author int, first uint64) *wire.Batch { return sealBy(t, author, first, 20) }
		for n := 1; n <= 3; n++ {
			in.say(&wire.Push{Batch: batch(n, 2), Number: uint32(n)}, shortOf(t, batch(n, 3), uint32(n)))
		}
		want := func(verified, unknown uint64) {
			t.Helper()
			s := x.Stats()
			if s.Verified != verified || s.PushesUnknown != unknown || s.Malformed+s.Unverified+s.Gossip.Demerits != 0 {
				t.Errorf("want %d verified, %d unknown: %v", verified, unknown, nonzero(s.Counters()))
			}
		}
		want(6, 0)

		in.LinkDown(in.from, carrier.ErrClosed)
		in.LinkUp(carrier.Link{Peer: in.from})
		in.say(shortOf(t, batch(2, 4), 2)) // the peer does not know yet
		want(6, 1)
		in.say(&wire.Push{Batch: batch(4, 2), Number: 4}, shortOf(t, batch(4, 3), 4))
		want(7, 2)
		in.say(&wire.Push{Batch: batch(5, 2), Number: 1}, shortOf(t, batch(5, 3), 1)) // now it does
		want(9, 2)
		in.say(&wire.Push{Batch: batch(6, 2), Number: 1}, shortOf(t, batch(6, 3), 1))
		want(11, 2)
		in.LinkDown(in.from, carrier.ErrClosed)
		if len(in.told) != 0 {
			t.Error("numbers of a link that is down are kept")
		}
	})
}

func TestFalseShortPushesCostTheLink(t *testing.T) {
	ours, others := sealBy(t, 1, 2, 20), sealBy(t, 2, 3, 20)
	garbage := wire.AppendMessage(nil, shortOf(t, ours, 1))
	garbage = garbage[:len(garbage)/2]
	tooHigh := shortOf(t, ours, wire.PushNumbersMax+1)
	impossible := shortOf(t, ours, 1)
	impossible.Header.Count = 1000
	for name, c := range map[string]struct {
		frame     []byte
		malformed bool // else not authentic
	}{
		"of another run":        {wire.AppendMessage(nil, shortOf(t, others, 1)), false},
		"garbage":               {garbage, true},
		"a number above all":    {wire.AppendMessage(nil, tooHigh), true},
		"more events than fit":  {wire.AppendMessage(nil, impossible), true},
		"fields that belong in": {withRun(t, ours), true},
	} {
		bubble(t, func(t *testing.T, r *rig) {
			x := r.start(1)
			p := r.puppet(99, x)
			send := func(frame []byte) {
				// The link is gone at some time: those frames go nowhere.
				_ = p.Send(t.Context(), x.id, carrier.News, frame)
				synctest.Wait()
			}
			send(wire.AppendMessage(nil, &wire.Push{Batch: ours, Number: 1}))
			for range 2 * x.cfg.Gossip.DemeritsMax {
				send(c.frame)
			}
			s := x.Stats()
			if s.Disconnects != 1 || (s.Malformed > 0) != c.malformed || (s.Unverified > 0) == c.malformed {
				t.Errorf("%s: %v", name, nonzero(s.Counters()))
			}
			if x.budget.total != 0 {
				t.Errorf("%s: %d bytes of the budget were not given back", name, x.budget.total)
			}
		})
	}
}

// withRun returns a frame of a short push whose header is that of the whole batch.
func withRun(t *testing.T, b *wire.Batch) []byte {
	t.Helper()
	// In a batch the fields 1 to 3 are header, signature and body; here they are 2 to 4.
	content := slices.Clone(b.Raw)
	content[0] += 1 << 3
	at := len(b.Raw) - len(b.Body) - 2
	content[at] += 1 << 3
	content[at-len(b.Signature)-2] += 1 << 3
	content = append([]byte{1 << 3, 1}, content...)
	frame := binary.AppendUvarint([]byte{0xea, 0x01}, uint64(len(content)))
	return append(frame, content...)
}

func TestUnknownNumbersAndOtherLanesBringNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lan := carrier.NewNetwork(2)
		x := r.start(1, onSegment(lan, 1, true))
		in := x.incoming(2)
		first, second := sealBy(t, 1, 2, 20), sealBy(t, 1, 3, 20)
		for range 100 {
			in.say(shortOf(t, second, 1))
		}
		in.say(&wire.Push{Batch: first, Number: 1})
		in.Frame(in.from, carrier.Repair, wire.AppendMessage(nil, shortOf(t, second, 1)))
		member := newReceiver(x.Driver, x.cfg.Carriers[1])
		member.LinkUp(carrier.Link{Peer: "lan"})
		for _, m := range []wire.Message{&wire.Push{Batch: first, Number: 1}, shortOf(t, second, 1)} {
			member.Frame(in.from, carrier.News, wire.AppendMessage(nil, m))
		}
		synctest.Wait()
		if s := x.Stats(); s.PushesUnknown != 102 || s.Verified+s.VerifySkipped != 2 || s.Gossip.Demerits != 0 {
			t.Errorf("%v", nonzero(s.Counters()))
		}
		in.say(shortOf(t, second, 1))
		if s := x.Stats(); s.Verified+s.VerifySkipped != 3 {
			t.Errorf("what a number stands for brought nothing: %v", nonzero(s.Counters()))
		}
	})
}

// pushesOf returns the pushes of the frames that were sent, in words.
func pushesOf(t *testing.T, c *recordingCarrier) (all []string) {
	t.Helper()
	for len(c.frames) > 0 {
		for m, err := range wire.ParseFrame(<-c.frames) {
			switch m := m.(type) {
			case *wire.Push:
				all = append(all, fmt.Sprint("full ", m.Number))
			case *wire.ShortPush:
				all = append(all, fmt.Sprint("short ", m.Number))
			default:
				t.Fatalf("%T, %v", m, err)
			}
		}
	}
	return all
}

func TestWhatIsPushedInShort(t *testing.T) {
	c := &recordingCarrier{mtu: wire.FrameMaxBytes, frames: make(chan []byte, 100)}
	_, o := testOutbox(c, carrier.News)
	f := &outFrame{box: o}
	push := func(author int, first uint64, size int) {
		b := sealBy(t, author, first, size)
		f.add(&parcel{id: b.ID, batch: b, size: b.Size()})
	}
	want := func(want ...string) {
		t.Helper()
		f.flush()
		if got := pushesOf(t, c); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	push(1, 2, 100)
	push(1, 3, 100)
	push(2, 2, 100)
	push(1, 4, 100)
	want("full 1", "short 1", "full 2", "short 1")
	push(2, 3, shortPushMaxBytes) // too large, and its run has a number
	push(3, 2, shortPushMaxBytes)
	push(2, 4, 100)
	want("full 0", "full 0", "short 2")
	push(4, 2, 100)
	c.err = carrier.ErrTooLarge
	want()
	c.err = nil
	push(4, 3, 100) // its number was not told
	push(1, 5, 100)
	push(4, 4, 100)
	want("full 1", "full 2", "short 1")

	d, repair := testOutbox(c, carrier.Repair)
	on := func(traits carrier.Traits) *outbox {
		return newOutbox(d, &link{carrier: traitCarrier{c, traits}, info: carrier.Link{Peer: "peer"}}, carrier.News)
	}
	for name, box := range map[string]*outbox{
		"for repair":        repair,
		"to a segment":      on(carrier.Traits{MTU: c.mtu, Reliable: true, Many: true}),
		"where frames fail": on(carrier.Traits{MTU: c.mtu}),
	} {
		f.box = box
		push(1, 2, 100)
		push(1, 3, 100)
		f.flush()
		if got := pushesOf(t, c); !slices.Equal(got, []string{"full 0", "full 0"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// traitCarrier is a carrier with other traits.
type traitCarrier struct {
	carrier.Carrier
	traits carrier.Traits
}

func (c traitCarrier) Traits() carrier.Traits { return c.traits }

// The sender's numbers and the receiver's agree whatever is pushed, and whatever is lost
// with a link or refused by the carrier.
func TestNumbersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs := rapid.SampledFrom([]int{3, wire.PushNumbersMax, wire.PushNumbersMax + 1, 2000}).Draw(t, "runs")
		given, told := numbersGiven{}, &numbersTold{}
		var old []wire.Push // given before they were forgotten
		for i := range rapid.IntRange(1, 3000).Draw(t, "pushes") {
			r := wire.Run{Topic: testTopic, Epoch: wire.Epoch(rapid.IntRange(1, runs).Draw(t, "run"))}
			if n := given.numbers[r]; n != 0 {
				if got, ok := told.run(n); !ok || got != r {
					t.Fatalf("push %d: number %d stands for %v, not %v", i, n, got, r)
				}
				continue
			}
			p := wire.Push{Batch: &wire.Batch{Header: wire.Header{Topic: r.Topic, Epoch: r.Epoch}}, Number: given.give(r)}
			if p.Number == 0 || p.Number > wire.PushNumbersMax {
				t.Fatalf("number %d", p.Number)
			}
			switch rapid.IntRange(0, 400).Draw(t, "fate") {
			case 0: // the carrier refuses it
				given.forget()
			case 1: // a new link, and frames of the old one
				given.forget()
				told = &numbersTold{}
				for i := range old {
					told.note(&old[i])
				}
				old = nil
			default:
				told.note(&p)
				old = append(old, p)
			}
		}
		if len(told.runs) > wire.PushNumbersMax || len(given.runs) > wire.PushNumbersMax ||
			len(given.numbers) != len(given.runs) {
			t.Fatalf("%d numbers told, %d given, to %d runs", len(told.runs), len(given.runs), len(given.numbers))
		}
	})
}

func TestMoreAuthorsThanNumbers(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		x := r.start(1)
		in := x.incoming(2)
		c := &recordingCarrier{mtu: wire.FrameMaxBytes, frames: make(chan []byte, 100)}
		_, o := testOutbox(c, carrier.News)
		f := &outFrame{box: o}
		want := uint64(0)
		last := map[int]uint64{}
		push := func(author int) {
			last[author]++
			b := sealBy(t, author, last[author]+1, 20)
			f.add(&parcel{id: b.ID, batch: b, size: b.Size()})
			want++
		}
		for range 2 {
			for author := range wire.PushNumbersMax + 50 {
				push(author)
				push(0) // publishes all the time
			}
			f.flush()
			in.Frame(in.from, carrier.News, <-c.frames)
		}
		synctest.Wait()
		s := x.Stats()
		if s.Verified+s.VerifySkipped != want || s.PushesUnknown+s.Malformed+s.Unverified != 0 {
			t.Errorf("want %d: %v", want, nonzero(s.Counters()))
		}
		if n := len(in.told[in.from].runs); n != wire.PushNumbersMax {
			t.Errorf("%d numbers are kept", n)
		}
		if short := o.d.counters.pushesShort.Load(); short < want/2-4 {
			t.Errorf("%d of %d pushes were short", short, want)
		}
	})
}

func TestPushingAllocatesNothing(t *testing.T) {
	f := &outFrame{box: newSinkOutbox(&sinkCarrier{})}
	b := sealBy(t, 1, 2, 1024)
	p := parcel{id: b.ID, batch: b, size: b.Size()}
	n := testing.AllocsPerRun(100, func() {
		f.add(&p)
		f.flush()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
