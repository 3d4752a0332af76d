package bus

import (
	"context"
	"reflect"
	"time"
)

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
