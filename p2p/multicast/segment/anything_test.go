package segment

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// anything draws an inner text that parses, mostly, near the edges of what may be.
func anything(r *rand.Rand, to *node) (datagram.Type, []byte) {
	number := func() uint64 {
		if r.IntN(5000) == 0 {
			return 1<<62 - 1 - r.Uint64N(3) // of which there is no way back
		}
		top := uint64(to.w.now/Time(20*time.Millisecond)) - 80 // what is plausible moves on
		return top + [...]uint64{r.Uint64N(8), r.Uint64N(300), r.Uint64N(5000)}[r.IntN(16)/7]
	}
	addressee := func() datagram.Tag {
		return [...]datagram.Tag{{}, to.e.tag, {1}}[r.IntN(3)]
	}
	back := func(block uint64) uint16 {
		return uint16(min(block-1, [...]uint64{0, r.Uint64N(10), datagram.BackMax}[r.IntN(3)]))
	}
	switch r.IntN(6) {
	case 0:
		var wants []datagram.Want
		for range 1 + r.IntN(datagram.WantsMax) {
			wants = append(wants, datagram.Want{
				Lane: uint8(r.IntN(2)), Addressed: r.IntN(2) == 0, Block: number(),
				UpTo: uint8(r.IntN(256)), Need: uint8(r.IntN(33)),
			})
		}
		of := to.e.cfg.Stream
		if r.IntN(4) == 0 {
			of = to.w.nodes[1].e.cfg.Stream
		}
		return datagram.TypeNack, datagram.AppendNack(nil, of, uint8(r.IntN(256)), wants)
	case 1:
		var flows []datagram.Flow
		for range 1 + r.IntN(4) {
			next := number() + 1
			flows = append(flows, datagram.Flow{Lane: uint8(r.IntN(2)), To: addressee(), Next: next, Back: back(next)})
		}
		return datagram.TypeDigest, datagram.AppendDigest(nil, flows)
	}
	block, k := number(), 1+r.IntN(3)
	upTo := k + r.IntN(256-k)
	h := datagram.Shard{
		To: addressee(), Lane: uint8(r.IntN(2)), Block: block, Back: back(block), Ends: uint16(r.IntN(100)),
		Data: uint8(k), UpTo: uint8(upTo), Index: uint8(r.IntN(upTo)),
	}
	text := make([]byte, 1+r.IntN(40))
	if k == 1 && h.Index == 0 && len(text) > checksumBytes+chunkBytes {
		word := uint32(r.IntN(len(text))) | uint32(r.IntN(4))<<30
		binary.BigEndian.PutUint32(text[checksumBytes:], word)
		binary.BigEndian.PutUint32(text, crc32.Checksum(text[checksumBytes:], castagnoli))
	}
	return datagram.TypeShard, append(h.AppendHeader(nil), text...)
}

// TestMembersMaySendAnything has a member send what is well formed and makes no
// sense. Nobody crashes, the bounds hold, and the others go on.
func TestMembersMaySendAnything(t *testing.T) {
	datagrams := 20_000
	if raceEnabled || testing.Short() {
		datagrams = 2000
	}
	for seed := range uint64(4) {
		w := newWire(t, 70+seed, 3)
		w.run(2 * time.Second)
		n, bad, other := w.nodes[0], w.nodes[1], w.nodes[2]
		bad.dead = true
		for i := range datagrams {
			kind, inner := anything(w.rng, n)
			n.receive(bad.e.sealer.Seal(nil, kind, inner), bad.from)
			if i%10 == 0 {
				w.run(time.Duration(w.rng.IntN(3)) * time.Millisecond)
			}
			if i%500 == 0 {
				_ = n.send("", carrier.News, frame(i, 1+w.rng.IntN(60_000))) // may be full
			}
			if s := n.e.Stats(); s.ReassemblyBytes < 0 || s.ReassemblyBytes > ReassemblyMaxBytes {
				t.Fatalf("%d bytes held", s.ReassemblyBytes)
			}
		}
		n.frames = nil
		for i := range 3 {
			if err := other.send("", carrier.News, frame(i, 5000)); err != nil {
				t.Fatal(err)
			}
			w.run(100 * time.Millisecond)
		}
		if err := n.checkFrames(testPeer(2), carrier.News, false, []int{5000, 5000, 5000}); err != nil {
			t.Error(err)
		}
		w.run(time.Minute)
		if s := n.e.Stats(); s.ReassemblyBytes != 0 {
			t.Errorf("%d bytes held in the end", s.ReassemblyBytes)
		}
	}
}
