package discovery

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// run dials who is due and writes the file, until Close.
func (k *Keeper) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var saved time.Time
	for {
		select {
		case <-k.wake:
		case <-timer.C:
		case <-k.ctx.Done():
			return
		}
		now := time.Now()
		next := k.dialDue(now)
		k.mu.Lock()
		dirty := k.dirty
		k.mu.Unlock()
		if dirty && k.cfg.File != "" {
			if due := saved.Add(fileEvery); due.After(now) {
				next = earlier(next, due)
			} else if saved = now; k.save() != nil {
				next = earlier(next, now.Add(fileEvery))
			}
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// dialDue starts the dials that are due and returns when the next one is; zero: never.
func (k *Keeper) dialDue(now time.Time) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var due []*entry
	for _, e := range k.book {
		if e.linked || e.dialling || len(e.addrs) == 0 {
			continue
		}
		if !e.named() && k.links >= k.cfg.LinksWanted {
			continue
		}
		at := e.next
		if k.links > 0 && e.avoid.After(at) {
			at = e.avoid
		}
		if at.After(now) {
			next = earlier(next, at)
			continue
		}
		due = append(due, e)
	}
	// Those that have waited longest come first, whatever the map says.
	slices.SortFunc(due, func(x, y *entry) int { return x.next.Compare(y.next) })
	for _, e := range due {
		if k.dials >= dialsMax {
			return next // the end of a dial wakes us
		}
		if !e.named() && k.dials >= dialsMax-dialsKept {
			continue // likewise
		}
		if k.cfg.Refuses(e.id) || k.cfg.Host.Network().Connectedness(e.id) == network.Connected {
			// The link comes up on the connection that there is, or its end wakes us.
			e.next = now.Add(time.Second/2 + jitter(time.Second))
			next = earlier(next, e.next)
			continue
		}
		e.dialling = true
		k.dials++
		info := peer.AddrInfo{ID: e.id, Addrs: slices.Clone(e.addrs)}
		k.wg.Go(func() { k.dial(info) })
	}
	return next
}

// dial connects to a peer.
func (k *Keeper) dial(info peer.AddrInfo) {
	// libp2p's own backoff, 5 s and more, would make ours moot.
	if s, ok := k.cfg.Host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(info.ID)
	}
	ctx, cancel := context.WithTimeout(k.ctx, dialMax)
	defer cancel()
	err := k.cfg.Host.Connect(ctx, info)

	k.mu.Lock()
	defer k.mu.Unlock()
	k.dials--
	now := time.Now()
	if e := k.book[info.ID]; e != nil {
		e.dialling = false
		switch {
		case err != nil && k.ctx.Err() == nil:
			e.failed(now, err)
			if e.failures > 1 { // once is a race of two dials, often
				k.warn(e, "cannot reach peer")
			}
		case err == nil && !e.linked:
			// Should no link come of it, the connection is closed sooner or later.
			e.next = now.Add(time.Second)
		}
	}
	k.signal()
}

// save writes the file of last good peers if it is out of date.
func (k *Keeper) save() error {
	k.mu.Lock()
	dirty := k.dirty && k.cfg.File != ""
	infos := k.book.good(filePeersMax)
	k.dirty = false
	k.mu.Unlock()
	if !dirty {
		return nil
	}
	err := writePeers(k.cfg.File, infos)
	if err != nil {
		k.log.Warn("cannot write the last good peers", "file", k.cfg.File, "err", err)
		k.mu.Lock()
		k.dirty = true
		k.mu.Unlock()
	}
	return err
}

// earlier returns the earlier of two times; zero is none.
func earlier(x, y time.Time) time.Time {
	if x.IsZero() || y.Before(x) {
		return y
	}
	return x
}

func jitter(d time.Duration) time.Duration { return rand.N(d) }
