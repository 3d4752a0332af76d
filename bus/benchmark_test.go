package bus

import (
	"testing"

	"github.com/busnode/busnode/gossip/wire"
)

// benchmarkEvents are in the log of the reading benchmarks, benchmarkCount a batch.
const (
	benchmarkEvents = 1 << 18
	benchmarkCount  = 1 << 10
)

// benchmarkLog returns a node whose topic "t" holds benchmarkEvents of 128 B.
func benchmarkLog(b *testing.B) *Bus {
	bus := openAlone(b)
	a := newAuthor(b, bus.log, "t", 2)
	payload := make([]byte, 128)
	for range benchmarkEvents / benchmarkCount {
		at := wire.Time(1_000_000_000_000 + a.next)
		var body []byte
		for range benchmarkCount {
			body = wire.AppendEvent(body, at, &wire.Event{Time: at, Payload: payload})
		}
		h := wire.Header{
			Network: DefaultNetwork, Topic: "t", Epoch: testEpoch, First: a.next, Count: benchmarkCount, Prev: a.prev, Time: at,
		}
		batch, err := wire.Seal(h, body, a.signer)
		if err != nil {
			b.Fatal(err)
		}
		write(b, bus.log, release(batch)...)
		a.next += benchmarkCount
		a.prev = wire.Prev{Mark: batch.Header.End(), Time: at}
	}
	return bus
}

// benchmarkRead reads the log again and again, one event an iteration.
func benchmarkRead(b *testing.B, read func(sub *Subscription[[]byte], n int) int) {
	bus := benchmarkLog(b)
	topic, err := TopicOf(bus, "t", Bytes{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		sub, err := topic.Subscribe(b.Context(), FromStart())
		if err != nil {
			b.Fatal(err)
		}
		done += read(sub, min(benchmarkEvents, b.N-done))
		sub.Close()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkNext(b *testing.B) {
	benchmarkRead(b, func(sub *Subscription[[]byte], n int) int {
		for range n {
			if _, err := sub.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		return n
	})
}

func BenchmarkEvents(b *testing.B) {
	benchmarkRead(b, func(sub *Subscription[[]byte], n int) int {
		left := n
		for _, err := range sub.Events(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			if left--; left == 0 {
				break
			}
		}
		return n
	})
}

func BenchmarkPublishAsync(b *testing.B) {
	bus := openAlone(b, WithEventLog(LogConfig{Bytes: 256 << 20}))
	topic, err := TopicOf(bus, "t", Bytes{})
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topic.PublishAsync(b.Context(), payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := bus.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
