package driver

import (
	"sync/atomic"
	"time"

	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// retainer applies the log's limits, every so often and when much was written.
//
// Own events that no other node holds are not trimmed for their bytes: when
// they alone keep the log above its limits, Publish fails with [ErrBacklog]
// until somebody holds them. Age trims them like others: no node takes in what
// is older.
type retainer struct {
	limits eventlog.Limits
	every  time.Duration
	kick   chan struct{} // capacity 1: look now

	written atomic.Int64 // bytes since the last pass
	backlog atomic.Bool
}

func newRetainer(cfg Config) *retainer {
	return &retainer{limits: cfg.Limits, every: cfg.RetainEvery, kick: make(chan struct{}, 1)}
}

// wrote notes bytes that go to the log: an eighth of a limit is worth a look.
func (r *retainer) wrote(bytes int) {
	n := r.written.Add(int64(bytes))
	for _, limit := range []int64{r.limits.Bytes, r.limits.TopicBytes, r.limits.AuthorBytes} {
		if limit > 0 && n > limit/8 {
			r.nudge()
			return
		}
	}
}

// acked notes that another node holds more of our own events.
func (r *retainer) acked() {
	if r.backlog.Load() {
		r.nudge()
	}
}

func (r *retainer) nudge() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *retainer) run(d *Driver) {
	if r.limits == (eventlog.Limits{}) {
		return
	}
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		r.pass(d)
		select {
		case <-ticker.C:
		case <-r.kick:
		case <-d.stop:
			return
		}
	}
}

func (r *retainer) pass(d *Driver) {
	r.written.Store(0)
	now, vetoed := d.clock.wall(), false
	removed, err := d.cfg.Log.Retain(now, r.limits, func(m *eventlog.Meta) bool {
		h := &m.Header
		if h.Author != d.self || m.Verdict != 0 || d.unheld.held(h) {
			return false
		}
		if r.limits.Age > 0 && h.Time < now.Add(-r.limits.Age) {
			d.counters.expiredUnheld.Add(uint64(h.Count))
			return false
		}
		vetoed = true
		return true
	})
	if err != nil {
		d.counters.retainFailures.Add(1)
		d.logger.Warn("retention failed", "err", err)
	}
	ids := make([]wire.BatchID, len(removed))
	for i := range removed {
		ids[i] = removed[i].ID
		d.counters.trimmed.Add(uint64(removed[i].Header.Count))
	}
	d.post(trimmed{ids})
	r.setBacklog(d, vetoed && r.exceeded(d.cfg.Log))
}

// exceeded reports whether the log is above its limits still. What the log
// does not tell by author counts as above.
func (r *retainer) exceeded(log eventlog.Log) bool {
	if r.limits.AuthorBytes > 0 || r.limits.Bytes > 0 && log.Info().Bytes > r.limits.Bytes {
		return true
	}
	if r.limits.TopicBytes > 0 {
		for _, t := range log.Topics() {
			if t.Bytes > r.limits.TopicBytes {
				return true
			}
		}
	}
	return false
}

func (r *retainer) setBacklog(d *Driver, on bool) {
	if r.backlog.Swap(on) == on {
		return
	}
	if on {
		d.logger.Warn("the log is full of own events that no other node holds: publishing stops")
		d.seq.refuse(causeBacklog, ErrBacklog)
		return
	}
	d.logger.Info("other nodes hold enough of our own events: publishing goes on")
	d.seq.refuse(causeBacklog, nil)
}

// trimmed tells the core what retention removed, and that time went on.
type trimmed struct{ ids []wire.BatchID }

func (in trimmed) apply(d *Driver) { d.core.Trim(in.ids) }
