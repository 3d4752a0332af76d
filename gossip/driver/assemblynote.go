package driver

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// What the core hears of assemblies, and when they end unfinished.

// cutOff notes that the peer sends no more of what it has begun: its link went
// down, or its answer has ended.
func (a *assembler) cutOff(from wire.PeerID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shares[from] == nil {
		return
	}
	for _, x := range a.all {
		if x.from == from {
			a.note(x)
		}
	}
}

// note tells the core how far an assembly got. a.mu is held.
func (a *assembler) note(x *assembly) {
	if x.cut {
		return
	}
	x.cut = true
	a.promote(x)
	if x.head != nil && x.key.from == "" {
		x.told = true
		a.tell(partial{x.key.id, x.head, len(x.buf)})
	}
}

// promote makes an assembly of one peer alone the one that the core knows of,
// if there is none, or one that got less far and that nobody goes on with. a.mu is held.
func (a *assembler) promote(x *assembly) {
	k := assemblyKey{id: x.key.id}
	if x.key.from == "" || x.head == nil || a.suspects[k.id] {
		return
	}
	if shorter := a.all[k]; shorter != nil {
		if !shorter.cut || shorter.heir != "" || len(shorter.buf) >= len(x.buf) {
			return
		}
		a.remove(shorter)
	}
	a.leave(x)
	x.key = k
	a.enter(x)
}

// tell queues word for the core. a.mu is held.
func (a *assembler) tell(p partial) {
	a.notes = append(a.notes, p)
	a.noted.Store(true)
}

// sweep notes what has stalled, and drops what nobody continued.
func (a *assembler) sweep(now time.Time) {
	if due := a.next(); due.IsZero() || now.Before(due) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	next := time.Duration(0)
	for _, x := range a.all {
		switch idle := now.Sub(x.at); {
		case idle >= assemblyKeep:
			a.stats.expired++
			a.remove(x)
			continue
		case idle >= a.stall:
			a.note(x)
		}
		due := x.at.Add(a.stall).Sub(a.born)
		if x.cut {
			due = x.at.Add(assemblyKeep).Sub(a.born)
		}
		if next == 0 || due < next {
			next = due
		}
	}
	a.due.Store(int64(next))
}

// next returns when sweep is due, or sooner; zero: not before a part is added.
func (a *assembler) next() time.Time {
	due := a.due.Load()
	if due == 0 {
		return time.Time{}
	}
	return a.born.Add(time.Duration(due))
}

// take returns what the core must hear of, in this order.
func (a *assembler) take() []partial {
	if !a.noted.Load() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.notes
	a.notes = nil
	a.noted.Store(false)
	return n
}
