package driver

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

const testStall = 4 * time.Second

// sealNoise returns a batch whose body no two places are alike in.
func sealNoise(t testing.TB, seed uint64, size int) *wire.Batch {
	t.Helper()
	payload := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(payload)
	h := wire.Header{Network: "test", Topic: testTopic, Epoch: wire.Epoch(1 + seed), First: 1, Count: 1, Time: 1000}
	body := wire.AppendEvent(nil, h.Time, &wire.Event{Payload: payload})
	b, err := wire.Seal(h, body, wire.NewSigner(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stretch returns the batch's bytes from at up to end as a part.
func stretch(b *wire.Batch, at, end int) *wire.Part {
	return &wire.Part{Batch: b.ID, Size: uint32(b.Size()), Offset: uint32(at), Data: b.Raw[at:min(end, b.Size())]}
}

// stretches cuts the batch's bytes from at on into parts.
func stretches(b *wire.Batch, at, size int) (parts []*wire.Part) {
	for ; at < b.Size(); at += size {
		parts = append(parts, stretch(b, at, at+size))
	}
	return parts
}

// forge returns the part with one byte changed.
func forge(p *wire.Part) *wire.Part {
	f := *p
	f.Data = bytes.Clone(p.Data)
	f.Data[len(f.Data)-1] ^= 1
	return &f
}

// grant lets the peer go on with what is kept of the batch.
func grant(a *assembler, to wire.PeerID, b *wire.Batch) {
	a.grant(to, []wire.Resume{{ID: b.ID.Short()}})
}

// wantEmpty checks that the assembler keeps nothing.
func wantEmpty(t *testing.T, a *assembler) {
	t.Helper()
	if len(a.all) != 0 || a.bytes != 0 || len(a.shares)+len(a.apart) != 0 {
		t.Errorf("%d assemblies of %d bytes are kept, of %d peers", len(a.all), a.bytes, len(a.shares))
	}
}

func TestPartsMakeUpTheirBatch(t *testing.T) {
	for _, size := range []int{1, 100, 4096, 200_000} {
		for _, step := range []int{1, 7, 1024, 32 << 10} {
			if size/step > 5000 {
				continue
			}
			a, b := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, size)
			parts := stretches(b, 0, step)
			for i, p := range parts {
				got := a.add("peer", p)
				if !got.moved || got.mistake != "" || (got.raw != nil) != (i == len(parts)-1) {
					t.Fatalf("%d by %d: part %d of %d: %+v", size, step, i, len(parts), got)
				}
				if got.raw != nil && !bytes.Equal(got.raw, b.Raw) {
					t.Errorf("%d by %d: other bytes than were sent", size, step)
				}
			}
			wantEmpty(t, a)
		}
	}
}

func TestPartElsewhereIsDropped(t *testing.T) {
	a, b := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, 100_000)
	a.add("peer", stretch(b, 5000, 9000)) // its beginning is not there
	wantEmpty(t, a)
	a.add("peer", stretch(b, 0, 10_000))
	other := stretch(b, 10_000, 20_000)
	other.Size++
	for _, p := range []*wire.Part{stretch(b, 10_001, 20_000), stretch(b, 2000, 10_000), other} {
		if got := a.add("peer", p); got.moved || got.mistake != "" {
			t.Errorf("part at %d of %d: %+v", p.Offset, p.Size, got)
		}
	}
	if s := a.counts(); s.dropped != 4 || s.parts != 1 {
		t.Errorf("%+v", s)
	}
	for _, p := range stretches(b, 8000, 10_000) { // it overlaps with what is there
		if got := a.add("peer", p); got.raw != nil && !bytes.Equal(got.raw, b.Raw) {
			t.Error("other bytes than were sent")
		}
	}
	wantEmpty(t, a)
}

func TestRepetitionIsNoProgress(t *testing.T) {
	a, b := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, 100_000)
	a.add("one", stretch(b, 0, 30_000))
	a.cutOff("one")
	grant(a, "two", b)
	for i, want := range []bool{true, true, false, false} { // the other was not told to resume
		at := 10_000 * min(i, 1)
		if got := a.add("two", stretch(b, at, at+10_000)); got.moved != want {
			t.Errorf("repetition %d moves: %v", i, got.moved)
		}
	}
	if a.add("one", stretch(b, 30_000, 40_000)).moved {
		t.Error("who was cut off goes on while the other sends")
	}
	for _, p := range stretches(b, 20_000, 10_000) {
		if got := a.add("two", p); !got.moved {
			t.Errorf("part at %d does not move", p.Offset)
		} else if got.raw != nil && !got.mixed {
			t.Error("a batch of two peers is taken to be of one")
		}
	}
	wantEmpty(t, a)
}

