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
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

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
