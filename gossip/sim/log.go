package sim

import (
	"slices"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/wire"
)

// Arrival is how a batch came to a node.
type Arrival struct {
	Reached  gossip.Time   // when the first copy came
	Released gossip.Time   // when a subscription could read it
	Waited   time.Duration // until then, from the publication or the node's start, whichever was later
	From     int32         // the node that brought the first copy; itself for its own
	Hops     uint16        // from the publisher
	state    arrivalState
}

type arrivalState uint8

const (
	seen arrivalState = 1 << iota
	stored
	released
	late
	barred   // kept for reconciling, never released
	removed  // by retention
	repaired // the first copy came in answer to a want
)

// Seen reports whether a copy ever came.
func (a Arrival) Seen() bool { return a.state&seen != 0 }

// Stored reports whether the node's log holds the batch.
func (a Arrival) Stored() bool { return a.state&stored != 0 }

// IsReleased reports whether a subscription could read it.
func (a Arrival) IsReleased() bool { return a.state&released != 0 }

// nodeLog is what a node's log holds, by the batches' indexes.
type nodeLog struct {
	arrivals []Arrival // as far as it goes; what is beyond never came
	gaps     []gossip.Gap
	marks    []trimMark
	lasts    []topicPrev // its own newest batches
	writes   int         // under way
	refuses  bool
	fails    int // 1 + the generation in which a write failed
	gen      int
}

type trimMark struct {
	topic  string
	author wire.Author
	upto   wire.Mark
	newest wire.Time
}

type topicPrev struct {
	topic string
	prev  wire.Prev
}

// Arrival returns how the batch came to the node; the zero value if it did not.
func (n *Node) Arrival(batch int) Arrival {
	if batch < len(n.log.arrivals) {
		return n.log.arrivals[batch]
	}
	return Arrival{}
}

// Gaps returns the gaps that the node's subscriptions were told. The slice is the node's own.
func (n *Node) Gaps() []gossip.Gap { return n.log.gaps }

// at returns the arrival of a batch, made if need be.
func (l *nodeLog) at(batch int) *Arrival {
	if batch >= len(l.arrivals) {
		l.arrivals = append(l.arrivals, make([]Arrival, batch+1-len(l.arrivals))...)
	}
	return &l.arrivals[batch]
}

// reached notes that a copy of a batch came.
func (l *nodeLog) reached(n *Node, batch int, from *Node, repair bool) {
	a := l.at(batch)
	if a.state&seen != 0 {
		return
	}
	a.Reached, a.From, a.Hops = n.sim.now, int32(from.Index), from.Arrival(batch).Hops+1
	a.state |= seen
	if repair {
		a.state |= repaired
	}
}

// append writes what the core wants written, and tells it so. It reports whether
// that was done at once.
func (n *Node) append(out *gossip.Output) bool {
	if len(out.Persist)+len(out.Release)+len(out.Verdicts) == 0 {
		return false
	}
	delay := n.sim.params.StoreDelay
	if delay == 0 && !n.log.refuses && n.log.writes == 0 {
		n.write(out.Persist, out.Verdicts, out.Release)
		return true
	}
	core, gen := n.core, n.log.gen
	persist, verdicts, releases := out.Persist, out.Verdicts, out.Release
	n.log.writes++
	n.sim.At(delay, func() {
		if n.core != core {
			return // it crashed, and the write was lost
		}
		n.log.writes--
		if n.log.refuses || n.log.fails == gen+1 {
			n.log.fails = gen + 1
			core.StoreFailed(persist, releases)
			core.Writable(false)
		} else {
			n.write(persist, verdicts, releases)
		}
		n.step()
	})
	return false
}

func (n *Node) write(persist []wire.BatchID, verdicts []gossip.Verdict, releases []gossip.Release) {
	s := n.sim
	for _, id := range persist {
		i := s.indexOf(id)
		a := n.log.at(i)
		mustf(a.state&seen != 0, "node %d persists a batch that did not come", n.Index)
		a.state = a.state&^removed | stored
		for _, o := range s.watch {
			o.Stored(n, i)
		}
	}
	for _, v := range verdicts {
		n.log.at(s.indexOf(v.ID)).state |= barred
	}
	for i := range releases {
		n.release(&releases[i])
	}
	if len(persist) > 0 {
		n.core.Stored(persist)
	}
}

