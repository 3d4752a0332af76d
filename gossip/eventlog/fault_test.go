package eventlog_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/busnode/busnode/gossip/eventlog"
	et "github.com/busnode/busnode/gossip/eventlog/eventlogtest"
	"github.com/busnode/busnode/gossip/wire"
)

const faultDir = "log"

func mustOpen(t testing.TB, fs *et.FaultFS, cfg eventlog.Config) *eventlog.Segments {
	t.Helper()
	cfg.FS, cfg.Logger = fs, quiet
	l, err := eventlog.Open(faultDir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// crash takes what was not synced.
func crash(fs *et.FaultFS, l *eventlog.Segments) {
	fs.Crash(nil, false)
	_ = l.Close() // of a machine that is gone
	fs.Restart()
}

// expect checks that a topic reads as batches at contiguous offsets; lost says
// which of them have no body.
func expect(t testing.TB, l eventlog.Log, topic string, want []*wire.Batch, lost ...int) {
	t.Helper()
	entries := et.ReadAll(t, l, topic)
	if len(entries) != len(want) {
		t.Fatalf("%d entries, want %d", len(entries), len(want))
	}
	offset := uint64(0)
	for i, e := range entries {
		isLost := slices.Contains(lost, i)
		if e.Offset != offset || e.Meta == nil || e.Meta.ID != want[i].ID || e.Meta.Header != want[i].Header {
			t.Fatalf("entry %d is %+v, want offset %d of %v", i, e, offset, want[i].ID)
		}
		if (e.Batch == nil) != isLost || e.Meta.Lost != isLost {
			t.Fatalf("entry %d: body %v, lost %v, want lost %v", i, e.Batch != nil, e.Meta.Lost, isLost)
		}
		if !isLost && !slices.Equal(e.Batch.Raw, want[i].Raw) {
			t.Fatalf("entry %d has other bytes", i)
		}
		offset = e.Next()
	}
}

func fill(t testing.TB, l eventlog.Log, n int) []*wire.Batch {
	t.Helper()
	a := et.NewAuthor(t, "t", 1)
	var all []*wire.Batch
	for range n {
		b := a.Batch(2, 300)
		et.Append(t, l, et.Both(b)...)
		all = append(all, b)
	}
	return all
}

func TestFullDiskStopsWritingAndResumes(t *testing.T) {
	fs := et.NewFaultFS()
	l := mustOpen(t, fs, eventlog.Config{TailBytes: -1})
	a := et.NewAuthor(t, "t", 1)
	b1, b2, b3 := a.Batch(1, 100), a.Batch(1, 5000), a.Batch(1, 1)
	et.Append(t, l, et.Both(b1)...)
	fs.Limit(fs.Used() + 2000)
	if err := et.TryAppend(l, et.Both(b2)...); !errors.Is(err, eventlog.ErrFull) {
		t.Fatalf("append: %v, want ErrFull", err)
	}
	if err := et.TryAppend(l, et.Both(b3)...); !errors.Is(err, eventlog.ErrFull) {
		t.Fatalf("a later append overtook: %v", err)
	}
	if info := l.Info(); !info.Full || !errors.Is(info.Failed, eventlog.ErrFull) {
		t.Errorf("info: %+v", info)
	}
	expect(t, l, "t", []*wire.Batch{b1})
	l.Resume()
	if err := et.TryAppend(l, et.Both(b2)...); !errors.Is(err, eventlog.ErrFull) {
		t.Fatalf("append on a disk that is still full: %v", err)
	}
	fs.Limit(0)
	l.Resume()
	et.Append(t, l, et.Both(b2)...)
	et.Append(t, l, et.Both(b3)...)
	if l.Info().Full {
		t.Error("still full")
	}
	crash(fs, l)
	l = mustOpen(t, fs, eventlog.Config{})
	defer et.Close(t, l)
	expect(t, l, "t", []*wire.Batch{b1, b2, b3})
	if r := l.Info().Repaired; len(r) != 0 {
		t.Errorf("repaired: %v", r)
	}
}

func TestRetentionMakesRoomOnAFullDisk(t *testing.T) {
	fs := et.NewFaultFS()
	l := mustOpen(t, fs, eventlog.Config{SegmentBytes: 8 << 10})
	defer et.Close(t, l)
	a := et.NewAuthor(t, "t", 1)
	for range 100 {
		et.Append(t, l, et.Both(a.Batch(1, 1000))...)
	}
	fs.Limit(fs.Used()) // not a byte is left
	if err := et.TryAppend(l, et.Both(a.Batch(1, 1000))...); !errors.Is(err, eventlog.ErrFull) {
		t.Fatalf("append: %v, want ErrFull", err)
	}
	if _, err := l.Retain(et.Base, eventlog.Limits{TopicBytes: 30_000}, nil); err != nil {
		t.Fatal(err)
	}
	if used := fs.Used(); used > 90_000 {
		t.Errorf("%d bytes are still used", used)
	}
	l.Resume()
	et.Append(t, l, et.Both(a.Batch(1, 1000))...)
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	fs := et.NewFaultFS()
	l := mustOpen(t, fs, eventlog.Config{})
	all := fill(t, l, 3)
	a := et.NewAuthor(t, "u", 2)
	b := a.Batch(1, 1000)
	fs.FailIf(func(op, _ string) error {
		if op == "WriteAt" || op == "Truncate" {
			return syscall.EIO
		}
		return nil
	})
	for range 2 {
		if err := et.TryAppend(l, et.Both(b)...); !errors.Is(err, syscall.EIO) || errors.Is(err, eventlog.ErrFull) {
			t.Fatalf("append: %v, want EIO", err)
		}
		l.Resume() // fails: what the write left cannot be cut off
	}
	fs.FailIf(nil)
	l.Resume()
	et.Append(t, l, et.Both(b)...)
	et.Close(t, l)
	l = mustOpen(t, fs, eventlog.Config{})
	defer et.Close(t, l)
	expect(t, l, "t", all)
	expect(t, l, "u", []*wire.Batch{b})
	if r := l.Info().Repaired; len(r) != 0 {
		t.Errorf("repaired: %v", r)
	}
}

// After a failed sync the kernel takes the pages for clean: a second sync of the
// same file would say yes and the batch would be gone after the next crash.
func TestFailedSyncIsNotForgotten(t *testing.T) {
	fs := et.NewFaultFS()
	l := mustOpen(t, fs, eventlog.Config{TailBytes: -1})
	all := fill(t, l, 3)
	b := et.NewAuthor(t, "u", 2).Batch(1, 1000)
	failing := true
	fs.FailIf(func(op, name string) error {
		if failing && op == "Datasync" && strings.HasSuffix(name, ".seg") {
			return syscall.EIO
		}
		return nil
	})
	if err := et.TryAppend(l, et.Both(b)...); !errors.Is(err, syscall.EIO) {
		t.Fatalf("append: %v, want EIO", err)
	}
	if err := et.TryAppend(l, et.Both(b)...); !errors.Is(err, syscall.EIO) {
		t.Fatalf("later append: %v, want EIO", err)
	}
	expect(t, l, "u", []*wire.Batch{b}) // readers saw it: its offset must stay
	fs.FailIf(nil)
	l.Resume()
	et.Append(t, l, et.Both(b)...)
	crash(fs, l)
	l = mustOpen(t, fs, eventlog.Config{})
	defer et.Close(t, l)
	expect(t, l, "t", all)
	expect(t, l, "u", []*wire.Batch{b})
}

func TestTornTailIsCutOff(t *testing.T) {
	fs := et.NewFaultFS()
	l := mustOpen(t, fs, eventlog.Config{Sync: eventlog.SyncNever})
	all := fill(t, l, 4)
	content := fs.Content("log/0000000001.seg")
	crash(fs, l)
	for cut := len(content) - 700; cut < len(content); cut += 97 {
		f, err := fs.Create("log/0000000001.seg")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(content[:cut], 0); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, fs, eventlog.Config{})
		if n := len(et.ReadAll(t, l, "t")); n != 3 || len(l.Info().Repaired) != 1 {
			t.Fatalf("cut at %d: %d entries, %v", cut, n, l.Info().Repaired)
		}
		et.Append(t, l, et.Both(all[3])...)
		expect(t, l, "t", all)
		et.Close(t, l)
	}
}

func TestFlippedBits(t *testing.T) {
	for name, test := range map[string]struct {
		pos     func(body int64) int64 // of the flip, given where a body is
		sidecar bool                   // is there
		closed  bool                   // the segment is
		lost    []int
	}{
		"body, sidecar there":               {func(p int64) int64 { return p + 100 }, true, true, []int{3}},
		"body, sidecar gone":                {func(p int64) int64 { return p + 100 }, false, true, []int{3}},
		"body in the last segment":          {func(p int64) int64 { return p + 100 }, false, false, []int{3}},
		"length of a record, sidecar there": {func(p int64) int64 { return p }, true, true, []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			fs := et.NewFaultFS()
			cfg := eventlog.Config{TailBytes: -1}
			if test.closed {
				cfg.SegmentBytes = 4 << 10
			}
			l := mustOpen(t, fs, cfg)
			all := fill(t, l, 20)
			et.Close(t, l)
			const seg = "log/0000000001.seg"
			pos := int64(strings.Index(string(fs.Content(seg)), string(all[3].Raw)))
			if strings.HasPrefix(name, "length") {
				pos -= 25
			} else {
				pos += int64(len(all[3].Raw)) - 200
			}
			fs.Flip(seg, test.pos(pos), 3)
			if !test.sidecar {
				fs.Vanish("log/0000000001.idx")
			}
			l = mustOpen(t, fs, cfg)
			defer func() { et.Close(t, l) }()
			expect(t, l, "t", all, test.lost...)
			if _, err := l.Batch(all[3].ID); !errors.Is(err, eventlog.ErrDamaged) {
				t.Errorf("batch: %v, want ErrDamaged", err)
			}
			if !test.sidecar && len(l.Info().Repaired) == 0 {
				t.Error("nothing is told to be repaired")
			}
			et.Append(t, l, et.Both(all[3])...) // refetched
			expect(t, l, "t", all)
			et.Close(t, l)
			l = mustOpen(t, fs, cfg)
			expect(t, l, "t", all)
		})
	}
}

