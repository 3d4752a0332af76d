package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// recording is what a node sent, as somebody on the segment captured it.
type recording struct {
	datagrams [][]byte
	from      netip.AddrPort
}

func (w *segmentWire) record(n *node) *recording {
	r := &recording{from: n.from}
	w.tap = func(from *node, d []byte) {
		if from == n {
			r.datagrams = append(r.datagrams, bytes.Clone(d))
		}
	}
	return r
}

// play hands captured datagrams to a node.
func (r *recording) play(to *node) {
	for _, d := range r.datagrams {
		to.receive(d, r.from)
	}
}

// quiet checks that a node neither handed on nor sent anything nor came to know
// anybody during f.
func quiet(t *testing.T, w *segmentWire, n *node, f func()) {
	t.Helper()
	frames, changes, sent := len(n.frames), len(n.changes), n.e.Stats().SentBytes
	streams, held := n.e.Stats().Streams, n.e.Stats().ReassemblyBytes
	f()
	s := n.e.Stats()
	if len(n.frames) != frames || len(n.changes) != changes || s.Streams != streams || s.ReassemblyBytes != held {
		t.Errorf("%d frames, %d changes, %d streams, %d bytes held", len(n.frames)-frames, len(n.changes)-changes,
			s.Streams-streams, s.ReassemblyBytes-held)
	}
	if s.SentBytes != sent {
		t.Errorf("answered by %d bytes", s.SentBytes-sent)
	}
}

// talk has the first node send frames, and records it.
func talk(t *testing.T, w *segmentWire, frames int) *recording {
	t.Helper()
	r := w.record(w.nodes[0])
	w.run(2 * time.Second)
	for i := range frames {
		if err := w.nodes[0].send("", carrier.News, frame(i, 2000)); err != nil {
			t.Fatal(err)
		}
		w.run(5 * time.Millisecond)
	}
	w.run(500 * time.Millisecond)
	w.tap = nil
	return r
}

func TestReplaysAreRefused(t *testing.T) {
	w := newWire(t, 31, 2)
	r := talk(t, w, 100)
	n := w.nodes[1]
	t.Run("at once", func(t *testing.T) { quiet(t, w, n, func() { r.play(n) }) })
	t.Run("from elsewhere", func(t *testing.T) {
		quiet(t, w, n, func() {
			r := *r
			r.from = netip.MustParseAddrPort("10.0.0.99:1")
			r.play(n)
		})
	})
	t.Run("after the window", func(t *testing.T) {
		for range 4200 {
			if err := w.nodes[0].send("", carrier.News, frame(0, 8)); err != nil {
				t.Fatal(err)
			}
			w.run(2100 * time.Microsecond)
		}
		quiet(t, w, n, func() { r.play(n) })
	})
	t.Run("when the sender has fallen silent", func(t *testing.T) {
		r := w.record(w.nodes[0])
		w.run(5 * time.Second)
		w.tap, w.nodes[0].dead = nil, true
		w.run(20 * time.Second)
		if len(n.e.Members(nil)) != 0 {
			t.Fatal("it is still a member")
		}
		quiet(t, w, n, func() { r.play(n) }) // its last beacons are fresh enough
	})
	t.Run("after the sender was forgotten", func(t *testing.T) {
		w.run(2 * time.Minute)
		if s := n.e.Stats(); s.Streams != 0 {
			t.Fatalf("%d streams are remembered", s.Streams)
		}
		quiet(t, w, n, func() { r.play(n) })
	})
	t.Run("after a restart", func(t *testing.T) {
		n := w.add(func(*Config) {})
		w.run(time.Second)
		quiet(t, w, n, func() { r.play(n) })
		if got := n.e.Stats().Refused[datagram.RefusedTime]; got == 0 {
			t.Error("no beacon was refused for its time")
		}
	})
	t.Run("in the next epoch", func(t *testing.T) {
		w.skew += datagram.EpochLength
		w.run(time.Second)
		quiet(t, w, n, func() { r.play(n) })
	})
	t.Run("two epochs later", func(t *testing.T) {
		w.skew += datagram.EpochLength
		w.run(time.Second)
		before := n.e.Stats().Refused[datagram.RefusedKey]
		quiet(t, w, n, func() { r.play(n) })
		if got := n.e.Stats().Refused[datagram.RefusedKey]; got-before != uint64(len(r.datagrams)) {
			t.Errorf("%d of %d were refused for their keys", got-before, len(r.datagrams))
		}
	})
}

