package eventlog_test

import (
	"sync"
	"testing"

	"github.com/busnode/busnode/gossip/eventlog"
	et "github.com/busnode/busnode/gossip/eventlog/eventlogtest"
	"github.com/busnode/busnode/gossip/wire"
)

// inFlight is how many appends a benchmark has under way.
const inFlight = 64

func BenchmarkAppend(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
		cfg  eventlog.Config
	}{
		{"64KiB/never", 64 << 10, eventlog.Config{Sync: eventlog.SyncNever}},
		{"256KiB/never", 256 << 10, eventlog.Config{Sync: eventlog.SyncNever}},
		{"64KiB/always", 64 << 10, eventlog.Config{}},
		{"128B/never", 128, eventlog.Config{Sync: eventlog.SyncNever}},
		{"128B/always", 128, eventlog.Config{}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			bench.cfg.Logger = quiet
			l, err := eventlog.Open(b.TempDir(), bench.cfg)
			if err != nil {
				b.Fatal(err)
			}
			benchAppend(b, l, bench.size)
		})
	}
	b.Run("64KiB/memory", func(b *testing.B) {
		benchAppend(b, eventlog.NewMemory(eventlog.MemoryConfig{Logger: quiet}), 64<<10)
	})
}

// numbered returns n batches that differ in their ID and sequence alone, so that
// signing is not what is measured.
func numbered(b testing.TB, n, size int) []wire.Batch {
	first := et.NewAuthor(b, "t", 1).Batch(1, size)
	all := make([]wire.Batch, n)
	for i := range all {
		all[i] = *first
		all[i].Header.First = uint64(i) + 1
		all[i].ID[0], all[i].ID[1], all[i].ID[2], all[i].ID[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
	}
	return all
}

func benchAppend(b *testing.B, l eventlog.Log, size int) {
	defer et.Close(b, l)
	batches := numbered(b, b.N, size)
	free := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		free <- struct{}{}
		wg.Add(1)
		l.Append(et.Both(&batches[i]), nil, func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-free
			wg.Done()
		})
	}
	wg.Wait()
	b.StopTimer()
}

func BenchmarkRead(b *testing.B) {
	const batches, size = 1000, 64 << 10
	for name, tail := range map[string]int64{"tail": batches * size * 2, "cold": -1} {
		b.Run(name, func(b *testing.B) {
			l, err := eventlog.Open(b.TempDir(), eventlog.Config{Sync: eventlog.SyncNever, TailBytes: tail, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer et.Close(b, l)
			a := et.NewAuthor(b, "t", 1)
			for range batches {
				et.Append(b, l, et.Both(a.Batch(1, size))...)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			offset := uint64(0)
			for b.Loop() {
				entries, err := l.Read("t", offset%batches, 1)
				if err != nil || entries[0].Batch == nil {
					b.Fatal(err)
				}
				offset++
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	const batches = 100_000
	dir := b.TempDir()
	cfg := eventlog.Config{Sync: eventlog.SyncNever, SegmentBytes: 8 << 20, Logger: quiet}
	l, err := eventlog.Open(dir, cfg)
	if err != nil {
		b.Fatal(err)
	}
	all := numbered(b, batches, 128)
	var ops []eventlog.Op
	for i := range all {
		ops = append(ops, et.Both(&all[i])...)
		if len(ops) >= 1000 {
			et.Append(b, l, ops...)
			ops = nil
		}
	}
	et.Append(b, l, ops...)
	et.Close(b, l)
	b.ReportAllocs()
	for b.Loop() {
		l, err := eventlog.Open(dir, cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		et.Close(b, l)
		b.StartTimer()
	}
}