func TestVanishedSegment(t *testing.T) {
	fs := et.NewFaultFS()
	cfg := eventlog.Config{TailBytes: -1, SegmentBytes: 4 << 10}
	l := mustOpen(t, fs, cfg)
	all := fill(t, l, 20)
	et.Close(t, l)
	fs.Vanish("log/0000000002.seg")
	l = mustOpen(t, fs, cfg)
	var lost []int
	for i, e := range et.ReadAll(t, l, "t") {
		if e.Batch == nil {
			lost = append(lost, i)
		}
	}
	if len(lost) < 2 || len(l.Info().Repaired) != 1 {
		t.Fatalf("lost %v, repaired %v", lost, l.Info().Repaired)
	}
	expect(t, l, "t", all, lost...)
	for _, i := range lost {
		et.Append(t, l, et.Stored(all[i]))
	}
	expect(t, l, "t", all)
	if _, err := l.Retain(et.Base, eventlog.Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	et.Close(t, l)
	l = mustOpen(t, fs, cfg)
	defer et.Close(t, l)
	expect(t, l, "t", all)
	if r := l.Info().Repaired; len(r) != 0 {
		t.Errorf("repaired: %v", r)
	}
}

func TestDamagedSidecarIsRebuilt(t *testing.T) {
	fs := et.NewFaultFS()
	cfg := eventlog.Config{TailBytes: -1, SegmentBytes: 4 << 10}
	l := mustOpen(t, fs, cfg)
	all := fill(t, l, 20)
	et.Close(t, l)
	const sidecar = "log/0000000002.idx"
	sound := fs.Content(sidecar)
	for pos := int64(0); pos < int64(len(sound)); pos += 37 {
		fs.Flip(sidecar, pos, uint(pos))
		l = mustOpen(t, fs, cfg)
		expect(t, l, "t", all)
		if len(l.Info().Repaired) != 1 {
			t.Fatalf("flip at %d: repaired %v", pos, l.Info().Repaired)
		}
		et.Close(t, l)
		if rebuilt := fs.Content(sidecar); len(rebuilt) != len(sound) {
			t.Fatalf("rebuilt sidecar has %d bytes, not %d", len(rebuilt), len(sound))
		}
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	l, err := eventlog.Open(dir, eventlog.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	_, err = eventlog.Open(dir, eventlog.Config{Logger: quiet})
	if !errors.Is(err, eventlog.ErrLocked) ||
		!strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "process") {
		t.Errorf("second open: %v", err)
	}
	et.Close(t, l)
	l, err = eventlog.Open(dir, eventlog.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	et.Close(t, l)
}
