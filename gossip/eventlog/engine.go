package eventlog

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/busnode/busnode/gossip/wire"
)

// engine is a log; with disk nil, one in memory. Two goroutines serve it: the
// writer, which alone changes the index and the segments, and the syncer, which
// forces to the disk what the writer has written while the writer goes on.
type engine struct {
	// Constant.
	disk        *disk // nil: memory log
	logger      *slog.Logger
	maxBytes    int64 // memory log; 0: no limit
	tailBytes   int64 // negative: keep all bodies
	incarnation uint64
	repaired    []string
	wg          sync.WaitGroup
	closeOnce   sync.Once
	closeErr    error

	// Of the writer alone.
	group group

	writes, syncs, skipped atomic.Uint64

	mu sync.RWMutex // guards the fields below
	index
	tail   tail
	waits  map[string]map[uint64]chan struct{} // by topic and offset
	closed bool

	queue queue

	callMu sync.Mutex // held while Dones are called, so that they come one at a time

	failMu sync.Mutex // guards the field below
	failed error      // why nothing is written any more
}

// request is an Append, or a Resume.
type request struct {
	ops           []Op
	owns          []own // of retention: also while the disk is full
	resume        bool
	written, done Done
	err           error // of this request alone
}

// queue brings requests to the writer, in order.
type queue struct {
	mu       sync.Mutex // guards the fields below
	requests []request
	closed   bool

	wake chan struct{} // capacity 1
}

func (q *queue) put(r request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.requests = append(q.requests, r)
	signal(q.wake)
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.wake)
}

