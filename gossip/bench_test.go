package gossip

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
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

// BenchmarkBeat shows what a heartbeat costs that a peer agrees with, by topics
// in common: the time of both sides.
func BenchmarkBeat(b *testing.B) {
	for _, topics := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(topics, "topics"), func(b *testing.B) {
			x, y := beating(b, topics), beating(b, topics)
			meet(x, y)
			p, q := x.peerList[0], y.peerList[0]
			stale := y.Stats().HeartbeatsStale
			var now Time = 1e9
			for b.Loop() {
				now += 1e9
				wall := wire.Time(testEpoch + int64(now))
				x.now, x.wall, y.now, y.wall = now, wall, now, wall
				x.out, y.out = Output{}, Output{}
				x.sendBeat(p, x.floor(), x.cut())
				y.Receive(q.id, x.out.Send[len(x.out.Send)-1].Msg)
			}
			b.StopTimer()
			if got := y.Stats().HeartbeatsStale; got != stale || len(y.out.Send) > 0 {
				b.Errorf("%d heartbeats differ, %d messages answer the last", got-stale, len(y.out.Send))
			}
			b.ReportMetric(float64(len(wire.AppendMessage(nil, x.out.Send[0].Msg))), "B/beat")
		})
	}
}

// beating returns a core with 100,000 batches in all, or at least one a topic.
func beating(b *testing.B, topics int) *Core {
	signer := wire.NewSigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
	c, err := New(signer.Author(), DefaultConfig(), 1, 1, testEpoch)
	if err != nil {
		b.Fatal(err)
	}
	for i := range max(100_000, topics) {
		h := wire.Header{
			Topic: fmt.Sprint("t", i%topics), Author: wire.Author{1}, Epoch: 1, First: uint64(i + 1), Count: 1,
			Time: testEpoch - wire.Time(i)*1e9,
		}
		var id wire.BatchID
		binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9E3779B97F4A7C15)
		c.Restore(Meta{ID: id, Header: &h, Released: true})
	}
	c.Restored()
	c.AddInterest(">")
	return c
}

// meet lets two cores tell each other all that they have to.
func meet(x, y *Core) {
	ids := [2]wire.PeerID{"x", "y"}
	cores := [2]*Core{x, y}
	x.PeerUp(ids[1], PeerInfo{})
	y.PeerUp(ids[0], PeerInfo{})
	for quiet := 0; quiet < 2; {
		quiet++
		for i, c := range cores {
			for _, s := range c.Take().Send {
				if s.Msg != nil {
					quiet = 0
					cores[1-i].Receive(ids[i], s.Msg)
				}
			}
		}
	}
}
