package driver

import (
	"context"
	"slices"
	"sync"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// heldKey is whose events on which topic somebody waits for.
type heldKey struct {
	topic  string
	author wire.Author
}

// heldQuery asks to be told when so many other nodes hold an event.
type heldQuery struct {
	id    wire.EventID
	nodes int
	reply chan struct{}
}

func (q *heldQuery) key() heldKey { return heldKey{q.id.Topic, q.id.Author} }

func (q *heldQuery) apply(d *Driver) {
	if !q.answered(d) {
		d.waiters[q.key()] = append(d.waiters[q.key()], q)
	}
}

func (q *heldQuery) answered(d *Driver) bool {
	if d.core.HeldBy(q.id.Topic, q.id.Author, q.id.Mark) < q.nodes {
		return false
	}
	q.reply <- struct{}{}
	return true
}

// heldGivenUp tells that nobody waits for the query's answer any more.
type heldGivenUp struct{ query *heldQuery }

func (in heldGivenUp) apply(d *Driver) {
	k := in.query.key()
	d.waiters[k] = slices.DeleteFunc(d.waiters[k], func(q *heldQuery) bool { return q == in.query })
	if len(d.waiters[k]) == 0 {
		delete(d.waiters, k)
	}
}

// WaitHeld waits until so many other nodes have told that they hold the event,
// be it one of ours or another's. The error is [ErrClosed] or ctx's cause.
func (d *Driver) WaitHeld(ctx context.Context, id wire.EventID, nodes int) error {
	q := &heldQuery{id: id, nodes: nodes, reply: make(chan struct{}, 1)}
	_, err := ask(ctx, d, q, q.reply)
	if err != nil && ctx.Err() != nil {
		d.post(heldGivenUp{q})
	}
	return err
}

// allHeldQuery asks to be told when another node holds all that this one
// published in this run.
type allHeldQuery struct{ reply chan struct{} }

func (q *allHeldQuery) apply(d *Driver) {
	if len(d.awaited) == 0 {
		q.reply <- struct{}{}
		return
	}
	d.allHeld = append(d.allHeld, q)
}

// allHeldGivenUp tells that nobody waits for the query's answer any more.
type allHeldGivenUp struct{ query *allHeldQuery }

func (in allHeldGivenUp) apply(d *Driver) {
	d.allHeld = slices.DeleteFunc(d.allHeld, func(q *allHeldQuery) bool { return q == in.query })
}

// WaitAllHeld waits until some other node holds what this one published in
// this run, topic by topic. The error is [ErrClosed] or ctx's cause.
func (d *Driver) WaitAllHeld(ctx context.Context) error {
	if err := d.seq.settled(ctx); err != nil {
		return err
	}
	q := &allHeldQuery{make(chan struct{}, 1)}
	_, err := ask(ctx, d, q, q.reply)
	if err != nil && ctx.Err() != nil {
		d.post(allHeldGivenUp{q})
	}
	return err
}

// acked takes note that some node holds more of an author's events.
func (d *Driver) acked(n gossip.Notice) {
	k := heldKey{n.Topic, n.Author}
	if ws := d.waiters[k]; ws != nil {
		ws = slices.DeleteFunc(ws, func(q *heldQuery) bool { return q.answered(d) })
		if d.waiters[k] = ws; len(ws) == 0 {
			delete(d.waiters, k)
		}
	}
	if n.Author != d.self {
		return
	}
	if d.unheld.raise(n.Topic, n.Mark) {
		d.retain.acked()
	}
	if m, ok := d.awaited[n.Topic]; ok && n.Mark.Compare(m) >= 0 {
		delete(d.awaited, n.Topic)
	}
	if len(d.awaited) == 0 {
		for _, q := range d.allHeld {
			q.reply <- struct{}{}
		}
		d.allHeld = nil
	}
}

// unheldMarks tells retention which of our own events some other node holds.
type unheldMarks struct {
	mu    sync.Mutex // guards the field below
	acked map[string]wire.Mark
}

// raise reports whether m is news.
func (u *unheldMarks) raise(topic string, m wire.Mark) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m.Compare(u.acked[topic]) <= 0 {
		return false
	}
	u.acked[topic] = m
	return true
}

// held reports whether some other node holds our batch.
func (u *unheldMarks) held(h *wire.Header) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return h.End().Compare(u.acked[h.Topic]) <= 0
}