func (n *Node) release(r *gossip.Release) {
	s := n.sim
	if r.Gap != nil {
		n.log.gaps = append(n.log.gaps, *r.Gap)
		s.note(n.Index, n.Index, -2, nil)
		for _, o := range s.watch {
			o.Gap(n, r.Gap)
		}
		return
	}
	i := s.indexOf(r.ID)
	a := n.log.at(i)
	mustf(a.state&stored != 0, "node %d releases batch %d, which is not in its log", n.Index, i)
	if a.state&released != 0 {
		s.tally.Duplicates++
	}
	a.state |= released
	a.Released = s.now
	a.Waited = time.Duration(s.now - max(s.store.batches[i].At, n.began))
	if r.Late {
		a.state |= late
	}
	if s.traced {
		s.note(n.Index, i, -1, nil)
	}
	s.tally.released(i)
	for _, o := range s.watch {
		o.Released(n, i, r.Late)
	}
}

// crash loses the writes under way.
func (l *nodeLog) crash() {
	l.writes, l.fails = 0, 0
	l.gen++
	for i := range l.arrivals {
		if a := &l.arrivals[i]; a.state&stored == 0 {
			*a = Arrival{}
		}
	}
}

// Refuse has the node's log refuse writes, as a full disk does, or take them again.
func (n *Node) Refuse(refuse bool) {
	switch {
	case refuse || n.core == nil:
		n.log.refuses = refuse
	case n.log.writes > 0:
		n.sim.At(n.sim.params.StoreDelay+1, func() { n.Refuse(false) }) // whatever was queued before fails first
	case n.log.refuses:
		n.log.refuses = false
		n.log.gen++
		n.core.Writable(true)
		n.step()
	}
}

// Trim removes batches from the node's log, each author's oldest first, as retention does.
func (n *Node) Trim(batches []int) {
	var ids []wire.BatchID
	for _, i := range batches {
		if n.Arrival(i).state&stored == 0 {
			continue
		}
		a := n.log.at(i)
		a.state = a.state&^stored | removed
		h := &n.sim.store.batches[i].Batch.Header
		ids = append(ids, n.sim.store.batches[i].Batch.ID)
		n.log.mark(h)
	}
	n.tick()
	n.core.Trim(ids)
	n.step()
}

func (l *nodeLog) mark(h *wire.Header) {
	i := slices.IndexFunc(l.marks, func(m trimMark) bool { return m.topic == h.Topic && m.author == h.Author })
	if i < 0 {
		i = len(l.marks)
		l.marks = append(l.marks, trimMark{topic: h.Topic, author: h.Author})
	}
	m := &l.marks[i]
	if h.End().Compare(m.upto) > 0 {
		m.upto = h.End()
	}
	m.newest = max(m.newest, h.Time)
}

// restore tells a new core what the log holds.
func (l *nodeLog) restore(n *Node) {
	for _, m := range l.marks {
		n.core.RestoreTrimmed(m.topic, m.author, m.upto, m.newest)
	}
	var held []int
	for i := range l.arrivals {
		if l.arrivals[i].state&stored != 0 {
			held = append(held, i)
		}
	}
	batches := n.sim.store.batches
	slices.SortStableFunc(held, func(x, y int) int {
		return batches[x].Batch.Header.Start().Compare(batches[y].Batch.Header.Start())
	})
	for _, i := range held {
		a, b := &l.arrivals[i], batches[i].Batch
		m := gossip.Meta{ID: b.ID, Header: &b.Header, Released: a.state&released != 0}
		if a.state&barred != 0 {
			m.Verdict = wire.ReasonConflict
		}
		n.core.Restore(m)
	}
	for _, g := range l.gaps {
		n.core.RestoreGap(g)
	}
}

// Held returns the batches of the author that the node's log holds, the oldest first.
func (n *Node) Held(topic string, author *Node) (held []int) {
	batches := n.sim.store.batches
	for i := range n.log.arrivals {
		if n.holds(i) && batches[i].Author == author.Index && batches[i].Batch.Header.Topic == topic {
			held = append(held, i)
		}
	}
	slices.SortStableFunc(held, func(x, y int) int {
		return batches[x].Batch.Header.Start().Compare(batches[y].Batch.Header.Start())
	})
	return held
}
