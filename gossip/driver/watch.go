package driver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
)

// watcher is one who is told all notices.
type watcher struct {
	ch   chan gossip.Notice // sent to and closed by the loop
	gone chan struct{}      // closed by the loop with ch
}

// watch adds a watcher.
type watch struct {
	w     *watcher
	done  <-chan struct{} // of the reader's context
	reply chan struct{}
}

func (in watch) apply(d *Driver) {
	d.watchers = append(d.watchers, in.w)
	d.spawn(func() {
		select {
		case <-in.done:
			d.post(unwatch{in.w})
		case <-in.w.gone:
		case <-d.stop:
		}
	})
	in.reply <- struct{}{}
}

// unwatch removes a watcher.
type unwatch struct{ w *watcher }

func (in unwatch) apply(d *Driver) { d.dropWatcher(in.w) }

func (d *Driver) dropWatcher(w *watcher) {
	if i := slices.Index(d.watchers, w); i >= 0 {
		d.watchers = slices.Delete(d.watchers, i, i+1)
		close(w.ch)
		close(w.gone)
	}
}

// Watch returns a channel of all notices from now on. It is closed when ctx is
// done, when the driver is closed, and when its reader is too slow for the
// bounded queue: then notices were missed, and the reader watches anew and
// lists what it cares for. The error is [ErrClosed] or ctx's cause.
func (d *Driver) Watch(ctx context.Context) (<-chan gossip.Notice, error) {
	w := &watcher{ch: make(chan gossip.Notice, watchCap), gone: make(chan struct{})}
	reply := make(chan struct{}, 1)
	if _, err := ask(ctx, d, watch{w, ctx.Done(), reply}, reply); err != nil {
		return nil, err
	}
	return w.ch, nil
}

// notice acts on a notice of the core's and passes it on.
func (d *Driver) notice(n gossip.Notice) {
	switch n.Kind {
	case gossip.NoticeAcked:
		d.acked(n)
		return // one for each frame, and of no use to watchers
	case gossip.NoticeEquivocation:
		d.logger.Warn("an author signed two batches for one place", "author", n.Author.PeerID().String(), "topic", n.Topic,
			"epoch", uint64(n.Mark.Epoch), "sequence", n.Mark.Seq)
	case gossip.NoticeIdentityInUse:
		d.logger.Error("another process publishes with this node's key: publishing stops", "topic", n.Topic,
			"epoch", uint64(n.Mark.Epoch))
		d.seq.refuse(causeIdentity, ErrIdentityInUse)
	case gossip.NoticeClock:
		d.clockNotice(n.Offset)
	case gossip.NoticeRefused:
		d.counters.refusedByPeers.Add(1)
		d.logger.Debug("a peer refused a batch of ours", "peer", n.Peer.String(), "topic", n.Topic,
			"reason", uint32(n.Reason))
	default: // of use to watchers alone
	}
	for i := len(d.watchers) - 1; i >= 0; i-- {
		w := d.watchers[i]
		select {
		case w.ch <- n:
		default:
			d.counters.watchersDropped.Add(1)
			d.dropWatcher(w)
		}
	}
}

// clockNotice stops publishing while the clock is off, for all peers would
// refuse the events.
func (d *Driver) clockNotice(offset time.Duration) {
	if offset == 0 {
		d.logger.Info("this node's clock agrees with its peers' again")
		d.seq.refuse(causeClock, nil)
		return
	}
	d.logger.Warn("this node's clock is off its peers': publishing stops", "offset", offset)
	d.seq.refuse(causeClock, fmt.Errorf("%w by %v", ErrClock, offset.Round(time.Millisecond)))
}
