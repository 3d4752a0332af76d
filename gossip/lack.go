package gossip

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

const (
	lackMax       = 1 << 17          // batches known to be missing on one topic; the next exchange finds the rest
	wantIDsMax    = 512              // in one request
	lackWantsMax  = 3                // requests at once for one topic at one peer: the next is there when one ends
	claimantsMax  = 4                // remembered for one batch
	emptyWantsMax = 2                // requests in a row that bring nothing before a peer's word is dropped
	lackWaitMax   = 30 * time.Second // for range repairs that bring something
	lostAgainWait = 10 * time.Second // before a damaged batch that nobody had is asked for anew; twice as long each time
)

// lackItem is a batch that anti-entropy found missing here. While it is not
// asked for, it waits in the queue of each of its claimants, and maybe in
// others: who comes to it first asks.
type lackItem struct {
	id        wire.ShortID
	claimants []*peer // who has it, untried
	rounds    int     // how often all were asked in vain
	anyone    bool    // a body of ours that was damaged: all neighbours are asked in turn
	want      *want   // outstanding; nil: none
	taken     bool    // out of a queue, to be asked for
	gone      bool    // no longer missing, or given up
}

// lackList is what anti-entropy found missing on a topic. One want is
// outstanding for each, across all peers. The queues are with the peers: topicPeer.lack.
type lackList struct {
	items map[wire.ShortID]*lackItem // looked up, never ranged over
	lost  []*lackItem                // those for anyone; some may be gone
	found int                        // the others: what some peer claims to have
}

func (l *lackList) add(id wire.ShortID, anyone bool) *lackItem {
	if l.items == nil {
		l.items = map[wire.ShortID]*lackItem{}
	}
	it := &lackItem{id: id, anyone: anyone}
	l.items[id] = it
	if anyone {
		l.lost = append(l.lost, it)
	} else {
		l.found++
	}
	return it
}

// remove notes that the batch is held, or not wanted; it reports whether it was in the list.
func (l *lackList) remove(id wire.BatchID) bool {
	it := l.items[id.Short()]
	if it == nil {
		return false
	}
	l.giveUp(it)
	return true
}

func (l *lackList) giveUp(it *lackItem) {
	if it.gone {
		return
	}
	it.gone, it.claimants = true, nil
	delete(l.items, it.id)
	if !it.anyone {
		l.found--
		return
	}
	l.lost = slices.DeleteFunc(l.lost, func(x *lackItem) bool { return x == it })
}

// asked reports whether the batch is one that w asked for.
func (l *lackList) asked(id wire.BatchID, w *want) bool {
	it := l.items[id.Short()]
	return it != nil && it.want == w
}

// disclaim notes that the peer has not got the batch after all.
func (c *Core) disclaim(t *topic, it *lackItem, p *peer) {
	it.claimants = slices.DeleteFunc(it.claimants, func(x *peer) bool { return x == p })
	if it.want != nil || it.gone || len(it.claimants) > 0 {
		return
	}
	if it.anyone {
		c.timers.at(c.now.Add(min(lostAgainWait<<it.rounds, backoffMax)), lostTimer{t, it})
		it.rounds = min(it.rounds+1, 10)
		return
	}
	t.lack.giveUp(it)
}

// dropClaims forgets what the peer, which left or does not serve, is to be asked for.
func (c *Core) dropClaims(tp *topicPeer) {
	queue := tp.lack
	tp.lack = nil
	for _, it := range queue {
		c.disclaim(tp.topic, it, tp.peer)
	}
}

// addLack notes that the peer has batches that we lack, in order of (time, ID),
// and asks for them.
func (c *Core) addLack(tp *topicPeer, ids []wire.ShortID) {
	t, p := tp.topic, tp.peer
	if t.lack.found == 0 {
		t.lackSince = c.now
	}
	for _, id := range ids {
		it := t.lack.items[id]
		if it == nil {
			if t.lack.found >= lackMax {
				c.stats.LackRefused++
				continue
			}
			it = t.lack.add(id, false)
		}
		if len(it.claimants) < claimantsMax && !slices.Contains(it.claimants, p) {
			it.claimants = append(it.claimants, p)
			tp.lack = append(tp.lack, it)
		}
	}
	c.pumpLack(t)
}

// addLost asks all neighbours in turn for a batch whose body was damaged.
func (c *Core) addLost(t *topic, id wire.BatchID) {
	if t.lack.items[id.Short()] != nil {
		return
	}
	c.askAll(t, t.lack.add(id.Short(), true))
}

// askAll has all who may hold a damaged batch asked for it, one after another.
func (c *Core) askAll(t *topic, it *lackItem) {
	for _, tp := range t.peers {
		tp.askFor(it)
	}
	if len(it.claimants) == 0 {
		return // greet goes on with who comes
	}
	c.pumpLack(t)
}

// askFor queues a damaged batch if the peer may hold it.
func (tp *topicPeer) askFor(it *lackItem) {
	if (tp.holds || tp.wants) && !tp.peer.quiet() && !slices.Contains(it.claimants, tp.peer) {
		it.claimants = append(it.claimants, tp.peer)
		tp.lack = append(tp.lack, it)
	}
}

