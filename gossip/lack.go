package gossip

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	lackMax       = 1 << 17          // batches known to be missing on one topic; the next exchange finds the rest
	wantIDsMax    = 512              // in one request
	claimantsMax  = 4                // remembered for one batch
	emptyWantsMax = 2                // requests in a row that bring nothing before a peer's word is dropped
	lostAgainWait = 10 * time.Second // before a damaged batch that nobody had is asked for anew
)

// lackItem is a batch that anti-entropy found missing here.
type lackItem struct {
	short     uint64
	claimants []*peer // who has it, untried
	anyone    bool    // a body of ours that was damaged: all neighbours are asked in turn
	tried     []*peer // if anyone
	notBefore Time    // if anyone: when all were asked in vain, when to begin anew
	want      *want   // outstanding; nil: none
	gone      bool    // no longer missing, or given up
}

// lackList is what anti-entropy found missing on a topic. One want is
// outstanding for each, across all peers.
type lackList struct {
	items map[uint64]*lackItem // looked up, never ranged over
	queue []*lackItem          // oldest batches first as far as their finder told
	found int                  // items that some peer claims to have: those not for anyone
}

func (l *lackList) add(it *lackItem) {
	if l.items == nil {
		l.items = map[uint64]*lackItem{}
	}
	l.items[it.short] = it
	l.queue = append(l.queue, it)
	if !it.anyone {
		l.found++
	}
}

