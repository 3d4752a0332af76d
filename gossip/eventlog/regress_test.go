package eventlog_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	et "github.com/busnode/busnode/gossip/eventlog/eventlogtest"
	"github.com/busnode/busnode/gossip/wire"
)

// A sync may fail after the segment was closed and the next one begun.
func TestFailedSyncOfAClosedSegmentIsNotForgotten(t *testing.T) {
	fs := et.NewFaultFS()
	cfg := eventlog.Config{Sync: eventlog.SyncInterval, Interval: time.Hour, SegmentBytes: 4 << 10, TailBytes: -1}
	l := mustOpen(t, fs, cfg)
	all := fill(t, l, 20)
	fs.FailIf(func(op, name string) error {
		if op == "Datasync" && strings.HasSuffix(name, "0000000001.seg") {
			return syscall.EIO
		}
		return nil
	})
	sync := func() error { // Retain waits for a sync when it has something to write
		old := et.NewAuthor(t, "old", 9).Batch(1, 1)
		if err := et.TryAppend(l, et.Both(old)...); err != nil {
			return err
		}
		keep := func(m *eventlog.Meta) bool { return m.Header.Topic != "old" }
		_, err := l.Retain(et.Base, eventlog.Limits{AuthorBytes: 1}, keep)
		return err
	}
	if err := sync(); err == nil {
		t.Error("the sync of a later segment hid that of an earlier one, which failed")
	}
	fs.FailIf(nil)
	l.Resume()
	if err := sync(); err != nil {
		t.Fatal(err)
	}
	crash(fs, l)
	l = mustOpen(t, fs, cfg)
	defer et.Close(t, l)
	expect(t, l, "t", all)
}

// A power failure may take a batch from one segment and leave, in a later one,
// the cursor that acknowledged it. What comes afterwards must still be read.
func TestNothingIsReleasedBelowACursor(t *testing.T) {
	fs := et.NewFaultFS()
	cfg := eventlog.Config{Sync: eventlog.SyncNever, SegmentBytes: 4 << 10}
	l := mustOpen(t, fs, cfg)
	et.Append(t, l, et.Declared("d", "u"))
	a := et.NewAuthor(t, "u", 2)
	b1, b2 := a.Batch(3, 10), a.Batch(1, 10)
	et.Append(t, l, et.Both(b1)...)
	fill(t, l, 20)
	et.Append(t, l, et.Cursor("d", "u", 3))
	et.Close(t, l)
	const seg = "log/0000000001.seg"
	fs.Vanish("log/0000000001.idx")
	f, err := fs.Open(seg)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(strings.Index(string(fs.Content(seg)), string(b1.Raw))) - 27); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l = mustOpen(t, fs, cfg)
		et.Append(t, l, et.Both(b2)...)
		if c, ok := l.Cursor("d", "u"); !ok || c != 3 {
			t.Fatalf("cursor: %d, %v", c, ok)
		}
		entries, err := l.Read("u", 3, 1)
		if err != nil || len(entries) != 1 || entries[0].Offset != 3 || entries[0].Meta.ID != b2.ID {
			t.Errorf("read: %+v, %v", entries, err)
		}
		et.Close(t, l)
	}
}

// What is damaged must not make a start slow, whatever bytes it has.
func TestResyncIsLinear(t *testing.T) {
	fs := et.NewFaultFS()
	cfg := eventlog.Config{Sync: eventlog.SyncNever}
	l := mustOpen(t, fs, cfg)
	fill(t, l, 1)
	et.Close(t, l)
	const seg = "log/0000000001.seg"
	f, err := fs.Open(seg)
	if err != nil {
		t.Fatal(err)
	}
	junk := make([]byte, 2<<20)
	for i := range junk {
		junk[i] = 0xB5
	}
	if _, err := f.WriteAt(junk, int64(len(fs.Content(seg)))); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	l = mustOpen(t, fs, cfg)
	defer et.Close(t, l)
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("the start took %v", d)
	}
}

// What is written while retention works is more than it may keep, but not a
// reason to remove all.
func TestRetentionLeavesAShareOfWhatIsWrittenMeanwhile(t *testing.T) {
	l := mustOpen(t, et.NewFaultFS(), eventlog.Config{SegmentBytes: 16 << 10})
	defer et.Close(t, l)
	a := et.NewAuthor(t, "t", 1)
	store := func(n int) {
		var ops []eventlog.Op
		for range n {
			ops = append(ops, et.Both(a.Batch(1, 1000))...)
		}
		et.Append(t, l, ops...)
	}
	store(100)
	const limit = 60_000
	asked := false
	_, err := l.Retain(et.Base, eventlog.Limits{Bytes: limit}, func(*eventlog.Meta) bool {
		if !asked { // keep is called while retention works
			asked = true
			store(400)
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	info, _ := l.Topic("t")
	if info.Bytes < limit/2 {
		t.Errorf("retention left %d bytes of events, limit %d", info.Bytes, limit)
	}
}

// Many authors on several topics must not make retention look at every entry for each.
func TestRetentionOfManyAuthorsIsLinear(t *testing.T) {
	const topics, authors, batches = 2, 1000, 40
	l := eventlog.NewMemory(eventlog.MemoryConfig{Logger: quiet})
	defer et.Close(t, l)
	var all []*wire.Batch
	for i := range topics {
		for n := range authors {
			proto := *et.NewAuthor(t, fmt.Sprintf("t%d", i), 1).Batch(1, 10)
			proto.Header.Author[0], proto.Header.Author[1] = byte(n), byte(n>>8)
			for k := range batches {
				b := proto
				b.Header.First = uint64(k) + 1
				b.ID = wire.BatchID{byte(i), byte(n), byte(n >> 8), byte(k), byte(k >> 8)}
				all = append(all, &b)
			}
		}
	}
	for len(all) > 0 {
		var ops []eventlog.Op
		for _, b := range all[:1000] {
			ops = append(ops, et.Both(b)...)
		}
		et.Append(t, l, ops...)
		all = all[1000:]
	}
	start := time.Now()
	removed, err := l.Retain(et.Base, eventlog.Limits{AuthorBytes: int64(topics * batches * 200 / 2)}, nil)
	t.Logf("%d removed in %v", len(removed), time.Since(start))
	if err != nil || len(removed) == 0 {
		t.Fatal(len(removed), err)
	}
}
