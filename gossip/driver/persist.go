package driver

import (
	"errors"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// arrival is a received batch whose bytes wait for the core's decision, which
// comes within the turn of the loop.
type arrival struct {
	batch *wire.Batch
	from  wire.PeerID // whose share of the budget it takes
}

// store is one append of the loop's: what the core decided in one turn.
// While the log fails, stores wait in the order of their making, and are handed
// to it again when it works: so the order that the core decided is kept, and
// nothing that came before the failure is asked for again. What they hold is
// bounded by the budget, for nothing is received meanwhile.
type store struct {
	ops      []eventlog.Op
	arrivals []arrival
	ids      []wire.BatchID // what was persisted
	releases []gossip.Release
	waiting  bool // not in the log's hands
	attempts int
	err      error // of the last attempt
}

// attemptsMax is how often a store is tried when the log fails for another
// reason than a full disk. Then all that wait are given back to the core, which
// forgets them and asks peers for them.
const attemptsMax = 5

// persist hands what the core decided to the log, in one append.
func (d *Driver) persist(out *gossip.Output) {
	s := &store{ids: out.Persist, releases: out.Release}
	var unknown []wire.BatchID
	for _, id := range out.Persist {
		a, ok := d.arrived[id]
		if !ok {
			unknown = append(unknown, id)
			continue
		}
		delete(d.arrived, id)
		s.arrivals = append(s.arrivals, a)
		s.ops = append(s.ops, eventlog.Op{Kind: eventlog.OpBatch, Batch: a.batch})
		d.recent.put(a.batch)
		d.clock.observe(a.batch.Header.Time)
		if a.batch.Header.Author == d.self {
			d.seq.observeOwn(&a.batch.Header)
		}
	}
	for _, a := range d.arrived { // the core has no use for them
		d.budget.give(a.from, a.batch.Size())
	}
	clear(d.arrived)
	if len(unknown) > 0 {
		d.logger.Error("the core persists batches that did not arrive", "batches", len(unknown))
		d.core.StoreFailed(unknown, nil)
	}
	for _, v := range out.Verdicts {
		s.ops = append(s.ops, eventlog.Op{Kind: eventlog.OpVerdict, ID: v.ID, Reason: v.Reason})
	}
	for _, r := range out.Release {
		if r.Gap != nil {
			s.ops = append(s.ops, eventlog.Op{Kind: eventlog.OpGap, Gap: eventlog.Gap(*r.Gap)})
			continue
		}
		s.ops = append(s.ops, eventlog.Op{Kind: eventlog.OpRelease, ID: r.ID, Late: r.Late})
	}
	if len(s.ops) == 0 {
		return
	}
	d.stores = append(d.stores, s)
	d.append(s)
}

// append hands a store to the log, unless one before it waits or the log fails.
func (d *Driver) append(s *store) {
	i := len(d.stores) - 1
	if i > 0 && d.stores[i] == s && d.stores[i-1].waiting {
		s.waiting = true
		return
	}
	if s.waiting = d.journal.reserve() != nil; s.waiting {
		return
	}
	s.attempts++
	var bytes int
	for _, a := range s.arrivals {
		bytes += a.batch.Size()
	}
	d.retain.wrote(bytes)
	d.journal.append(s.ops, func(err error) { d.reports.add(storeDone{s, err}) }, func(error) {})
}

// storeDone reports what became of a store.
type storeDone struct {
	store *store
	err   error
}

func (in storeDone) apply(d *Driver) {
	s := in.store
	if s.err = in.err; in.err != nil {
		s.waiting = true
		return
	}
	d.logWell()
	d.core.Stored(s.ids)
	d.free(s)
	d.dropStore(s)
}

// free returns what the store holds of the budget.
func (d *Driver) free(s *store) {
	for _, a := range s.arrivals {
		d.budget.give(a.from, a.batch.Size())
	}
}

func (d *Driver) dropStore(s *store) {
	for i, x := range d.stores {
		if x == s {
			copy(d.stores[i:], d.stores[i+1:])
			d.stores[len(d.stores)-1] = nil
			d.stores = d.stores[:len(d.stores)-1]
			return
		}
	}
}

// logWell notes that the log took a write.
func (d *Driver) logWell() {
	if d.logTrouble {
		d.logTrouble = false
		d.logger.Info("the log takes writes again")
	}
}

// logFailed is called when the log refused the first append.
func (d *Driver) logFailed(err error) {
	d.seq.logFailed(err)
	d.reports.add(logState{err})
}

// logRetry is called when the log may be tried again.
func (d *Driver) logRetry() {
	d.reports.add(logState{nil})
	d.seq.logRetry()
}

// logState tells the loop that the log fails, or is to be tried again.
type logState struct{ err error }

func (in logState) apply(d *Driver) {
	if in.err != nil {
		d.counters.logFailures.Add(1)
		if !d.logTrouble {
			d.logTrouble = true
			d.logger.Warn("the log refuses writes: publishing and repair stop until it takes them", "err", in.err)
		}
		d.core.Writable(false)
		return
	}
	if d.journal.err() != nil {
		return // it has failed again: that report follows
	}
	d.giveUpStores()
	d.core.Writable(true)
	for _, s := range d.stores {
		if s.waiting {
			if d.append(s); s.waiting {
				return
			}
		}
	}
}

// giveUpStores gives all stores back to the core if the first was tried often
// enough. Those after it may build on it, so they go too. All wait: the log has
// answered for each.
func (d *Driver) giveUpStores() {
	if len(d.stores) == 0 || d.stores[0].attempts < attemptsMax || errors.Is(d.stores[0].err, eventlog.ErrFull) {
		return
	}
	d.logger.Error("received batches could not be stored", "err", d.stores[0].err)
	for _, s := range d.stores {
		d.counters.storesGivenUp.Add(1)
		d.core.StoreFailed(s.ids, s.releases)
		d.free(s)
	}
	clear(d.stores)
	d.stores = d.stores[:0]
}

// reportPublished is called for each batch of our own that was written.
func (d *Driver) reportPublished(s *sealed) {
	d.recent.put(s.batch)
	d.retain.wrote(s.batch.Size())
	d.reports.add(published{s})
}

// published reports a batch of our own that was written.
type published struct{ sealed *sealed }

func (in published) apply(d *Driver) {
	d.logWell()
	h := &in.sealed.batch.Header
	d.core.Publish(in.sealed.batch.ID, h)
	d.awaited[h.Topic] = h.End()
	d.seq.told(in.sealed)
}
