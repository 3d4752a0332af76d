package eventlog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// disk is where an engine's groups go: the segment that is being written, and
// the goroutines that sync it and that write sidecars for the closed ones.
type disk struct {
	// Constant.
	cfg         Config
	dir         string
	incarnation uint64
	lock        io.Closer
	files       *openFiles

	segmentBytes atomic.Int64 // Config's, or less if the total limit is small

	// Of the writer alone.
	active   *segment
	torn     bool // a write failed and its beginning could not be cut off yet
	reserved bool // the reserve file is there

	wake   chan struct{} // of the syncer, capacity 1
	closed chan *segment // to the keeper: synced, and wanting a sidecar

	mu      sync.Mutex // guards the fields below
	waiting []waiter
	dirty   []dirt
	rolled  []*segment // closed, and not given to the keeper yet
	forced  bool       // dirty wants a sync under any policy
	lost    error      // a sync failed, and what it did not cover was not written again yet
	stopped bool
}

// waiter waits for what was written before it to be synced.
type waiter struct {
	done Done
	err  error
}

// dirt is a segment whose bytes up to size were written.
type dirt struct {
	seg  *segment
	size int64
}

const (
	sideBytesMax   = 8 << 20 // a segment of very many batches is closed early, so that its sidecar stays small
	keeperQueueCap = 16
	reserveName    = "reserve"
	reserveBytes   = 64 << 10
)

func wrapFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// spare reports whether retention's own small records may be tried although the
// log takes no batches: they are what makes room on a full disk.
func (d *disk) spare() bool { return d == nil || d.active.failure() == nil }

// reserve makes the file that is given up when the disk is full, so that the
// small records fit by which retention makes room. It is no error if it cannot.
func (d *disk) reserve() {
	if d.reserved {
		return
	}
	name := filepath.Join(d.dir, reserveName)
	f, err := d.cfg.FS.Create(name)
	if err != nil {
		return
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{recordMagic}, reserveBytes), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = d.cfg.FS.Remove(name) // there is no room for it now
	}
	d.reserved = err == nil
}

func (d *disk) useReserve() {
	if d == nil || !d.reserved {
		return
	}
	d.reserved = d.cfg.FS.Remove(filepath.Join(d.dir, reserveName)) != nil
}

// roll starts a new segment when the active one is full.
func (d *disk) roll(e *engine) error {
	s := d.active
	if s.size < d.segmentBytes.Load() && len(s.side) < sideBytesMax || e.failure() != nil {
		return nil
	}
	return d.next(e)
}

// next closes the active segment and starts another.
func (d *disk) next(e *engine) error {
	old := d.active
	h := fileHeader{incarnation: d.incarnation, number: old.number + 1, seed: uint32(randomUint64())}
	s, err := createSegment(d.cfg.FS, d.dir, h, d.cfg.Sync != SyncNever)
	if err != nil {
		return fmt.Errorf("eventlog: new segment: %w", wrapFull(err))
	}
	s.files = d.files
	e.mu.Lock()
	e.segments[s.number] = s
	e.mu.Unlock()
	d.active = s
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addDirt(s)
	if old.failure() == nil {
		d.rolled = append(d.rolled, old)
	}
	signal(d.wake)
	return nil
}

func (d *disk) addDirt(s *segment) {
	if n := len(d.dirty); n > 0 && d.dirty[n-1].seg == s {
		d.dirty[n-1].size = s.size
		return
	}
	d.dirty = append(d.dirty, dirt{s, s.size})
}

// store writes the group in one call.
func (d *disk) store(g *group, writes *atomic.Uint64) error {
	if len(g.buf) == 0 {
		return nil
	}
	if err := d.cutTorn(); err != nil {
		return err
	}
	g.seal(d.active.seed)
	writes.Add(1)
	err := d.active.writeAt(g.buf, g.base)
	if err == nil {
		return nil
	}
	d.torn = true
	if cut := d.cutTorn(); cut != nil {
		err = errors.Join(err, cut)
	}
	return fmt.Errorf("eventlog: write: %w", wrapFull(err))
}

// cutTorn cuts off what a failed write left behind.
func (d *disk) cutTorn() error {
	if !d.torn {
		return nil
	}
	s := d.active
	if err := s.with(func(f File) error { return f.Truncate(s.size) }); err != nil {
		return fmt.Errorf("eventlog: truncate: %w", wrapFull(err))
	}
	d.torn = false
	return nil
}

// written hands a group to the syncer, with those who wait for it.
func (d *disk) written(requests []request, g *group) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(g.buf) > 0 {
		d.addDirt(d.active)
	}
	d.forced = d.forced || g.forced
	if d.direct(g) {
		return
	}
	for i := range requests {
		if r := &requests[i]; r.done != nil {
			d.waiting = append(d.waiting, waiter{r.done, r.err})
		}
	}
	signal(d.wake)
}

