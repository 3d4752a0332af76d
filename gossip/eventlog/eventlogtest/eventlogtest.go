// Package eventlogtest is the conformance suite of eventlog.Log, and a faulty
// file system for tests of what a log makes of a disk that fails.
package eventlogtest

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// Factory returns how to open a log, and whether what it held is there again
// when it is opened after Close. Each call of Factory is for a new, empty log.
type Factory func(t *testing.T) (open func() eventlog.Log, durable bool)

// Base is the date of an author's first batch.
const Base = wire.Time(1_700_000_000_000_000_000)

// Author seals batches of one author on one topic, each after the one before.
type Author struct {
	t      testing.TB
	signer wire.Signer
	topic  string
	epoch  wire.Epoch
	seq    uint64
	prev   wire.Prev
	now    wire.Time
}

// NewAuthor returns an author with a key that number determines.
func NewAuthor(t testing.TB, topic string, number byte) *Author {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = number
	return &Author{
		t: t, topic: topic, signer: wire.NewSigner(ed25519.NewKeyFromSeed(seed)),
		epoch: wire.Epoch(uint64(Base/1e6)<<16 + uint64(number)), now: Base,
	}
}

// ID returns the author's key.
func (a *Author) ID() wire.Author { return a.signer.Author() }

// At sets the date of the next batch; those after it are a second apart.
func (a *Author) At(now wire.Time) *Author {
	a.now = now
	return a
}

// Restart begins the author's next epoch.
func (a *Author) Restart() *Author {
	a.epoch += 1 << 16
	a.seq = 0
	return a
}

// Batch seals the author's next batch, of events that carry size bytes each.
func (a *Author) Batch(events, size int) *wire.Batch {
	a.t.Helper()
	var body []byte
	for i := range events {
		ev := wire.Event{Time: a.now, Payload: make([]byte, size)}
		copy(ev.Payload, fmt.Sprintf("%d", a.seq+uint64(i)+1))
		body = wire.AppendEvent(body, a.now, &ev)
	}
	h := wire.Header{
		Version: 1, Network: "test", Topic: a.topic, Epoch: a.epoch,
		First: a.seq + 1, Count: uint32(events), Prev: a.prev, Time: a.now,
	}
	b, err := wire.Seal(h, body, a.signer)
	if err != nil {
		a.t.Fatalf("seal: %v", err)
	}
	a.seq += uint64(events)
	a.prev = wire.Prev{Mark: b.Header.End(), Time: a.now}
	a.now = a.now.Add(time.Second)
	return b
}

// Append appends ops and waits until they are durable.
func Append(t testing.TB, log eventlog.Log, ops ...eventlog.Op) {
	t.Helper()
	if err := TryAppend(log, ops...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// TryAppend appends ops and waits for the verdict.
func TryAppend(log eventlog.Log, ops ...eventlog.Op) error {
	done := make(chan error, 1)
	log.Append(ops, nil, func(err error) { done <- err })
	return <-done
}

// Stored returns the op that stores b.
func Stored(b *wire.Batch) eventlog.Op { return eventlog.Op{Kind: eventlog.OpBatch, Batch: b} }

// Released returns the op that releases b.
func Released(b *wire.Batch) eventlog.Op { return eventlog.Op{Kind: eventlog.OpRelease, ID: b.ID} }

// Both returns the ops that store and release batches.
func Both(batches ...*wire.Batch) []eventlog.Op {
	var ops []eventlog.Op
	for _, b := range batches {
		ops = append(ops, Stored(b), Released(b))
	}
	return ops
}

// Fataler is what a test ends with: testing.TB or rapid.T.
type Fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// ReadAll reads a topic from its first offset on.
func ReadAll(t Fataler, log eventlog.Log, topic string) []eventlog.Entry {
	t.Helper()
	info, ok := log.Topic(topic)
	if !ok {
		return nil
	}
	var all []eventlog.Entry
	for offset := info.First; offset < info.Next; {
		entries, err := log.Read(topic, offset, 1<<20)
		if err != nil {
			t.Fatalf("read %s from %d: %v", topic, offset, err)
		}
		if len(entries) == 0 {
			break
		}
		all = append(all, entries...)
		offset = entries[len(entries)-1].Next()
	}
	return all
}

// Close closes the log and fails the test on an error.
func Close(t testing.TB, log eventlog.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
