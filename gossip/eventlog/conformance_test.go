package eventlog_test

import (
	"io"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/eventlog/eventlogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestMemoryConforms(t *testing.T) {
	eventlogtest.Run(t, func(*testing.T) (func() eventlog.Log, bool) {
		return func() eventlog.Log { return eventlog.NewMemory(eventlog.MemoryConfig{Logger: quiet}) }, false
	})
}

// openSegments returns how to open a log of segment files in a new directory.
func openSegments(t *testing.T, cfg eventlog.Config) func() eventlog.Log {
	dir := t.TempDir()
	cfg.Logger = quiet
	return func() eventlog.Log {
		l, err := eventlog.Open(dir, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func TestSegmentsConform(t *testing.T) {
	for name, cfg := range map[string]eventlog.Config{
		"synced":         {},
		"small segments": {SegmentBytes: 8 << 10, TailBytes: 4 << 10},
		"no tail":        {Sync: eventlog.SyncInterval, TailBytes: -1},
		"never synced":   {Sync: eventlog.SyncNever, SegmentBytes: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			eventlogtest.Run(t, func(t *testing.T) (func() eventlog.Log, bool) {
				return openSegments(t, cfg), true
			})
		})
	}
}
