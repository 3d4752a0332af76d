package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

const (
	durableNameMax = 255 // bytes
	cursorDelay    = 50 * time.Millisecond
)

// DurableInfo describes a durable name.
type DurableInfo struct {
	Name   string
	Filter string // the topic or filter that it is bound to
}

// Durables returns the durable names of this node, by name.
func (b *Bus) Durables() []DurableInfo {
	durables := b.log.Durables()
	infos := make([]DurableInfo, len(durables))
	for i, d := range durables {
		infos[i] = DurableInfo(d)
	}
	return infos
}

// ForgetDurable removes a durable name, its place and its interest, and waits
// until that is in the log. The error wraps [ErrNotFound], [ErrInUse] while a
// subscription of that name is open, or [ErrClosed].
func (b *Bus) ForgetDurable(name string) error {
	if err := b.reserve(name); err != nil {
		return err
	}
	defer b.unreserve(name)
	filter, ok := b.durableFilter(name)
	if !ok {
		return fmt.Errorf("%w: durable name %q", ErrNotFound, name)
	}
	b.cursors.forget(name)
	op := eventlog.Op{Kind: eventlog.OpForget, Durable: eventlog.Durable{Name: name}}
	if err := b.appendAndWait(context.Background(), op); err != nil {
		return fmt.Errorf("bus: forget durable name %q: %w", name, translate(err))
	}
	return translate(b.driver.RemoveInterest(filter))
}

func (b *Bus) durableFilter(name string) (string, bool) {
	for _, d := range b.log.Durables() {
		if d.Name == name {
			return d.Filter, true
		}
	}
	return "", false
}

func validDurable(name string) error {
	if name == "" || len(name) > durableNameMax || !utf8.ValidString(name) {
		return configError("durable name %q: want 1 to %d bytes of UTF-8", name, durableNameMax)
	}
	return nil
}

// reserve takes the name for one subscription.
func (b *Bus) reserve(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return ErrClosed
	}
	if _, open := b.durables[name]; open {
		return fmt.Errorf("%w: durable name %q has a subscription open", ErrInUse, name)
	}
	b.durables[name] = struct{}{}
	return nil
}

func (b *Bus) unreserve(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.durables, name)
}

// declare writes a new durable name with its starting places, or checks that an
// old one is bound to the same filter.
func (b *Bus) declare(ctx context.Context, name, filter string, starts map[string]uint64) error {
	d := eventlog.Durable{Name: name, Filter: filter}
	ops := []eventlog.Op{{Kind: eventlog.OpDurable, Durable: d}}
	for topic, offset := range starts {
		ops = append(ops, cursorOp(cursorKey{name, topic}, offset))
	}
	if err := b.driver.AddInterest(filter); err != nil {
		return translate(err)
	}
	if err := b.appendAndWait(ctx, ops...); err != nil {
		return errors.Join(translate(err), translate(b.driver.RemoveInterest(filter)))
	}
	return nil
}

// appendAndWait waits until ops are durable. When ctx ends first they may
// become so all the same.
func (b *Bus) appendAndWait(ctx context.Context, ops ...eventlog.Op) error {
	done := make(chan error, 1)
	b.log.Append(ops, nil, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func cursorOp(k cursorKey, offset uint64) eventlog.Op {
	return eventlog.Op{
		Kind: eventlog.OpCursor, Durable: eventlog.Durable{Name: k.name}, Topic: k.topic, Offset: offset,
	}
}

// ack moves the durable name's place past offset.
func (r *reader) ack(ctx context.Context, topic string, offset uint64) error {
	switch {
	case r.durable == "":
		return configError("Ack: the subscription of %q has no durable name", r.filter)
	case topic == "" || !wire.Match(r.filter, topic):
		return configError("Ack: an event of %q on a subscription of %q", topic, r.filter)
	}
	if err := r.ended(ctx); err != nil {
		return err
	}
	return r.bus.cursors.move(cursorKey{r.durable, topic}, offset+1)
}

// cursorWriter gathers acknowledgements and writes them to the log together,
// cursorDelay after the first.
type cursorWriter struct {
	log     eventlog.Log
	pending sync.WaitGroup // timers that will still write
	writing chan struct{}  // capacity 1: keeps the log's order that of the places

	mu     sync.Mutex // guards the fields below
	places map[cursorKey]uint64
	dirty  map[cursorKey]struct{}
	timer  *time.Timer // nil: none is running
	err    error       // of a write, until it is reported
	closed bool
}

type cursorKey struct{ name, topic string }

func newCursorWriter(log eventlog.Log) *cursorWriter {
	return &cursorWriter{
		log:     log,
		writing: make(chan struct{}, 1),
		places:  map[cursorKey]uint64{},
		dirty:   map[cursorKey]struct{}{},
	}
}

// move sets the place, never back, and returns the error of an earlier write.
func (w *cursorWriter) move(k cursorKey, offset uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if offset > w.places[k] {
		w.places[k] = offset
		w.dirty[k] = struct{}{}
		w.arm()
	}
	err := w.err
	w.err = nil
	return err
}

// arm sees to it that what is dirty is written soon. w.mu is held.
func (w *cursorWriter) arm() {
	if w.timer != nil {
		return
	}
	w.pending.Add(1)
	w.timer = time.AfterFunc(cursorDelay, func() {
		defer w.pending.Done()
		w.flush()
	})
}

// place returns the newest place, also one not written yet.
func (w *cursorWriter) place(name, topic string) (uint64, bool) {
	offset, ok := w.log.Cursor(name, topic)
	w.mu.Lock()
	defer w.mu.Unlock()
	newer, moved := w.places[cursorKey{name, topic}]
	return max(offset, newer), ok || moved
}

// forget drops what is known of the name, so that it can start anew.
func (w *cursorWriter) forget(name string) {
	w.flush() // whatever is written later must not come after OpForget
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.places {
		if k.name == name {
			delete(w.places, k)
		}
	}
}

// flush hands to the log what was acknowledged.
func (w *cursorWriter) flush() {
	w.writing <- struct{}{}
	defer func() { <-w.writing }()

	w.mu.Lock()
	ops := make([]eventlog.Op, 0, len(w.dirty))
	for k := range w.dirty {
		ops = append(ops, cursorOp(k, w.places[k]))
	}
	clear(w.dirty)
	if w.timer != nil && w.timer.Stop() {
		w.pending.Done()
	}
	w.timer = nil
	w.mu.Unlock()

	if len(ops) > 0 {
		w.log.Append(ops, nil, func(err error) { w.written(ops, err) })
	}
}

// written keeps the error of a write for the next Ack, and its places for the
// next write.
func (w *cursorWriter) written(ops []eventlog.Op, err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("bus: write acknowledged places: %w", translate(err))
	for _, op := range ops {
		k := cursorKey{op.Durable.Name, op.Topic}
		if _, known := w.places[k]; known {
			w.dirty[k] = struct{}{}
		}
	}
}

// close writes what is left and refuses more. The log's own Close waits for it.
func (w *cursorWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.flush()
	w.pending.Wait()
}

// failure returns the error of a write that nobody was told.
func (w *cursorWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
