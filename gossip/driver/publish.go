package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

// Publish publishes an event and returns its ID. A nil error means that this
// node holds the event as durably as the log's sync policy says (P1), not that
// any other does: see [Driver.WaitHeld]. It copies ev's bytes before it
// returns; an event without a time is dated by the driver's clock. It waits for
// the log, never for the network; when ctx ends the wait, the event may be
// published nevertheless. The error wraps [ErrTooLarge], [ErrTopic],
// [ErrBacklog], [ErrClock], [ErrIdentityInUse], [ErrClosed],
// [eventlog.ErrFull] or ctx's cause.
func (d *Driver) Publish(ctx context.Context, topic string, ev wire.Event) (wire.EventID, error) {
	id, b, err := d.add(ctx, topic, &ev, true)
	if err != nil {
		return wire.EventID{}, err
	}
	select {
	case <-b.done:
		return id, publishError(topic, b.err)
	case <-ctx.Done():
		return id, context.Cause(ctx)
	}
}

// PublishAsync is Publish without the wait: nil means that the event is in the
// open batch. [Driver.Flush] waits for it and returns what became of it.
// PublishAsync waits while the open batch is full.
func (d *Driver) PublishAsync(ctx context.Context, topic string, ev wire.Event) (wire.EventID, error) {
	id, _, err := d.add(ctx, topic, &ev, false)
	return id, err
}

func (d *Driver) add(ctx context.Context, topic string, ev *wire.Event, wait bool) (wire.EventID, *openBatch, error) {
	if err := d.check(ev); err != nil {
		return wire.EventID{}, nil, err
	}
	if err := d.ready(ctx); err != nil {
		return wire.EventID{}, nil, d.refusal(err)
	}
	id, b, err := d.seq.addOne(ctx, topic, ev, wait)
	if err != nil {
		return wire.EventID{}, nil, d.refusal(err)
	}
	return id, b, nil
}

// PublishAll publishes events of one topic in their order, coalesced, and
// waits for all as [Driver.Publish] does. After an error the events of the
// IDs that are returned are held, and those after them may not be.
func (d *Driver) PublishAll(ctx context.Context, topic string, evs []wire.Event) ([]wire.EventID, error) {
	for i := range evs {
		if err := d.check(&evs[i]); err != nil {
			return nil, fmt.Errorf("event %d of %d: %w", i, len(evs), err)
		}
	}
	if err := d.ready(ctx); err != nil {
		return nil, d.refusal(err)
	}
	ids, batches, err := d.seq.add(ctx, topic, evs)
	if err != nil {
		err = d.refusal(err)
	}
	held := 0
	for _, b := range batches {
		select {
		case <-b.batch.done:
		case <-ctx.Done():
			return ids[:held], context.Cause(ctx)
		}
		if b.batch.err != nil {
			return ids[:held], publishError(topic, b.batch.err)
		}
		held = b.upto
	}
	return ids[:held], err
}

// Flush waits until all that this node published before is durable. It returns
// the first failure since the last Flush of an event of [Driver.PublishAsync].
func (d *Driver) Flush(ctx context.Context) error {
	if err := d.seq.settled(ctx); err != nil {
		return err
	}
	if err := d.seq.takeAsyncErr(); err != nil {
		return fmt.Errorf("driver: publish: %w", err)
	}
	return nil
}

func (d *Driver) check(ev *wire.Event) error {
	err := ev.Valid(d.cfg.EventMaxBytes)
	if err == nil {
		return nil
	}
	d.counters.refused.Add(1)
	if errors.Is(err, wire.ErrTooLarge) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("driver: publish: %w", err)
}

// ready makes sure that this run has its epoch.
func (d *Driver) ready(ctx context.Context) error {
	if d.seq.begun.Load() {
		return nil
	}
	reply := make(chan struct{}, 1)
	_, err := ask(ctx, d, begin{reply}, reply)
	return err
}

// refusal counts an event that was refused and says why.
func (d *Driver) refusal(err error) error {
	d.counters.refused.Add(1)
	return fmt.Errorf("driver: publish: %w", err)
}

func publishError(topic string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("driver: publish on %s: %w", topic, err)
}
