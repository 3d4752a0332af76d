package bus

import (
	"errors"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// SyncPolicy says when what is written to the log on disk is also synced, and
// with it what a nil from Publish means. See [LogConfig].
type SyncPolicy uint8

// The policies.
const (
	SyncAlways   SyncPolicy = 1 + iota // Publish returns when the event is synced (default)
	SyncInterval                       // synced a few times a second; a power cut may take what was published since
	SyncNever                          // left to the system; a crash of the process alone loses nothing
)

// LogConfig says what the node's log takes and keeps. Zero is each field's default.
type LogConfig struct {
	Sync        SyncPolicy    // of a log on disk; default SyncAlways
	Age         time.Duration // older batches are removed, and refused when they arrive; default no limit
	Bytes       int64         // of the whole log: the oldest batches are removed; default no limit
	TopicBytes  int64         // of each topic, likewise
	AuthorBytes int64         // of each author, on all topics, likewise
	// EventMaxBytes is the largest event that Publish takes, in bytes of payload,
	// key and headers; default 4 MiB.
	EventMaxBytes int
}

// eventMaxMax leaves room in a batch's body for what frames its one event.
const eventMaxMax = wire.BodyMaxBytes - 64<<10

// WithEventLog sets what the log takes, how long it keeps it and when it is synced.
func WithEventLog(c LogConfig) Option {
	return func(o *options) error {
		o.log = c
		var errs []error
		for _, f := range []struct {
			name       string
			value, max int64
		}{
			{"Sync", int64(c.Sync), int64(SyncNever)},
			{"Age", int64(c.Age), 1<<63 - 1},
			{"Bytes", c.Bytes, 1<<63 - 1},
			{"TopicBytes", c.TopicBytes, 1<<63 - 1},
			{"AuthorBytes", c.AuthorBytes, 1<<63 - 1},
			{"EventMaxBytes", int64(c.EventMaxBytes), eventMaxMax},
		} {
			if f.value < 0 || f.value > f.max {
				errs = append(errs, configError("WithEventLog: %s is %d, want 0 to %d", f.name, f.value, f.max))
			}
		}
		return errors.Join(errs...)
	}
}

func (c LogConfig) sync() eventlog.SyncPolicy {
	switch c.Sync {
	case SyncInterval:
		return eventlog.SyncInterval
	case SyncNever:
		return eventlog.SyncNever
	default:
		return eventlog.SyncAlways
	}
}

func (c LogConfig) limits() eventlog.Limits {
	return eventlog.Limits{Age: c.Age, Bytes: c.Bytes, TopicBytes: c.TopicBytes, AuthorBytes: c.AuthorBytes}
}
