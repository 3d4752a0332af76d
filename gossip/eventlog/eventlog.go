// Package eventlog is the durable log of a node: the contract, a memory log
// and a log of segment files.
//
// Everything that publishers and peers bring goes through Append; subscriptions
// and repair read. One writer goroutine turns all Appends that wait into one group,
// writes it with one call, and only then shows it to readers; a syncer forces it to
// the disk while the next group is written. docs/log.md has the files and records.
package eventlog

import (
	"errors"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// OpKind says what an [Op] does.
type OpKind uint8

// The operations. Their order within one Append, and between Appends, is kept.
const (
	// OpBatch stores Batch. An ID that is stored is skipped; one whose body was lost gets
	// it back in its old place; a batch that ends at or before TrimmedTo is skipped.
	OpBatch OpKind = 1 + iota
	// OpRelease gives batch ID its offsets, the next of its topic; it must be stored.
	// Released once: a second one is skipped.
	OpRelease
	OpGap     // give Gap an offset (exactly one), so that readers meet it in order
	OpVerdict // batch ID stays for reconciling and is never released
	OpCursor  // move the cursor of Durable.Name, which must be declared, on Topic to Offset
	OpDurable // declare Durable
	OpForget  // remove Durable.Name and its cursors
)

// Op is one operation on the log. Fields that its kind does not name are zero.
type Op struct {
	Kind    OpKind
	Batch   *wire.Batch  // OpBatch
	ID      wire.BatchID // OpRelease, OpVerdict
	Late    bool         // OpRelease: arrived after its gap was reported
	Reason  wire.Reason  // OpVerdict
	Gap     Gap          // OpGap
	Durable Durable      // OpDurable; Name alone for OpCursor, OpForget
	Topic   string       // OpCursor
	Offset  uint64       // OpCursor: the first offset not yet acknowledged
}

// Gap is a stretch of one author's events that nobody could supply.
type Gap struct {
	Topic    string
	Author   wire.Author
	From, To wire.Mark // both inclusive; To's epoch may be later than From's
	Reason   string    // "lost", "trimmed"
}

// Durable is a named subscription: it exists until it is forgotten, and its
// interest with it.
type Durable struct {
	Name   string
	Filter string
}

// Entry is what a reader meets at an offset: a released batch or a gap.
type Entry struct {
	Offset uint64      // of the batch's first event, or of the gap
	Batch  *wire.Batch // nil for a gap, and for a batch whose body is lost
	Gap    *Gap        // nil for a batch
	Meta   *Meta       // of the batch, also when its body is lost
	Late   bool
}

// Next returns the offset after the entry.
func (e *Entry) Next() uint64 {
	if e.Gap != nil {
		return e.Offset + 1
	}
	return e.Offset + uint64(e.Meta.Header.Count)
}

// Meta is what the log remembers of a batch without reading its body.
type Meta struct {
	ID       wire.BatchID
	Header   wire.Header
	Size     int    // bytes of the raw batch
	Offset   uint64 // if Released
	Released bool
	Late     bool
	Verdict  wire.Reason // 0: none
	Lost     bool        // the body is damaged and wants refetching
}

// TopicInfo sums up a topic.
type TopicInfo struct {
	Name    string
	Batches int
	Events  uint64 // held
	Bytes   int64  // held
	First   uint64 // lowest offset still held
	Next    uint64 // offset that the next release gets
	Authors int
}

// Info sums up the log.
type Info struct {
	Events, Batches uint64
	Bytes           int64 // on disk or in memory
	Durable         bool  // survives the process
	Incarnation     uint64
	Full            bool  // the disk refuses writes; reading goes on
	Failed          error // why Append fails until Resume; nil: it does not
	Syncs, Writes   uint64
	Skipped         uint64   // ops that named a batch which is not there (retention was faster) or an undeclared durable
	Repaired        []string // what the last start found damaged and did about it
}

// Limits bound what is retained; zero means no limit.
type Limits struct {
	Age                            time.Duration
	Bytes, TopicBytes, AuthorBytes int64
}

// Done is called once, from the log's own goroutine and in the order of the
// Appends; it must not block nor call back into Append synchronously.
type Done func(err error)

// Log holds batches and what was decided about them. Its methods are safe for
// concurrent use. The conformance suite is gossip/eventlog/eventlogtest.
type Log interface {
	// Append queues ops for the next group commit, as one unit, and returns at
	// once; the caller bounds what it has in flight. written (may be nil) is called when
	// the ops are in the log and readers can see them; durable (may be nil) when they are
	// as durable as the sync policy says, or with the error that kept them out.
	// After a failure every later Append fails with the same error until Resume:
	// so a batch never overtakes a predecessor that was not stored. Both Dones get the
	// error. An op that no log could store (no batch, an unknown kind) is refused with
	// its Append alone; one on a batch that retention has removed meanwhile is skipped
	// and counted in Info. After Close, Append calls both Dones before it returns.
	Append(ops []Op, written, durable Done)
	// Resume lets Append try again after a failure, [ErrFull] say.
	Resume()

	// Read returns released entries of a topic from offset on, about maxBytes of
	// them and at least one if there is one. An offset inside a batch returns
	// that batch. An offset below First returns an error that wraps [ErrTrimmed]; one
	// of which retention has taken the author's batches above First returns the next
	// entry, whose Offset then is above the one asked for.
	// The batches alias memory that is never reused.
	Read(topic string, offset uint64, maxBytes int) ([]Entry, error)
	// Changed returns a channel that is closed when the topic's Next has passed offset,
	// and by Close. All who wait for one offset share it.
	Changed(topic string, offset uint64) <-chan struct{}
	// Batch returns a stored batch, released or not. The error wraps [ErrNotFound] or [ErrDamaged].
	Batch(id wire.BatchID) (*wire.Batch, error)
	// SeekTime returns the first offset of the topic whose batch is dated at or
	// after t, or Next.
	SeekTime(topic string, t wire.Time) uint64

	Topic(name string) (TopicInfo, bool)
	Topics() []TopicInfo // by name
	Info() Info
	// NewestTime is the newest date of any batch, or 0.
	NewestTime() wire.Time
	// Each calls f with all stored batches, each author's of a topic by
	// ascending (epoch, sequence), until f returns false.
	Each(f func(*Meta) bool)
	// EachGap calls f with all gaps that were released and are retained.
	EachGap(f func(Gap) bool)
	// EachTrimmed calls f with all that TrimmedTo knows, also of authors of whom
	// nothing is held any more, by topic. newest is the date of the newest batch removed.
	EachTrimmed(f func(topic string, a wire.Author, upto wire.Mark, newest wire.Time) bool)
	// TrimmedTo returns up to where retention has removed the author's events.
	TrimmedTo(topic string, a wire.Author) wire.Mark

	Durables() []Durable // by name
	// Cursor returns the durable name's place on the topic; false if it has none.
	Cursor(name, topic string) (offset uint64, ok bool)

	// Retain removes what limits no longer allow, oldest first: what is older
	// than Age whole, over a byte limit from the author (topic, total) that holds the
	// most. keep, asked for each candidate, vetoes. It returns what was removed.
	// It may take long; it is called by one goroutine at a time.
	Retain(now wire.Time, l Limits, keep func(*Meta) bool) ([]Meta, error)

	// Close waits for queued Appends to be written and synced, and is idempotent.
	Close() error
}

// Errors that callers test with [errors.Is].
var (
	ErrClosed   = errors.New("eventlog: closed")
	ErrFull     = errors.New("eventlog: no space left")
	ErrTrimmed  = errors.New("eventlog: trimmed by retention")
	ErrNotFound = errors.New("eventlog: no such batch")
	ErrDamaged  = errors.New("eventlog: damaged")
	ErrLocked   = errors.New("eventlog: in use by another process")
	ErrFormat   = errors.New("eventlog: unknown format version")
)