// TestMidnightGoesUnnoticed sends across the change of epochs, between nodes whose
// clocks differ.
func TestMidnightGoesUnnoticed(t *testing.T) {
	w := newWire(t, 33, 3)
	w.nodes[1].skew, w.nodes[2].skew = 9*time.Second, -9*time.Second
	w.skew = 12*time.Hour - 30*time.Second
	w.run(5 * time.Second)
	w.loss = 0.05
	var sizes []int
	for i := range 600 {
		if err := w.nodes[0].send("", carrier.News, frame(i, 3000)); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, 3000)
		w.run(100 * time.Millisecond)
	}
	for _, n := range w.nodes[1:] {
		if err := n.checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
			t.Errorf("%v %+v", err, n.e.Stats())
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWire(t, 35, 2)
	r := talk(t, w, 50)
	n := w.nodes[1]
	last := r.datagrams[len(r.datagrams)-1]
	t.Run("another group", func(t *testing.T) {
		other := newWire(t, 36, 0)
		for range 2 {
			other.add(func(c *Config) { c.Roots = []datagram.Root{datagram.RootOf("test", []byte("another key"))} })
		}
		quiet(t, w, n, func() { talk(t, other, 50).play(n) })
	})
	t.Run("forged", func(t *testing.T) {
		quiet(t, w, n, func() {
			for i := range len(last) * 8 {
				d := bytes.Clone(last)
				d[i/8] ^= 1 << (i % 8)
				n.receive(d, r.from)
			}
		})
	})
	t.Run("cut", func(t *testing.T) {
		quiet(t, w, n, func() {
			for i := range last {
				n.receive(last[:i], r.from)
			}
		})
	})
	t.Run("garbage", func(t *testing.T) {
		quiet(t, w, n, func() {
			for range 20_000 {
				d := randomBytes(w.rng, w.rng.IntN(2000))
				copy(d, last[:min(len(d), w.rng.IntN(datagram.HeaderBytes+1))])
				n.receive(d, r.from)
			}
		})
	})
	t.Run("a clock that is off", func(t *testing.T) {
		off := w.add(func(*Config) {})
		off.skew = 40 * time.Second
		w.run(5 * time.Second)
		if n.hears(off) || off.hears(n) {
			t.Error("clocks 40 s apart were accepted")
		}
	})
	t.Run("not on the list", func(t *testing.T) {
		picky := w.add(func(c *Config) { c.Admit = func(p wire.PeerID) bool { return p == testPeer(0) } })
		w.run(3 * time.Second)
		if !picky.hears(w.nodes[0]) || picky.hears(n) {
			t.Error("who may be a member was not heeded")
		}
	})
}

// insider is a member that does not keep to the rules: it can seal whatever it
// wants, also in others' names.
func insider(victim *node, seq uint64, kind datagram.Type, inner []byte) []byte {
	cfg := victim.e.cfg
	s := datagram.NewSealer(cfg.Stream, testRoot, datagram.EpochAt(victim.w.wall(victim)))
	for s.Seq() < seq-1 {
		s.Seal(nil, kind, nil)
	}
	return s.Seal(nil, kind, inner)
}