// take waits for requests. It reuses spare, and returns true with the last ones.
func (q *queue) take(spare []request) ([]request, bool) {
	for {
		q.mu.Lock()
		if len(q.requests) > 0 || q.closed {
			taken := q.requests
			q.requests = spare[:0]
			last := q.closed
			q.mu.Unlock()
			return taken, last
		}
		q.mu.Unlock()
		<-q.wake
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Append implements [Log]. After Close it calls both Dones before it returns.
func (e *engine) Append(ops []Op, written, durable Done) {
	if e.queue.put(request{ops: ops, written: written, done: durable}) {
		return
	}
	if written != nil {
		written(ErrClosed)
	}
	if durable != nil {
		durable(ErrClosed)
	}
}

// Resume implements [Log].
func (e *engine) Resume() { e.queue.put(request{resume: true}) }

// do has the writer do what retention wants, and waits until that is on the disk.
func (e *engine) do(owns []own) error {
	done := make(chan error, 1)
	if !e.queue.put(request{owns: owns, done: func(err error) { done <- err }}) {
		return ErrClosed
	}
	return <-done
}

// write is the writer.
func (e *engine) write() {
	var spare []request
	for {
		requests, last := e.queue.take(spare)
		spare = requests
		for rest := requests; len(rest) > 0; {
			n := e.commit(rest)
			rest = rest[n:]
		}
		clear(requests)
		if last && len(requests) == 0 {
			break
		}
	}
	if e.disk != nil {
		e.disk.stop()
	}
}

// commit writes one group, made of the first n requests.
func (e *engine) commit(requests []request) (n int) {
	if requests[0].resume {
		e.resume()
		return 1
	}
	e.prepare()
	n = e.gather(requests)
	requests = requests[:n]
	if err := e.store(); err != nil {
		e.fail(err)
		e.unplan()
		for i := range requests {
			if requests[i].err == nil {
				requests[i].err = err
			}
		}
	} else {
		e.apply()
	}
	e.call(requests)
	return n
}

// prepare makes the group empty, and starts a new segment if the old one is full.
func (e *engine) prepare() {
	var s *segment
	if e.disk != nil {
		if err := e.disk.roll(e); err != nil {
			e.fail(err)
		}
		s = e.disk.active
	}
	e.group.reset(s)
	if s != nil {
		if synced := s.synced.Load(); synced > s.committed {
			s.committed = synced
			e.group.buf = appendItem(e.group.buf, &item{kind: recCommit, pos: synced})
		}
	}
}

// gather plans requests until the group is large enough, and returns how many.
func (e *engine) gather(requests []request) int {
	failed := e.failure()
	for i := range requests {
		r := &requests[i]
		if i > 0 && (r.resume || r.owns != nil || requests[0].owns != nil || e.groupBytes() >= groupMaxBytes) {
			// What retention does is planned against an index that is up to date, and
			// nobody else waits for its sync: later Appends would be told before them.
			return i
		}
		switch {
		case failed != nil && (r.owns == nil || !e.disk.spare()):
			r.err = failed
		case r.owns != nil:
			if failed != nil {
				e.disk.useReserve()
			}
			e.group.forced = true
			for j := range r.owns {
				e.planOwn(&r.owns[j])
			}
		default:
			if r.err = checkOps(r.ops); r.err == nil {
				e.plan(r.ops)
			}
		}
	}
	return len(requests)
}

func (e *engine) groupBytes() int64 { return max(e.group.bytes, int64(len(e.group.buf))) }

// store writes the group.
func (e *engine) store() error {
	g := &e.group
	if e.disk != nil {
		return e.disk.store(g, &e.writes)
	}
	if e.maxBytes > 0 && g.bytes > 0 && e.bytes+g.bytes > e.maxBytes {
		return fmt.Errorf("%w: the memory log holds %d of %d bytes", ErrFull, e.bytes, e.maxBytes)
	}
	if len(g.changes) > 0 {
		e.writes.Add(1)
	}
	return nil
}

// call calls the Dones of a group, or has the syncer do it.
func (e *engine) call(requests []request) {
	e.callMu.Lock()
	for i := range requests {
		if r := &requests[i]; r.written != nil {
			r.written(r.err)
		}
	}
	if e.disk == nil || e.disk.direct(&e.group) {
		for i := range requests {
			if r := &requests[i]; r.done != nil {
				r.done(r.err)
			}
		}
	}
	e.callMu.Unlock()
	if e.disk != nil {
		e.disk.written(requests, &e.group)
	}
}

func (e *engine) failure() error {
	e.failMu.Lock()
	defer e.failMu.Unlock()
	return e.failed
}

// fail stops writing until Resume; the first error stays.
func (e *engine) fail(err error) {
	e.failMu.Lock()
	first := e.failed == nil
	if first {
		e.failed = err
	}
	e.failMu.Unlock()
	if first {
		e.logger.Error("log takes no more batches until it is resumed", "err", err)
	}
}

func (e *engine) resume() {
	err := e.failure()
	if err == nil {
		return
	}
	if e.disk != nil {
		if again := e.disk.recover(e); again != nil {
			e.logger.Warn("log could not be resumed", "err", again)
			return
		}
	}
	e.failMu.Lock()
	e.failed = nil
	e.failMu.Unlock()
	e.logger.Info("log takes batches again", "err", err)
}

// Close implements [Log].
func (e *engine) Close() error {
	e.closeOnce.Do(func() {
		e.queue.close()
		e.wg.Wait()
		e.mu.Lock()
		e.closed = true
		for _, t := range e.waits {
			for _, c := range t {
				close(c)
			}
		}
		e.waits = nil
		e.mu.Unlock()
		if e.disk != nil {
			e.closeErr = e.disk.close(e)
		}
	})
	return e.closeErr
}

func (e *engine) debug(msg string, args ...any) {
	if e.logger.Enabled(context.Background(), slog.LevelDebug) {
		e.logger.Debug(msg, args...)
	}
}

func newEngine(logger *slog.Logger) *engine {
	e := &engine{
		logger: logger,
		index:  newIndex(),
		waits:  make(map[string]map[uint64]chan struct{}),
	}
	e.queue.wake = make(chan struct{}, 1)
	e.group.lives = make(map[string]uint64)
	e.group.compacted = make(map[*topicIndex]bool)
	e.group.pending = make(map[wire.BatchID]int)
	return e
}