// lostTimer asks anew for a damaged batch that nobody had.
type lostTimer struct {
	t  *topic
	it *lackItem
}

func (t lostTimer) due(c *Core) {
	if it := t.it; !it.gone && it.want == nil && len(it.claimants) == 0 {
		c.askAll(t.t, it)
	}
}

// pumpLack asks each peer that has something of the list for its next stretch.
func (c *Core) pumpLack(t *topic) {
	if len(t.lack.items) == 0 || c.unwritable {
		return // Writable goes on
	}
	if t.fetching > 0 && c.now < min(max(t.lackSince, t.fetched).Add(time.Second), t.lackSince.Add(lackWaitMax)) {
		c.pumpLater(t, 100*time.Millisecond)
		return // what a range repair is bringing need not come twice
	}
	for _, tp := range t.peers {
		for len(tp.lack) > 0 && tp.lackWants() < lackWantsMax {
			if c.room(tp.peer) < 1 {
				tp.peer.starved = true
				break
			}
			if items := tp.stretch(); len(items) > 0 {
				c.askIDs(tp, items)
			}
		}
	}
}

// pumpPeer goes on with the topics that a peer had no room for a want of.
func (c *Core) pumpPeer(p *peer) {
	if !p.starved || p.down {
		return
	}
	p.starved = false
	for _, tp := range p.topics {
		if len(tp.lack) > 0 {
			c.pumpLack(tp.topic)
		}
	}
}

// lackWants counts the requests for the topic's batches that are outstanding at the peer.
func (tp *topicPeer) lackWants() (n int) {
	for _, w := range tp.peer.wantList {
		if w.topic == tp.topic {
			n++
		}
	}
	return n
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

// stretch takes the next batches to ask the peer for out of its queue. One that
// another is being asked for comes back if that one has not got it.
func (tp *topicPeer) stretch() (items []*lackItem) {
	n := 0
	for _, it := range tp.lack {
		n++
		if it.gone || it.taken || it.want != nil || !slices.Contains(it.claimants, tp.peer) {
			continue
		}
		it.taken = true
		if items = append(items, it); len(items) == wantIDsMax {
			break
		}
	}
	if tp.lack = tp.lack[n:]; len(tp.lack) == 0 {
		tp.lack = nil
	}
	return items
}

func (c *Core) askIDs(tp *topicPeer, items []*lackItem) {
	p, t := tp.peer, tp.topic
	w := c.newWant(p)
	w.topic, w.items = t, items
	m := &wire.WantIDs{ID: w.id, Topic: t.name, MaxBytes: c.askBytes(p)}
	for _, it := range items {
		it.want, it.taken = w, false
		m.IDs = append(m.IDs, it.id)
	}
	m.Resume = c.partials.among(m.IDs)
	c.send(p, Repair, m)
}

// endWantIDs deals with what w did not bring: its peer is asked again, or others
// who claim it. whole tells that the peer has no more of it.
func (c *Core) endWantIDs(w *want, whole bool) {
	t := w.topic
	tp := t.topicPeerOf(w.peer) // nil if it left
	again := !whole && tp != nil && !w.peer.down
	claimed := false // something that the peer offered is missing still
	var rest []*lackItem
	for _, it := range w.items {
		if it.want != w || it.gone {
			continue
		}
		it.want = nil
		claimed = claimed || !it.anyone
		if again {
			rest = append(rest, it)
			continue
		}
		c.disclaim(t, it, w.peer)
		for _, p := range it.claimants {
			if other := t.topicPeerOf(p); other != nil {
				other.lack = append(other.lack, it)
			}
		}
	}
	if again {
		tp.lack = append(rest, tp.lack...)
	}
	switch {
	case w.got > 0 || !whole:
		w.peer.empty = 0
	case !claimed:
		// It was asked on the chance, or others brought it meanwhile.
	default:
		if w.peer.empty++; w.peer.empty >= emptyWantsMax && tp != nil {
			// A liar, or one that has trimmed what it knows of; or a member, whose answers may be lost.
			c.dropClaims(tp)
			if !w.peer.member() {
				c.demerit(w.peer, "it does not serve what it claims")
			}
		}
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

// keepLost drops all but our own damaged batches from the list: the queues and
// the wants that are outstanding find the others gone.
func (c *Core) keepLost(t *topic) {
	drop := func(it *lackItem) bool {
		it.gone = it.gone || !it.anyone
		return it.gone
	}
	for _, tp := range t.peers {
		tp.lack = slices.DeleteFunc(tp.lack, drop)
		for _, w := range tp.peer.wantList {
			if w.topic == t {
				w.items = slices.DeleteFunc(w.items, drop)
			}
		}
	}
	kept := t.lack.lost
	t.lack = lackList{items: map[wire.ShortID]*lackItem{}, lost: kept}
	for _, it := range kept {
		t.lack.items[it.id] = it
	}
}

// paid notes that comparing the topic with the peer brought one of both something.
func (c *Core) paid(p *peer, t *topic) {
	p.beat.backoff.pay()
	if tp := t.topicPeerOf(p); tp != nil {
		tp.backoff.pay()
	}
}
