package eventlog

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// SyncPolicy says when what was written is forced to the disk.
type SyncPolicy uint8

// The policies.
const (
	SyncAlways   SyncPolicy = iota // before durable is called; one sync serves all that wait
	SyncInterval                   // every Config.Interval; a power failure may take the newest
	SyncNever                      // when the operating system likes to, and at Close
)

var syncPolicyNames = [...]string{SyncAlways: "always", SyncInterval: "interval", SyncNever: "never"}

// String returns the policy's name.
func (p SyncPolicy) String() string {
	if int(p) < len(syncPolicyNames) {
		return syncPolicyNames[p]
	}
	return fmt.Sprintf("SyncPolicy(%d)", uint8(p))
}

// ParseSyncPolicy returns the policy of a name: "always", "interval" or "never".
func ParseSyncPolicy(name string) (SyncPolicy, error) {
	for p, n := range syncPolicyNames {
		if n == name {
			return SyncPolicy(p), nil
		}
	}
	return 0, fmt.Errorf("eventlog: sync policy %q is none of always, interval, never", name)
}

// MarshalText returns the policy's name.
func (p SyncPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText sets the policy of a name.
func (p *SyncPolicy) UnmarshalText(text []byte) error {
	parsed, err := ParseSyncPolicy(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// Config are the settings of a log of segment files. The zero value is valid.
type Config struct {
	Sync     SyncPolicy
	Interval time.Duration // between syncs of SyncInterval; 0: 100 ms

	// SegmentBytes closes a segment file that has reached it; 0: 64 MiB. Small
	// ones give space back sooner, large ones need fewer files.
	SegmentBytes int64
	// TailBytes bounds the newest batches that are kept in memory for readers
	// that follow closely; 0: 32 MiB, negative: none.
	TailBytes int64

	FS     FileSystem   // nil: the operating system's
	Logger *slog.Logger // nil: slog.Default()
}

const (
	defaultInterval     = 100 * time.Millisecond
	defaultSegmentBytes = 64 << 20
	segmentBytesMin     = 4 << 10
	segmentBytesMax     = 4 << 30
	defaultTailBytes    = 32 << 20
)

func (c Config) validate() error {
	var errs []error
	if int(c.Sync) >= len(syncPolicyNames) {
		errs = append(errs, fmt.Errorf("eventlog: unknown sync policy %d", c.Sync))
	}
	if c.Interval < 0 {
		errs = append(errs, fmt.Errorf("eventlog: Interval %v is negative", c.Interval))
	}
	if c.SegmentBytes != 0 && (c.SegmentBytes < segmentBytesMin || c.SegmentBytes > segmentBytesMax) {
		errs = append(errs, fmt.Errorf("eventlog: SegmentBytes %d is not within %d and %d",
			c.SegmentBytes, segmentBytesMin, int64(segmentBytesMax)))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	if c.TailBytes == 0 {
		c.TailBytes = defaultTailBytes
	}
	if c.FS == nil {
		c.FS = osFS{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With("component", "eventlog")
	return c
}

// MemoryConfig are the settings of a memory log. The zero value is valid.
type MemoryConfig struct {
	// MaxBytes refuses an Append with ErrFull when the batches held would exceed
	// it; 0: no limit but that of Retain.
	MaxBytes int64
	Logger   *slog.Logger // nil: slog.Default()
}
