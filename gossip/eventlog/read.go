package eventlog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	runBytesMax  = 1 << 20 // batches that lie close together are read with one call up to it
	runGapMax    = 4 << 10 // bytes between two batches that are read along
	readAttempts = 4       // a batch may move while it is read
)

// spot is where a batch was when the index was asked.
type spot struct {
	rec  *record
	seg  *segment
	pos  int64
	size int // of the record
}

func (e *engine) spot(r *record) spot {
	return spot{rec: r, seg: e.segments[r.seg], pos: r.pos, size: frameBytes + prefixBytes + int(r.size)}
}

// Read implements [Log].
func (e *engine) Read(topic string, offset uint64, maxBytes int) ([]Entry, error) {
	entries, spots, err := e.look(topic, offset, maxBytes)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	for i := 0; i < len(entries); i++ {
		if spots[i].rec == nil {
			continue // a gap, in memory, or lost
		}
		if n := runLength(spots[i:]); n > 1 {
			e.readRun(entries[i:i+n], spots[i:i+n])
			i += n - 1
			continue
		}
		if err := e.readEntry(&entries[i], spots[i]); err != nil {
			if i == 0 {
				return nil, err
			}
			return entries[:i], nil
		}
	}
	return entries, nil
}

// look collects entries and where the bodies that are not in memory are.
func (e *engine) look(topic string, offset uint64, maxBytes int) ([]Entry, []spot, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, nil, ErrClosed
	}
	t := e.topics[topic]
	if t == nil {
		return nil, nil, nil
	}
	if first := t.first(); offset < first {
		return nil, nil, fmt.Errorf("%w: offset %d of %s is below %d", ErrTrimmed, offset, topic, first)
	}
	i := t.at(offset)
	if i > 0 && t.entries[i-1].next() > offset {
		i--
	}
	end, total := i, 0
	for ; end < len(t.entries) && (end == i || total < maxBytes); end++ {
		if r := t.entries[end].rec; r != nil {
			total += int(r.size)
		}
	}
	entries := make([]Entry, 0, end-i)
	metas := make([]Meta, 0, end-i)
	spots := make([]spot, end-i)
	for ; i < end; i++ {
		at := &t.entries[i]
		if at.gone() {
			continue
		}
		if at.gap != nil {
			gap := at.gap.Gap
			entries = append(entries, Entry{Offset: at.offset, Gap: &gap})
			continue
		}
		metas = append(metas, e.meta(at.rec))
		if at.rec.body == nil && !at.rec.lost {
			spots[len(entries)] = e.spot(at.rec)
		}
		entries = append(entries, Entry{
			Offset: at.offset, Batch: at.rec.body, Meta: &metas[len(metas)-1], Late: at.rec.late,
		})
	}
	return entries, spots[:len(entries)], nil
}

// runLength returns how many of the spots lie close together, one after the other.
func runLength(spots []spot) int {
	first := spots[0]
	end := first.pos + int64(first.size)
	for n, s := range spots[1:] {
		if s.rec == nil || s.seg != first.seg || s.pos < end || s.pos-end > runGapMax ||
			s.pos+int64(s.size)-first.pos > runBytesMax {
			return n + 1
		}
		end = s.pos + int64(s.size)
	}
	return len(spots)
}

// readRun reads batches that lie close together; those it cannot get, one by one.
func (e *engine) readRun(entries []Entry, spots []spot) {
	first, last := spots[0], spots[len(spots)-1]
	run := make([]byte, last.pos+int64(last.size)-first.pos)
	err := errSegmentGone
	if first.seg != nil {
		err = first.seg.readAt(run, first.pos)
	}
	for i, s := range spots {
		if err == nil {
			from := s.pos - first.pos
			record := run[from : from+int64(s.size) : from+int64(s.size)]
			if b, bad := decodeBatch(record, s.seg.seed, entries[i].Meta.ID); bad == nil {
				entries[i].Batch = b
				continue
			}
		}
		if e.readEntry(&entries[i], s) != nil {
			entries[i].Meta.Lost = true
		}
	}
}

// readEntry reads one body; one that is lost is no error.
func (e *engine) readEntry(entry *Entry, s spot) error {
	b, err := e.readBatch(s)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		entry.Meta.Lost = true
		return nil
	}
	entry.Batch = b
	return err
}