func shortOf(id wire.BatchID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// remove notes that the batch is held, or not wanted; it reports whether it was in the list.
func (l *lackList) remove(id wire.BatchID) bool {
	it := l.items[shortOf(id)]
	if it == nil {
		return false
	}
	l.giveUp(it)
	return true
}

func (l *lackList) giveUp(it *lackItem) {
	it.gone = true
	if !it.anyone {
		l.found--
	}
	delete(l.items, it.short)
}

// asked reports whether the batch is one that w asked for.
func (l *lackList) asked(id wire.BatchID, w *want) bool {
	it := l.items[shortOf(id)]
	return it != nil && it.want == w
}

// dropPeer forgets that the peer, which left, has anything.
func (l *lackList) dropPeer(p *peer) {
	for _, it := range l.queue {
		it.claimants = slices.DeleteFunc(it.claimants, func(x *peer) bool { return x == p })
		if len(it.claimants) == 0 && !it.anyone && it.want == nil && !it.gone {
			l.giveUp(it)
		}
	}
}

// addLack notes that the peer has batches that we lack, and asks for them.
func (c *Core) addLack(t *topic, p *peer, short []uint64) {
	if t.lack.found == 0 {
		t.lackSince = c.now
	}
	for _, s := range short {
		it := t.lack.items[s]
		if it == nil {
			if t.lack.found >= lackMax {
				c.stats.LackRefused++
				continue
			}
			it = &lackItem{short: s}
			t.lack.add(it)
		}
		if len(it.claimants) < claimantsMax && !slices.Contains(it.claimants, p) {
			it.claimants = append(it.claimants, p)
		}
	}
	c.pumpLack(t)
}

// addLost asks all neighbours in turn for a batch whose body was damaged.
func (c *Core) addLost(t *topic, id wire.BatchID) {
	s := shortOf(id)
	if t.lack.items[s] != nil {
		return
	}
	t.lack.add(&lackItem{short: s, anyone: true})
	c.pumpLack(t)
}

// pumpLack asks each peer that has something of the list and is not asked yet
// on this topic for its next stretch.
func (c *Core) pumpLack(t *topic) {
	if len(t.lack.items) == 0 {
		t.lack = lackList{}
		return
	}
	if c.unwritable {
		return // Writable goes on
	}
	if t.fetching > 0 && c.now < t.lackSince.Add(time.Second) {
		c.pumpLater(t, 100*time.Millisecond)
		return // what a range repair is bringing need not come twice
	}
	for len(t.lack.queue) > 0 && t.lack.queue[0].gone {
		t.lack.queue = t.lack.queue[1:]
	}
	for _, tp := range t.peers {
		p := tp.peer
		if !tp.holds && !tp.wants || len(p.wantList) >= c.cfg.WantsMax ||
			slices.ContainsFunc(p.wantList, func(w *want) bool { return w.topic == t }) {
			continue
		}
		if items := t.lack.stretch(p, c.now); len(items) > 0 {
			c.askIDs(t, p, items)
		}
	}
}

type lackTimer struct{ t *topic }

func (t lackTimer) due(c *Core) {
	if t.t.pumpAt <= c.now {
		t.t.pumpAt = Never
		c.pumpLack(t.t)
	}
}

// pumpLater schedules pumpLack.
func (c *Core) pumpLater(t *topic, delay time.Duration) {
	if at := c.now.Add(delay); at < t.pumpAt {
		t.pumpAt = at
		c.timers.at(at, lackTimer{t})
	}
}

// stretch returns the next batches to ask the peer for.
func (l *lackList) stretch(p *peer, now Time) (items []*lackItem) {
	for _, it := range l.queue {
		if it.gone || it.want != nil || it.notBefore > now {
			continue
		}
		if slices.Contains(it.claimants, p) || it.anyone && !slices.Contains(it.tried, p) {
			if items = append(items, it); len(items) == wantIDsMax {
				break
			}
		}
	}
	return items
}

func (c *Core) askIDs(t *topic, p *peer, items []*lackItem) {
	w := c.newWant(p)
	w.topic, w.items = t, items
	m := &wire.WantIDs{ID: w.id, Topic: t.name, MaxBytes: c.askBytes(p)}
	for _, it := range items {
		it.want = w
		m.Short = append(m.Short, it.short)
	}
	c.send(p, Repair, m)
}

// endWantIDs gives what w did not bring to others who claim it. whole tells
// that the peer has no more of it.
func (c *Core) endWantIDs(w *want, whole bool) {
	t := w.topic
	for _, it := range w.items {
		if it.want != w || it.gone {
			continue
		}
		it.want = nil
		if !whole && !w.peer.down {
			continue
		}
		it.claimants = slices.DeleteFunc(it.claimants, func(x *peer) bool { return x == w.peer })
		if it.anyone {
			c.tried(t, it, w.peer)
		} else if len(it.claimants) == 0 {
			t.lack.giveUp(it)
		}
	}
	if w.got == 0 && whole {
		w.peer.empty++
		if w.peer.empty >= emptyWantsMax {
			t.lack.dropPeer(w.peer) // a liar, or one that has trimmed what it knows of
		}
	} else {
		w.peer.empty = 0
	}
	if w.got == 0 && !whole {
		c.pumpLater(t, busyDelay)
	} else {
		c.pumpLack(t)
	}
	if t.lack.found == 0 && !w.peer.down {
		c.beatSoon(w.peer, beatSoonDelay)
	}
}

// tried notes that the peer has not got a damaged batch of ours. When all were
// asked in vain, it begins anew after a while.
func (c *Core) tried(t *topic, it *lackItem, p *peer) {
	it.tried = append(it.tried, p)
	for _, tp := range t.peers {
		if (tp.holds || tp.wants) && !slices.Contains(it.tried, tp.peer) {
			return
		}
	}
	it.tried, it.notBefore = nil, c.now.Add(lostAgainWait)
	c.pumpLater(t, lostAgainWait)
}

// keepLost drops all but our own damaged batches from the list.
func (l *lackList) keepLost() {
	var kept lackList
	for _, it := range l.queue {
		if it.anyone && !it.gone {
			kept.add(it)
		}
	}
	*l = kept
}

// paid notes that comparing the topic with the peer brought one of both something.
func (c *Core) paid(p *peer, t *topic) {
	p.beat.backoff.pay()
	if tp := t.topicPeerOf(p); tp != nil {
		tp.backoff.pay()
	}
}
