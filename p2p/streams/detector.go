package streams

import (
	"slices"
	"time"
)

const pingEvery = 15 * time.Second

// watch shows all neighbours that we live and notices those that do not.
//
// libp2p takes 30 to 45 seconds for the latter, and yamux' own pings wait
// behind what is queued, so that a slow link looks dead. Here each side judges
// by what comes in, and a sign of life follows whenever nothing else went for
// KeepaliveEvery. Signs go one way each and are not answered: as many answers
// would tell no more.
func (c *Carrier) watch() {
	every := c.watchEvery()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var links []*link
	attention := attention{lateMax: int64(every + c.cfg.SilenceMax/4)}
	for {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
		attentive := attention.tick(int64(time.Since(c.born)))
		links = c.appendLinks(links[:0])
		for _, l := range links {
			if l.ended() {
				continue
			}
			if l.silent(c.cfg.SilenceMax, attentive) {
				c.giveUp(l)
				continue
			}
			if c.outdated(l.conn) { // it appeared while the link came up
				l.fail(errPath)
				continue
			}
			l.showLife(every)
		}
		clear(links)
	}
}

// watchEvery is the time between two looks at the links: short enough that
// silence is noticed in time, and that no sign of life is late by much.
func (c *Carrier) watchEvery() time.Duration {
	return min(c.cfg.SilenceMax/16, c.cfg.KeepaliveEvery)
}

// showLife sends what is due to a link that is looked at so often: a ping,
// which is a sign of life too, or else a sign if nothing was sent of late.
//
// What went on the repair lane does not count here, though it does for a peer
// that hears it: one whose handler has no room does not read it, and until the
// stream's window is full it would hear nothing at all.
func (l *link) showLife(every time.Duration) {
	now := l.now()
	switch {
	case now-l.pinged.Load() >= int64(pingEvery):
		l.sendPing()
	case now-l.sent.Load() >= int64(l.n.c.cfg.KeepaliveEvery-every/2): // rather a little early than a look late
		l.news.keepAlive()
	}
}

// attention notes since when this process has run without a break. One that
// was stopped, or starved of the processor, was not listening: what its peers
// sent meanwhile is still to be read. Times are nanoseconds since the
// carrier's birth.
type attention struct {
	lateMax     int64
	last, since int64
}

// tick returns since when there was a tick at least every lateMax.
func (a *attention) tick(now int64) (since int64) {
	if now-a.last > a.lateMax {
		a.since = now
	}
	a.last = now
	return a.since
}

func (c *Carrier) appendLinks(links []*link) []*link {
	c.mu.RLock()
	defer c.mu.RUnlock()
	links = slices.Grow(links, len(c.neighbours))
	for _, n := range c.neighbours {
		if l := n.link.Load(); l != nil {
			links = append(links, l)
		}
	}
	return links
}

// giveUp takes down the link to a silent peer. The connection is closed too
// where we may, for a new one comes up sooner than a dead one revives.
func (c *Carrier) giveUp(l *link) {
	c.counter.silent.Add(1)
	l.fail(ErrSilent)
	c.closePeer(l.n.id)
}