// TestForgedShardsPoisonOneBlock has a member forge a shard of another's block,
// from its very address. The block is given up and counted, and the next ones arrive.
func TestForgedShardsPoisonOneBlock(t *testing.T) {
	w := newWire(t, 37, 3)
	w.run(2 * time.Second)
	sender, n := w.nodes[0], w.nodes[1]
	if err := sender.send("", carrier.News, frame(0, 20_000)); err != nil {
		t.Fatal(err)
	}
	w.run(100 * time.Millisecond)
	size := (20_000 + checksumBytes + chunkBytes + 17) / 18
	h := datagram.Shard{Block: 2, Index: 3, Data: 18, UpTo: 18, Back: 1}
	forged := append(h.AppendHeader(nil), randomBytes(w.rng, size)...)
	n.receive(insider(sender, sender.e.sealer.Seq()+2000, datagram.TypeShard, forged),
		netip.MustParseAddrPort("10.0.0.66:7447"))
	if got := n.e.Stats().Refused[datagram.RefusedSource]; got != 1 {
		t.Errorf("%d refused from another address, want 1", got)
	}
	n.receive(insider(sender, sender.e.sealer.Seq()+200, datagram.TypeShard, forged), sender.from)
	for i := 1; i < 10; i++ {
		if err := sender.send("", carrier.News, frame(i, 20_000)); err != nil {
			t.Fatal(err)
		}
		w.run(50 * time.Millisecond)
	}
	w.run(3 * time.Second)
	if got := n.e.Stats().BlocksPoisoned; got != 1 {
		t.Errorf("%d blocks poisoned, want 1", got)
	}
	if len(n.frames) != 9 {
		t.Errorf("%d frames, want all but one", len(n.frames))
	}
	for i, a := range n.frames {
		number := i
		if i > 0 {
			number++
		}
		if !bytes.Equal(a.Bytes, frame(number, 20_000)) {
			t.Errorf("frame %d is not what was sent", i)
		}
	}
	sizes := slices.Repeat([]int{20_000}, 10)
	if err := w.nodes[2].checkFrames(testPeer(0), carrier.News, false, sizes); err != nil {
		t.Error(err)
	}
}

// TestMembersCannotSpeakForOthers has a member seal a beacon of its own making on
// another's stream, and seal another's beacon anew.
func TestMembersCannotSpeakForOthers(t *testing.T) {
	w := newWire(t, 39, 2)
	victim, n := w.nodes[0], w.nodes[1]
	var beacon []byte
	w.tap = func(from *node, d []byte) {
		if from == victim && beacon == nil && d[3] == byte(datagram.TypeBeacon) {
			beacon = bytes.Clone(d)
		}
	}
	w.run(2 * time.Second)
	o := datagram.NewOpener(datagram.StreamID{1}, []datagram.Root{testRoot}, datagram.EpochAt(testStart))
	m, err := o.Open(nil, beacon, victim.from)
	if err != nil {
		t.Fatal(err)
	}
	quiet(t, w, n, func() {
		n.receive(insider(victim, victim.e.sealer.Seq()+10, datagram.TypeBeacon, m.Inner), victim.from)
	})
	text := bytes.Clone(m.Inner)
	text[6] ^= 1 // another time
	quiet(t, w, n, func() {
		n.receive(insider(victim, victim.e.sealer.Seq()+11, datagram.TypeBeacon, text), victim.from)
		n.receive(insider(victim, victim.e.sealer.Seq()+12, datagram.TypeBye, m.Inner), victim.from)
	})
	if s := n.e.Stats(); s.Refused[datagram.RefusedSignature] != 3 {
		t.Errorf("refused %v", s.Refused)
	}
	if !n.hears(victim) {
		t.Error("the victim is no longer a member")
	}
}

