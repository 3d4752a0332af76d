package gossip

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// BenchmarkForward is a batch's way through the core of a node with eight
// neighbours: received, stored, spread, acknowledged.
func BenchmarkForward(b *testing.B) {
	core, err := New(wire.Author{1}, DefaultConfig(), 1, 0, testEpoch)
	if err != nil {
		b.Fatal(err)
	}
	core.AddInterest("x")
	var peers []wire.PeerID
	for i := range 8 {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i)))
		id := wire.NewSigner(key).Author().PeerID()
		peers = append(peers, id)
		core.PeerUp(id, PeerInfo{})
		core.Receive(id, &wire.Interest{Add: []string{"x"}})
		core.Receive(id, &wire.Topics{Add: []wire.TopicEntry{{Name: "x"}}})
	}
	core.Take()
	h := wire.Header{Topic: "x", Epoch: 1, Count: 100, Author: wire.Author{2}, BodyLen: 100 << 8}
	now := Time(0)
	b.ReportAllocs()
	for b.Loop() {
		h.First = h.Last() + 1
		h.Time = testEpoch + wire.Time(h.First)
		batch := &wire.Batch{Header: h}
		binary.BigEndian.PutUint64(batch.ID[:], h.First*0x9e3779b97f4a7c15)
		h.Prev = wire.Prev{Mark: h.End(), Time: h.Time}
		core.Receive(peers[0], &wire.Push{Batch: batch})
		now += Time(100 * time.Microsecond)
		core.Tick(now, testEpoch+wire.Time(now))
		core.Take()
		core.Stored([]wire.BatchID{batch.ID})
		core.Tick(now, testEpoch+wire.Time(now))
		core.Take()
	}
}