// readBatch reads the body of s.rec, following it if it moves meanwhile.
func (e *engine) readBatch(s spot) (*wire.Batch, error) {
	for range readAttempts {
		var b *wire.Batch
		err := errSegmentGone
		if s.seg != nil {
			record := make([]byte, s.size)
			if err = s.seg.readAt(record, s.pos); err == nil {
				b, err = decodeBatch(record, s.seg.seed, s.rec.id)
			}
		}
		if err == nil {
			return b, nil
		}
		e.mu.RLock()
		again, body, gone, closed := e.spot(s.rec), s.rec.body, s.rec.gone, e.closed
		e.mu.RUnlock()
		switch {
		case body != nil:
			return body, nil
		case closed:
			return nil, ErrClosed
		case gone:
			return nil, fmt.Errorf("%w: %v", ErrNotFound, s.rec.id)
		case again == s && isDamage(err):
			return nil, e.lose(s, err)
		case again == s && !errors.Is(err, errSegmentGone):
			return nil, fmt.Errorf("eventlog: read %v: %w", s.rec.id, err)
		}
		s = again
	}
	return nil, fmt.Errorf("eventlog: read %v: %w", s.rec.id, errSegmentGone)
}

// isDamage reports whether an error means that the bytes are not there, rather
// than that they cannot be had now.
func isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO)
}

// lose notes that a body is damaged.
func (e *engine) lose(s spot, why error) error {
	e.mu.Lock()
	first := !s.rec.lost && s.rec.seg == s.seg.number && s.rec.pos == s.pos
	if first {
		s.rec.lost = true
	}
	e.mu.Unlock()
	if first {
		e.logger.Warn("a stored batch is damaged and wants refetching",
			"batch", s.rec.id.String(), "segment", s.seg.number, "position", s.pos, "err", why)
	}
	if errors.Is(why, ErrDamaged) {
		return why
	}
	return fmt.Errorf("%w: %w", ErrDamaged, why)
}

// decodeBatch checks and parses a batch's record.
func decodeBatch(record []byte, seed uint32, id wire.BatchID) (*wire.Batch, error) {
	kind, n, ok := checkFrame(record)
	if !ok || kind != recBatch || n != len(record) || !checkRecord(record, seed) {
		return nil, fmt.Errorf("%w: batch %v", ErrDamaged, id)
	}
	b, err := wire.ParseBatch(record[frameBytes+prefixBytes:])
	if err != nil {
		return nil, fmt.Errorf("%w: batch %v: %w", ErrDamaged, id, err)
	}
	if b.ID != id {
		return nil, fmt.Errorf("%w: batch %v where %v should be", ErrDamaged, b.ID, id)
	}
	return b, nil
}

// Batch implements [Log].
func (e *engine) Batch(id wire.BatchID) (*wire.Batch, error) {
	e.mu.RLock()
	r := e.batches[id]
	closed := e.closed
	if closed || r == nil || r.lost || r.body != nil {
		defer e.mu.RUnlock()
		switch {
		case closed:
			return nil, ErrClosed
		case r == nil || r.headless:
			return nil, fmt.Errorf("%w: %v", ErrNotFound, id)
		case r.body != nil:
			return r.body, nil
		}
		return nil, fmt.Errorf("%w: batch %v", ErrDamaged, id)
	}
	s := e.spot(r)
	e.mu.RUnlock()
	return e.readBatch(s)
}

// closedChan is what Changed returns when there is nothing to wait for.
var closedChan = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Changed implements [Log]. Close closes the channel too.
func (e *engine) Changed(topic string, offset uint64) <-chan struct{} {
	passed := func() bool {
		t := e.topics[topic]
		return e.closed || t != nil && t.next > offset
	}
	e.mu.RLock()
	now := passed()
	e.mu.RUnlock()
	if now {
		return closedChan
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if passed() {
		return closedChan
	}
	waits := e.waits[topic]
	if waits == nil {
		waits = make(map[uint64]chan struct{}, 1)
		e.waits[topic] = waits
	}
	c := waits[offset]
	if c == nil {
		c = make(chan struct{})
		waits[offset] = c
	}
	return c
}

// SeekTime implements [Log].
func (e *engine) SeekTime(topic string, t wire.Time) uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	x := e.topics[topic]
	if x == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(x.entries, t, func(en entry, t wire.Time) int { return cmp.Compare(en.newest, t) })
	for ; i < len(x.entries); i++ {
		if r := x.entries[i].rec; r != nil && !r.gone && r.time >= t {
			return x.entries[i].offset
		}
	}
	return x.next
}