// TestMemoryIsBounded has members do what takes memory, as much as they can.
func TestMemoryIsBounded(t *testing.T) {
	w := newWire(t, 41, 12)
	w.run(5 * time.Second)
	n, shards := w.nodes[0], 4000
	if raceEnabled {
		shards = 200
	}
	for _, bad := range w.nodes[1:] {
		bad.dead = true
		s := datagram.NewSealer(bad.e.cfg.Stream, testRoot, datagram.EpochAt(testStart))
		for s.Seq() < bad.e.sealer.Seq() {
			s.Seal(nil, datagram.TypeShard, nil)
		}
		for i := range shards { // one shard of each of many large blocks
			h := datagram.Shard{Block: uint64(2 + i), Data: 32, UpTo: 40, Back: uint16(1 + i), Index: uint8(33 + i%7)}
			inner := append(h.AppendHeader(nil), make([]byte, datagram.ShardMaxBytes)...)
			n.receive(s.Seal(nil, datagram.TypeShard, inner), bad.from)
			if st := n.e.Stats(); st.ReassemblyBytes > ReassemblyMaxBytes || st.ReassemblyBytes < 0 {
				t.Fatalf("%d bytes of reassembly", st.ReassemblyBytes)
			}
		}
		for _, st := range n.e.streams {
			if st.held > StreamMaxBytes {
				t.Fatalf("%d bytes of one stream", st.held)
			}
		}
	}
	if s := n.e.Stats(); s.ReassemblyBytes < ReassemblyMaxBytes*3/4 || s.BlocksGivenUp == 0 {
		t.Errorf("%d bytes held, %d blocks given up: this tests nothing", s.ReassemblyBytes, s.BlocksGivenUp)
	}
	if len(n.frames) != 0 {
		t.Errorf("%d frames out of nothing", len(n.frames))
	}
	w.run(30 * time.Second)
	if s := n.e.Stats(); s.ReassemblyBytes != 0 {
		t.Errorf("%d bytes are held when all are gone", s.ReassemblyBytes)
	}
}

// invent returns the first beacon of a peer that a member made up, or of a run of one.
func invent(t *testing.T, w *segmentWire, number int) []byte {
	t.Helper()
	cfg := testConfig(number, w.rng) // with a stream of its own each time
	b := datagram.Beacon{Wall: w.wall(w.nodes[0]), Interval: time.Minute, Key: [32]byte([]byte(cfg.Self[6:]))}
	for lane := range b.Flows {
		b.Flows[lane].Next = 1
	}
	d, err := datagram.NewSealer(cfg.Stream, testRoot, datagram.EpochAt(testStart)).
		SealBeacon(nil, datagram.TypeBeacon, &b, cfg.Sign)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestInventedPeersAreNotAllGreeted has a member invent a hundred peers a second.
func TestInventedPeersAreNotAllGreeted(t *testing.T) {
	w := newWire(t, 45, 20)
	w.run(10 * time.Second)
	beacons := func() (sent uint64) {
		for _, n := range w.nodes {
			sent += n.e.Stats().Beacons
		}
		return sent
	}
	const seconds = 4
	before := beacons()
	for i := range 100 * seconds {
		d := invent(t, w, 100+i)
		for _, n := range w.nodes {
			n.receive(d, netip.AddrPortFrom(n.from.Addr(), 1))
		}
		w.run(10 * time.Millisecond)
	}
	if sent, most := beacons()-before, uint64(beaconsRate*seconds*3/2); sent > most {
		t.Errorf("%d beacons in %d s, want %d at most", sent, seconds, most)
	}
}

// TestStreamsAreBounded has a member invent peers.
func TestStreamsAreBounded(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("skipped: thousands of signatures; runs without the race detector")
	}
	w := newWire(t, 43, 1)
	n := w.nodes[0]
	w.run(time.Second)
	for i := range StreamsMax + 300 {
		d := invent(t, w, 100+i)
		n.receive(d, netip.AddrPortFrom(n.from.Addr(), uint16(i+1)))
		w.run(20 * time.Millisecond)
	}
	if s := n.e.Stats(); s.Streams != StreamsMax || s.Members != StreamsMax || s.Refused[datagram.RefusedLimit] != 300 {
		t.Errorf("%d streams, %d members, %d refused", s.Streams, s.Members, s.Refused[datagram.RefusedLimit])
	}
}