// direct reports whether nobody waits for a sync of the group.
func (d *disk) direct(g *group) bool { return d.cfg.Sync != SyncAlways && !g.forced }

func (d *disk) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	signal(d.wake)
}

// syncLoop is the syncer: it forces to the disk what was written meanwhile, and
// then calls all who waited for that.
func (d *disk) syncLoop(e *engine) {
	defer close(d.closed)
	var tick <-chan time.Time
	if d.cfg.Sync == SyncInterval {
		t := time.NewTicker(d.cfg.Interval)
		defer t.Stop()
		tick = t.C
	}
	var waiting []waiter
	for {
		due := false
		select {
		case <-d.wake:
		case <-tick:
			due = true
		}
		d.mu.Lock()
		waiting, d.waiting = d.waiting, waiting[:0]
		due = due || d.forced || d.stopped || d.cfg.Sync == SyncAlways
		var dirty []dirt
		if due {
			dirty, d.dirty, d.forced = d.dirty, nil, false
		}
		stopped, lost := d.stopped, d.lost
		d.mu.Unlock()

		if err := d.sync(e, dirty); lost == nil {
			lost = err
		}
		d.tell(e, waiting, lost)
		d.passRolled()
		if stopped {
			return
		}
	}
}

// sync returns the first error.
func (d *disk) sync(e *engine, dirty []dirt) (first error) {
	for _, s := range dirty {
		if s.seg.failure() != nil {
			continue
		}
		e.syncs.Add(1)
		if err := s.seg.sync(s.size); err != nil && !errors.Is(err, errSegmentGone) {
			d.mu.Lock()
			d.lost = cmp.Or(d.lost, err)
			first = cmp.Or(first, err)
			d.mu.Unlock()
			e.fail(err)
		}
	}
	return first
}

// tell calls those who waited for a sync. None is told that its batch is stored
// while an earlier one, perhaps in a segment before, is not.
func (d *disk) tell(e *engine, waiting []waiter, lost error) {
	e.callMu.Lock()
	defer e.callMu.Unlock()
	for _, w := range waiting {
		if w.err == nil {
			w.err = lost
		}
		w.done(w.err)
	}
	clear(waiting)
}

// passRolled gives closed segments to the keeper, the synced ones unless nobody
// asked for syncs.
func (d *disk) passRolled() {
	d.mu.Lock()
	var ready []*segment
	kept := d.rolled[:0]
	for _, s := range d.rolled {
		switch {
		case s.failure() != nil:
		case d.cfg.Sync == SyncNever || s.synced.Load() >= s.size:
			ready = append(ready, s)
		default:
			kept = append(kept, s)
		}
	}
	clear(d.rolled[len(kept):])
	d.rolled = kept
	d.mu.Unlock()
	for _, s := range ready {
		d.closed <- s
	}
}

// keepLoop is the keeper: it writes the sidecars of closed segments.
func (d *disk) keepLoop(e *engine) {
	for s := range d.closed {
		if err := s.writeSidecar(d.incarnation, d.cfg.Sync != SyncNever); err != nil {
			e.logger.Warn("no sidecar was written: the next start reads the whole segment", "segment", s.number, "err", err)
		}
		e.mu.Lock()
		s.side = nil
		s.sideSize = max(s.sideSize, s.sideLength)
		e.mu.Unlock()
		if err := s.close(false); err != nil {
			e.debug("close", "segment", s.number, "err", err)
		}
	}
}

// recover makes the log writable again, or says why not.
func (d *disk) recover(e *engine) error {
	if err := d.cutTorn(); err != nil {
		return err
	}
	d.reserve()
	broken := e.broken()
	if d.active.failure() != nil {
		if err := d.next(e); err != nil {
			return err
		}
	}
	for _, s := range broken {
		if err := e.salvage(s); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = nil // what was salvaged is dirty, and synced before anybody is told again
	return nil
}

// broken returns the segments whose sync failed, in order: the active one, or
// one that was closed before its last sync.
func (e *engine) broken() []*segment {
	var all []*segment
	for _, n := range slices.Sorted(maps.Keys(e.segments)) {
		if s := e.segments[n]; s.failure() != nil {
			all = append(all, s)
		}
	}
	return all
}

// close ends the log after the goroutines have ended. The last record says that
// all before it is on the disk, so that the next start takes damage for damage
// and not for a torn end.
func (d *disk) close(e *engine) error {
	err := e.failure()
	if s := d.active; err == nil && s.synced.Load() > s.committed && s.synced.Load() == s.size {
		end := appendItem(nil, &item{kind: recCommit, pos: s.size})
		sealRecords(end, s.seed)
		err = s.writeAt(end, s.size)
		if err == nil {
			err = s.sync(s.size + int64(len(end)))
		}
	}
	for _, s := range e.segments {
		err = errors.Join(err, s.close(true))
	}
	return errors.Join(err, d.lock.Close())
}
