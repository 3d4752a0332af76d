package segment

import (
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// FuzzEngine has a member send whatever it likes, well sealed: the input is a list of
// datagrams, a byte of type and milliseconds to wait and two of length before
// each. The engine must neither panic nor hold or send more than its bounds, nor
// make up frames longer than a frame may be; and it must go on to work.
func FuzzEngine(f *testing.F) {
	input := func(parts ...[]byte) (b []byte) {
		for i, p := range parts {
			b = append(append(b, byte(1+i%4)|byte(i<<3), byte(len(p)>>8), byte(len(p))), p...)
		}
		return b
	}
	shard := datagram.Shard{Block: 2, Back: 1, Data: 2, UpTo: 3, Index: 1}
	zero := datagram.StreamID{}
	f.Add(input(append(shard.AppendHeader(nil), make([]byte, 20)...),
		datagram.AppendNack(nil, zero, 1, []datagram.Want{{Block: 1, UpTo: 1, Need: 2}}),
		datagram.AppendDigest(nil, []datagram.Flow{{Next: 3, Back: 2}, {Lane: 1, Next: 1000, Back: 900}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWire(t, 1, 3)
		w.run(time.Second)
		n, bad := w.nodes[0], w.nodes[1]
		if err := n.send("", carrier.News, frame(0, 5000)); err != nil {
			t.Fatal(err)
		}
		w.run(20 * time.Millisecond)
		bad.dead = true
		sealer := bad.e.sealer
		for len(b) > 3 {
			kind, wait := datagram.Type(b[0]&7), time.Duration(b[0]>>3)*time.Millisecond
			size := min(int(b[1])<<8|int(b[2]), len(b)-3, datagram.InnerMaxBytes)
			inner := append([]byte(nil), b[3:3+size]...)
			b = b[3+size:]
			if kind == datagram.TypeNack && len(inner) >= 16 {
				copy(inner, n.e.cfg.Stream[:])
			}
			n.receive(sealer.Seal(nil, kind, inner), bad.from)
			w.run(wait)
			if s := n.e.Stats(); s.ReassemblyBytes > StreamMaxBytes+datagram.MaxBytes || s.ReassemblyBytes < 0 {
				t.Fatalf("%d bytes held", s.ReassemblyBytes)
			}
		}
		if s := n.e.Stats(); s.SentBytes > 4<<20 {
			t.Errorf("sent %d bytes", s.SentBytes)
		}
		for _, a := range n.frames {
			if len(a.Bytes) > FrameMaxBytes {
				t.Errorf("a frame of %d bytes", len(a.Bytes))
			}
		}
		n.frames = nil
		if err := w.nodes[2].send("", carrier.News, frame(0, 100)); err != nil {
			t.Fatal(err)
		}
		w.run(300 * time.Millisecond)
		if err := n.checkFrames(testPeer(2), carrier.News, false, []int{100}); err != nil {
			t.Error(err)
		}
		w.run(10 * time.Second)
		if s := n.e.Stats(); s.ReassemblyBytes != 0 {
			t.Errorf("%d bytes held when the member is gone", s.ReassemblyBytes)
		}
	})
}
