package bus

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"
)

// turnstile lets one reader through at a time. Passing a free one, as almost
// always, costs two atomic operations; a channel's lock would show per event.
type turnstile struct {
	busy    atomic.Bool
	waiters atomic.Int32
	freed   chan struct{} // capacity 1: a waiter may try again
}

// enter waits for the turn, at most until ctx or the reader is done.
func (t *turnstile) enter(ctx context.Context, done <-chan struct{}) error {
	if t.busy.CompareAndSwap(false, true) {
		return nil
	}
	t.waiters.Add(1) // before the next try, so that whoever leaves after it wakes this one
	defer t.waiters.Add(-1)
	for !t.busy.CompareAndSwap(false, true) {
		select {
		case <-t.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-done:
			return ErrClosed
		}
	}
	return nil
}

func (t *turnstile) leave() {
	t.busy.Store(false)
	if t.waiters.Load() == 0 {
		return
	}
	select {
	case t.freed <- struct{}{}:
	default:
	}
}

// wait returns when at least one topic is ready, or with why there will be
// none: no topic is ready now.
func (r *reader) wait(ctx context.Context) error {
	for {
		r.rouse()
		if len(r.ready) > 0 {
			return nil
		}
		if err := r.waitOnce(ctx); err != nil {
			return err
		}
	}
}

// waitOnce waits for word of the log, of a new topic, or for the time to look
// again for a damaged body.
func (r *reader) waitOnce(ctx context.Context) error {
	var timer <-chan time.Time
	if at := r.nextRetry(); !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		timer = t.C
	}
	if len(r.idle) > 1 {
		return r.waitMany(ctx, timer)
	}
	var changed <-chan struct{}
	if len(r.idle) == 1 {
		changed = r.idle[0].changed
	}
	select {
	case <-changed:
	case <-r.wake:
		r.takeJoined()
	case <-timer:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.done:
		return ErrClosed
	}
	return nil
}

func (r *reader) nextRetry() (at time.Time) {
	for _, c := range r.idle {
		if c.changed == nil && (at.IsZero() || c.retry.Before(at)) {
			at = c.retry
		}
	}
	return at
}

// selectMax is what reflect.Select takes, less the fixed cases. Topics above it
// are looked at once a selectPoll.
const (
	selectMax  = 65536 - 5
	selectPoll = 100 * time.Millisecond
)

// waitMany is waitOnce for many topics. It costs time in their number, and runs
// only when none of them has anything to read.
func (r *reader) waitMany(ctx context.Context, timer <-chan time.Time) error {
	var poll <-chan time.Time
	idle := r.idle
	if len(idle) > selectMax {
		t := time.NewTimer(selectPoll)
		defer t.Stop()
		idle, poll = idle[:selectMax], t.C
	}
	receive := func(ch any) reflect.SelectCase {
		return reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)}
	}
	cases := make([]reflect.SelectCase, 0, len(idle)+5)
	cases = append(cases, receive(ctx.Done()), receive(r.done), receive(r.wake), receive(timer), receive(poll))
	for _, c := range idle {
		cases = append(cases, receive(c.changed))
	}
	switch i, _, _ := reflect.Select(cases); i {
	case 0:
		return context.Cause(ctx)
	case 1:
		return ErrClosed
	case 2:
		r.takeJoined()
	}
	return nil
}