// TestAMemberIsNotManyStreams has a member start again and again, by which it held all the
// streams that are remembered, where a list says who may be a member.
func TestAMemberIsNotManyStreams(t *testing.T) {
	w := newWire(t, 57, 1)
	n := w.nodes[0]
	for range 200 {
		n.receive(invent(t, w, 100), netip.AddrPortFrom(n.from.Addr(), 1))
		w.run(20 * time.Millisecond)
	}
	if s := n.e.Stats(); s.Streams != runsMax || s.Refused[datagram.RefusedLimit] != 200-runsMax {
		t.Errorf("%d streams, %d refused", s.Streams, s.Refused[datagram.RefusedLimit])
	}
	w.run(forgetAfter + 5*time.Minute*6)
	n.receive(invent(t, w, 100), netip.AddrPortFrom(n.from.Addr(), 1))
	if s := n.e.Stats(); s.Members != 1 {
		t.Errorf("it may not come back: %+v", s)
	}
}

// TestShortBlocksAreRefused has a member send blocks that are too short to be any.
func TestShortBlocksAreRefused(t *testing.T) {
	w := newWire(t, 39, 2)
	talk(t, w, 1)
	bad, n := w.nodes[0], w.nodes[1]
	next := bad.e.sender.lanes[carrier.News].all.next
	seq := bad.e.sealer.Seq()
	for size := 1; size <= checksumBytes+chunkBytes; size++ {
		h := datagram.Shard{Block: next, Data: 1, UpTo: 1}
		inner := append(h.AppendHeader(nil), make([]byte, size)...)
		n.receive(insider(bad, seq+uint64(size), datagram.TypeShard, inner), bad.from)
		next++
	}
	if s := n.e.Stats(); s.ReassemblyBytes != 0 || s.BlocksPoisoned != checksumBytes+chunkBytes {
		t.Errorf("%d bytes held, %d blocks poisoned", s.ReassemblyBytes, s.BlocksPoisoned)
	}
}

// TestSmallFramesOfLargeBlocksCountAsTheseDo has a member send blocks of which one byte is a
// frame: whoever keeps that keeps the block.
func TestSmallFramesOfLargeBlocksCountAsTheseDo(t *testing.T) {
	w := newWire(t, 58, 2)
	talk(t, w, 1)
	bad, n := w.nodes[0], w.nodes[1]
	n.frames = nil
	text := make([]byte, blockBytes)
	words := []uint32{1 | chunkStarts | chunkEnds, 2 | chunkStarts | chunkEnds, blockBytes - 19}
	for at, i := checksumBytes, 0; i < len(words); i++ {
		binary.BigEndian.PutUint32(text[at:], words[i])
		at += chunkBytes + int(words[i]&chunkLength)
	}
	binary.BigEndian.PutUint32(text, crc32.Checksum(text[checksumBytes:], castagnoli))
	h := datagram.Shard{
		Block: bad.e.sender.lanes[carrier.News].all.next, Data: datagram.DataMax, UpTo: datagram.DataMax,
	}
	for i := range datagram.DataMax {
		h.Index = uint8(i)
		shard := text[i*datagram.ShardMaxBytes : (i+1)*datagram.ShardMaxBytes]
		n.receive(bad.e.sealer.Seal(nil, datagram.TypeShard, append(h.AppendHeader(nil), shard...)), bad.from)
	}
	n.settle()
	if len(n.frames) != 2 {
		t.Fatalf("%d frames", len(n.frames))
	}
	if first, last := n.frames[0].Spare, n.frames[1].Spare; first != 0 || last != blockBytes-3 {
		t.Errorf("%d and %d bytes are kept beside them", first, last)
	}
}

