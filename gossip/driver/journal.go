package driver

import (
	"errors"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
)

// journal is the driver's way into the log. After a failure (a full disk, say)
// it lets nothing in until all that was under way has failed too; only then
// it lets the log try again. So no batch overtakes a predecessor that was not
// stored, and the sequencer knows which numbers to give out anew.
type journal struct {
	log     eventlog.Log
	onFail  func(error) // after the first failure; must not block
	onRetry func()      // writing may be tried again; must not block

	mu       sync.Mutex // guards the fields below
	open     int        // reservations that were not given back
	failed   error      // why nothing is let in; nil: all is well
	failures uint64
	idle     chan struct{} // closed when open falls to 0, if somebody waits

	broken chan struct{} // capacity 1: there was a first failure
}

func newJournal(log eventlog.Log) *journal {
	return &journal{log: log, broken: make(chan struct{}, 1)}
}

// reserve asks for one append. After nil exactly one call of append or give must follow.
func (j *journal) reserve() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return j.failed
	}
	j.open++
	return nil
}

// give ends a reservation.
func (j *journal) give() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open--
	if j.open == 0 && j.idle != nil {
		close(j.idle)
		j.idle = nil
	}
}

// err returns why nothing is let in, or nil.
func (j *journal) err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// append hands ops to the log under a reservation, which ends with durable.
// written and durable are called once each, in this order, both with the error
// if there is one; from the log's goroutine, or at once if the log has failed
// since the reservation.
func (j *journal) append(ops []eventlog.Op, written, durable eventlog.Done) {
	if err := j.err(); err != nil {
		written(err)
		durable(err)
		j.give()
		return
	}
	told := false // both callbacks come from the log's one goroutine
	j.log.Append(ops, func(err error) {
		told = true
		if err != nil {
			j.fail(err)
		}
		written(err)
	}, func(err error) {
		if err != nil {
			j.fail(err)
		}
		if !told {
			written(err)
		}
		durable(err)
		j.give()
	})
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	j.failures++
	first := j.failed == nil
	if first {
		j.failed = err
	}
	j.mu.Unlock()
	if !first {
		return
	}
	j.onFail(err)
	select {
	case j.broken <- struct{}{}:
	default:
	}
}

// wait waits until no reservation is open, or returns false when stop is
// closed first. A nil stop is never closed.
func (j *journal) wait(stop <-chan struct{}) bool {
	for {
		j.mu.Lock()
		if j.open == 0 {
			j.mu.Unlock()
			return true
		}
		if j.idle == nil {
			j.idle = make(chan struct{})
		}
		idle := j.idle
		j.mu.Unlock()
		select {
		case <-idle:
		case <-stop:
			return false
		}
	}
}

// run lets the log try again after failures, until stop is closed.
func (j *journal) run(stop <-chan struct{}) {
	timer := time.NewTimer(retryInterval)
	defer timer.Stop()
	for {
		select {
		case <-j.broken:
		case <-stop:
			return
		}
		timer.Reset(retryInterval)
		select {
		case <-timer.C:
		case <-stop:
			return
		}
		if !j.wait(stop) || errors.Is(j.err(), eventlog.ErrClosed) {
			return
		}
		j.log.Resume()
		j.mu.Lock()
		j.failed = nil
		j.mu.Unlock()
		j.onRetry()
	}
}