func TestWhoLiesAlonePays(t *testing.T) {
	b, other := sealNoise(t, 1, 100_000), sealNoise(t, 2, 100_000)
	garbage := stretch(b, 0, 1000)
	garbage.Data = bytes.Repeat([]byte{0xff}, 1000)
	alien := stretch(other, 0, 1000)
	alien.Batch = b.ID
	bloated := stretch(b, 0, 1000)
	bloated.Size *= 2
	headless := &wire.Part{Batch: b.ID, Size: 20, Data: b.Raw[:20]}
	for name, p := range map[string]*wire.Part{
		"garbage": garbage, "another batch": alien, "another size": bloated, "no header": headless,
	} {
		a := newAssembler(testStall, assembliesMaxBytes)
		if got := a.add("liar", p); got.mistake == "" || got.moved {
			t.Errorf("%s: %+v", name, got)
		}
		if a.suspects[b.ID] {
			t.Errorf("%s: the batch is a suspect", name)
		}
		wantEmpty(t, a)
	}
}

func TestWhoWasNotAskedIsKeptApart(t *testing.T) {
	a, b := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, 100_000)
	a.add("headless", &wire.Part{Batch: b.ID, Size: 7, Data: []byte{b.Raw[0]}})
	a.add("peer", stretch(b, 0, 40_000))
	a.cutOff("headless")
	a.cutOff("peer") // it got further: the core hears of it
	if notes := a.take(); len(notes) != 1 || notes[0].offset != 40_000 {
		t.Fatalf("the core was told %d things", len(notes))
	}
	grant(a, "heir", b)
	a.add("liar", stretch(b, 0, 10_000))
	for _, from := range []wire.PeerID{"liar", "peer", "headless"} {
		if a.add(from, forge(stretch(b, 40_000, 50_000))).moved {
			t.Errorf("%s goes on with what the heir was asked for", from)
		}
	}
	if a.cutOff("liar"); len(a.take()) != 0 {
		t.Error("the core was told of less than it knows of")
	}
	for _, p := range stretches(b, 40_000, 20_000) {
		if got := a.add("heir", p); !got.moved || got.raw != nil && (!got.mixed || !bytes.Equal(got.raw, b.Raw)) {
			t.Errorf("part at %d: moved %v, mixed %v", p.Offset, got.moved, got.mixed)
		}
	}
	a.settled(b.ID)
	wantEmpty(t, a)
}

func TestHeirsOwnBeginningGivesWay(t *testing.T) {
	a, b := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, 100_000)
	a.add("one", stretch(b, 0, 40_000))
	a.add("two", stretch(b, 0, 10_000))
	a.cutOff("one")
	grant(a, "two", b)
	for _, p := range stretches(b, 40_000, 30_000) {
		if !a.add("two", p).moved {
			t.Errorf("part at %d does not move", p.Offset)
		}
	}
	wantEmpty(t, a)
}

func TestSuspectIsPutTogetherByPeer(t *testing.T) {
	a, b := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, 100_000)
	a.add("liar", stretch(b, 0, 10_000))
	a.add("liar", forge(stretch(b, 10_000, 20_000)))
	a.cutOff("liar")
	grant(a, "peer", b)
	for _, p := range stretches(b, 20_000, 20_000) {
		if got := a.add("peer", p); got.raw != nil {
			if bytes.Equal(got.raw, b.Raw) || !got.mixed {
				t.Errorf("mixed: %v", got.mixed)
			}
			a.spoiled(b.ID)
		}
	}
	wantEmpty(t, a)
	a.take()

	// Now each stands alone, at the same time.
	var raw []byte
	for i, p := range stretches(b, 0, 20_000) {
		a.add("liar", forge(p))
		if i == 3 {
			a.cutOff("liar")
			a.cutOff("peer")
		}
		got := a.add("peer", p)
		if got.mixed || got.mistake != "" {
			t.Errorf("part %d: %+v", i, got)
		}
		raw = got.raw
	}
	if !bytes.Equal(raw, b.Raw) {
		t.Error("other bytes than the honest peer sent")
	}
	if notes := a.take(); len(notes) != 0 {
		t.Errorf("the core was told that %d bytes of a suspect are kept", notes[0].offset)
	}
	a.settled(b.ID)
	wantEmpty(t, a)
}

func TestCoreHearsWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newAssembler(testStall, assembliesMaxBytes), sealNoise(t, 1, 100_000), sealNoise(t, 2, 100_000)
		expect := func(want ...partial) {
			t.Helper()
			got := a.take()
			if len(got) != len(want) {
				t.Fatalf("told %d things, want %d", len(got), len(want))
			}
			for i, g := range got {
				if g.id != want[i].id || g.offset != want[i].offset || g.head.End() != (wire.Mark{Epoch: g.head.Epoch, Seq: 1}) {
					t.Errorf("told %v %d, want %v %d", g.id, g.offset, want[i].id, want[i].offset)
				}
			}
		}
		a.add("one", stretch(b, 0, 10_000))
		a.add("two", stretch(c, 0, 20_000))
		a.sweep(time.Now())
		expect()
		a.cutOff("one")
		a.cutOff("one")
		expect(partial{id: b.ID, offset: 10_000})

		// Another goes on, and falls silent.
		time.Sleep(time.Second)
		grant(a, "two", b)
		a.add("two", stretch(b, 10_000, 15_000))
		if due := time.Until(a.next()); due != testStall-time.Second {
			t.Errorf("due in %v", due)
		}
		time.Sleep(testStall - time.Second)
		a.sweep(time.Now())
		expect(partial{id: c.ID, offset: 20_000})
		time.Sleep(time.Second)
		a.sweep(time.Now())
		expect(partial{id: b.ID, offset: 15_000})

		// It came in another way; the other expires.
		a.settled(b.ID)
		expect(partial{id: b.ID})
		time.Sleep(time.Until(a.next()) - time.Millisecond)
		a.sweep(time.Now())
		expect()
		time.Sleep(time.Millisecond)
		a.sweep(time.Now())
		expect(partial{id: c.ID})
		if n := a.counts().expired; n != 1 || !a.next().IsZero() {
			t.Errorf("%d expired, due %v", n, a.next())
		}
		wantEmpty(t, a)
	})
}

func TestPartsNobodyAskedForAreBounded(t *testing.T) {
	a := newAssembler(testStall, assembliesMaxBytes)
	good := sealNoise(t, 0, 1000)
	a.add("good", stretch(good, 0, 900))
	a.cutOff("good")
	for i := range uint64(20 * assembliesMax) {
		p := &wire.Part{Size: 1000, Data: []byte{good.Raw[0]}}
		p.Batch[0], p.Batch[1], p.Batch[2] = byte(i), byte(i>>8), 1
		peer := wire.PeerID(byte('a' + i%20))
		if i%3 == 0 {
			peer = "a" // it sends more than the others
		}
		a.add(peer, p)
		if len(a.all) > assembliesMax || a.shares[peer].count > assembliesPeerMax {
			t.Fatalf("%d assemblies, %d of one peer", len(a.all), a.shares[peer].count)
		}
	}
	if got := a.add("good", stretch(good, 900, 2000)); got.raw == nil {
		t.Error("what the flooders sent drove out another's")
	}
	if n := a.counts().evicted; n != 20*assembliesMax-uint64(len(a.all)) {
		t.Errorf("%d evicted", n)
	}
}

func TestBytesOfPartsAreBounded(t *testing.T) {
	const room = 4 << 20
	a := newAssembler(testStall, room)
	good := sealNoise(t, 0, 100_000)
	a.add("good", stretch(good, 0, 90_000))
	large := sealNoise(t, 1, room/5)
	most := 0
	for i := range byte(9) { // three peers send of three batches each all but the end
		peer := wire.PeerID('a' + i/3)
		h := large.Header
		h.Epoch += wire.Epoch(i)
		b, err := wire.Seal(h, large.Body, wire.NewSigner(testKey(1)))
		if err != nil {
			t.Fatal(err)
		}
		parts := stretches(b, 0, 100<<10)
		for _, p := range parts[:len(parts)-1] {
			a.add(peer, p)
			most = max(most, a.bytes)
			if n := a.shares[peer].bytes; n > room/2 {
				t.Fatalf("%d bytes of one peer", n)
			}
		}
	}
	if most > room || most < room*3/4 {
		t.Errorf("%d bytes are kept", most)
	}
	if got := a.add("good", stretch(good, 90_000, 200_000)); got.raw == nil {
		t.Error("what the flooders sent drove out another's")
	}
}

func TestPartsAllocateAsTheyCome(t *testing.T) {
	b := sealNoise(t, 1, 1<<20)
	a := newAssembler(testStall, assembliesMaxBytes)
	for _, p := range stretches(b, 0, 1000)[:50] {
		a.add("peer", p)
		if x := a.all[assemblyKey{id: b.ID}]; cap(x.buf) > 2*len(x.buf) {
			t.Fatalf("%d bytes are taken by %d", cap(x.buf), len(x.buf))
		}
	}
}

// Room for a batch of the largest size is made under the lock.
func TestLoopDoesNotWaitForRoom(t *testing.T) {
	a := newAssembler(testStall, assembliesMaxBytes)
	a.add("peer", stretch(sealNoise(t, 1, 100_000), 0, 1000))
	a.mu.Lock()
	defer a.mu.Unlock()
	done := make(chan int)
	go func() {
		a.sweep(time.Now())
		done <- len(a.take())
	}()
	select {
	case n := <-done:
		if n != 0 {
			t.Errorf("told %d things", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
	if due := time.Until(a.next()); due <= 0 || due > testStall {
		t.Errorf("due in %v", due)
	}
}