// TestFramesThatNeverEndStopNobody has members begin frames and not go on, until
// all the memory there is for reassembly is theirs.
func TestFramesThatNeverEndStopNobody(t *testing.T) {
	w := newWire(t, 47, 14)
	w.run(5 * time.Second)
	n, sender := w.nodes[0], w.nodes[1]
	text := make([]byte, blockBytes)
	full := ReassemblyMaxBytes / blockBytes
	for sent, word := 0, uint32(0); sent < full; sent++ {
		bad, number := w.nodes[2+sent/56], uint64(sent%56)
		bad.dead = true
		if word = roomBytes; number < 4 {
			word |= chunkStarts
		}
		binary.BigEndian.PutUint32(text[checksumBytes:], word)
		binary.BigEndian.PutUint32(text, crc32.Checksum(text[checksumBytes:], castagnoli))
		h := datagram.Shard{Lane: uint8(number % 2), Block: 1 + number/4, Data: datagram.DataMax, UpTo: datagram.DataMax}
		if number%4 > 1 {
			h.To = n.e.tag
		}
		for i := range datagram.DataMax {
			h.Index = uint8(i)
			shard := text[i*datagram.ShardMaxBytes : (i+1)*datagram.ShardMaxBytes]
			n.receive(bad.e.sealer.Seal(nil, datagram.TypeShard, append(h.AppendHeader(nil), shard...)), bad.from)
		}
	}
	if held := n.e.Stats().ReassemblyBytes; held+blockBytes < ReassemblyMaxBytes || held > ReassemblyMaxBytes {
		t.Fatalf("%d bytes held: this tests nothing", held)
	}
	if err := sender.send("", carrier.News, frame(0, 300_000)); err != nil {
		t.Fatal(err)
	}
	w.run(500 * time.Millisecond)
	if err := n.checkFrames(testPeer(1), carrier.News, false, []int{300_000}); err != nil {
		t.Error(err)
	}
}

// TestBlocksThatAreOnlyClaimedCount has a member name blocks far ahead, in
// datagrams of a few bytes.
func TestBlocksThatAreOnlyClaimedCount(t *testing.T) {
	w := newWire(t, 49, 2)
	w.run(2 * time.Second)
	n, bad := w.nodes[0], w.nodes[1]
	bad.dead = true
	blocks := 0
	for i := range uint64(datagram.BackMax / 200) {
		for _, to := range []datagram.Tag{{}, n.e.tag} {
			for lane := range uint8(datagram.Lanes) {
				h := datagram.Shard{To: to, Lane: lane, Block: 201 + 200*i, Data: 2, UpTo: 2, Back: uint16(200 * i)}
				n.receive(bad.e.sealer.Seal(nil, datagram.TypeShard, append(h.AppendHeader(nil), 0)), bad.from)
			}
		}
	}
	for _, lanes := range n.e.streams[0].in {
		for _, f := range lanes {
			blocks += len(f.ring)
		}
	}
	if held := n.e.streams[0].held; held < 256*blocks || held > StreamMaxBytes || blocks < 1000 {
		t.Errorf("%d bytes for %d blocks", held, blocks)
	}
	w.run(30 * time.Second)
	if held := n.e.Stats().ReassemblyBytes; held != 0 {
		t.Errorf("%d bytes held in the end", held)
	}
}

// TestReplayedBeaconsKeepNobodyOut floods a node that was started anew with the last
// beacons of its own run before, and of another's, while a newcomer says hello.
func TestReplayedBeaconsKeepNobodyOut(t *testing.T) {
	w := newWire(t, 53, 2)
	own := w.record(w.nodes[0])
	w.run(2 * time.Second)
	others := w.record(w.nodes[1])
	w.run(2 * time.Second)
	w.tap = nil
	for _, old := range w.nodes {
		old.dead = true
	}
	again := func(i int) *node {
		return w.add(func(c *Config) { key := testConfig(i, w.rng); c.Self, c.Sign = key.Self, key.Sign })
	}
	n, other := again(0), again(1)
	w.run(time.Second)
	if !n.hears(other) {
		t.Fatal("the other is not heard")
	}
	play := func(rounds int) {
		for range rounds {
			own.play(n)
			others.play(n)
			w.run(time.Millisecond)
		}
	}
	play(200)
	newcomer := w.add(func(*Config) {})
	play(500) // it says hello twice
	if !n.hears(newcomer) {
		t.Errorf("the newcomer is not heard; refused %v", n.e.Stats().Refused)
	}
}
