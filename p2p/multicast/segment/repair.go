package segment

import (
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const (
	collectTime = 2 * time.Millisecond // requests for a block are collected so long
	holdTime    = 6 * time.Millisecond // what was sent so long ago is no longer on its way
	roundMax    = datagram.DataMax     // shards that one round of repair adds at most
)

// repairer sends more parity of blocks that somebody lacks.
type repairer struct {
	waiting []*block // by the time of their first request
	askedAt []Time
	due     []*block // being repaired, the first now
}

func (r *repairer) drop() { *r = repairer{} }

// forget drops a block that is no longer kept.
func (r *repairer) forget(b *block) {
	if !b.pending {
		return
	}
	b.pending = false
	for i, w := range r.waiting {
		if w == b {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			r.askedAt = append(r.askedAt[:i], r.askedAt[i+1:]...)
			return
		}
	}
	for i, w := range r.due {
		if w == b {
			r.due = append(r.due[:i], r.due[i+1:]...)
			return
		}
	}
}

// receiveNack notes what a member lacks: of another's stream, so as not to ask
// for it too; of ours, to send it.
func (e *Engine) receiveNack(s *stream, inner []byte) {
	n, err := datagram.ParseNack(inner)
	if err != nil {
		e.refuse(err)
		return
	}
	e.stats.NacksReceived++
	if n.Of != e.cfg.Stream {
		if of := e.streamOf(n.Of); of != nil {
			for i := range n.Len() {
				e.overhear(of, n.Want(i))
			}
		}
		return
	}
	s.report(e, n.Loss)
	if e.outlier(s) || e.left {
		return
	}
	for i := range n.Len() {
		w := n.Want(i)
		f := e.sender.lanes[w.Lane].all
		if w.Addressed {
			f = s.out[w.Lane]
		}
		if f != nil {
			e.wanted(f, w)
		}
	}
}

// wanted notes that a block is lacking shards. How many were sent is compared with
// how many the member knew of: what is on its way is not sent again.
func (e *Engine) wanted(f *flow, w datagram.Want) {
	if w.Block >= f.sent {
		return
	}
	b := f.find(w.Block)
	if b == nil {
		e.stats.Unrepairable++
		return
	}
	total := int(w.UpTo) + int(w.Need)
	if !b.pending && e.now-b.lastAt > Time(holdTime) {
		total = b.next + int(w.Need) // what was sent since was lost on it too
	}
	if w.Need == 0 {
		if e.now < b.holdsTo {
			return
		}
		total = b.next + b.k
		b.holdsTo = e.now.Add(collectTime + holdTime + time.Duration(b.k)*e.pacer.takes(fullBytes))
	}
	total = min(total, b.next+roundMax, b.k+parityMax, datagram.ShardsMax)
	if total <= max(b.upTo, b.wanted) {
		return
	}
	b.wanted = total
	if !b.pending {
		b.pending = true
		e.repairer.waiting = append(e.repairer.waiting, b)
		e.repairer.askedAt = append(e.repairer.askedAt, e.now)
	}
}

// collect moves blocks whose requests were collected for long enough to those being repaired.
func (e *Engine) collect() {
	r := &e.repairer
	n := 0
	for n < len(r.waiting) && r.askedAt[n].Add(collectTime) <= e.now {
		r.due = append(r.due, r.waiting[n])
		n++
	}
	if n != 0 {
		r.waiting = append(r.waiting[:0], r.waiting[n:]...)
		r.askedAt = append(r.askedAt[:0], r.askedAt[n:]...)
	}
}

// repairDue is when a repair may go, as far as its share of the rate matters.
func (e *Engine) repairDue() Time {
	r := &e.repairer
	at := Never
	if len(r.due) != 0 {
		at = -Never
	} else if len(r.waiting) != 0 {
		at = r.askedAt[0].Add(collectTime)
	}
	if at != Never && e.dataAt() <= e.now {
		at = max(at, e.pacer.repair.at)
	}
	return at
}

func (e *Engine) sendRepair() bool {
	e.collect()
	r := &e.repairer
	if len(r.due) == 0 || e.repairDue() > e.now {
		return false
	}
	b := r.due[0]
	if b.next >= b.upTo {
		b.upTo = b.wanted
	}
	d := e.sealShard(b, b.upTo-b.next-1)
	e.stats.Repair++
	e.pacer.repair.pass(e.now, repairShare*e.pacer.takes(len(d)))
	if b.next >= b.wanted {
		b.pending = false
		r.due = append(r.due[:0], r.due[1:]...)
	} else if b.next >= b.upTo {
		b.upTo = b.wanted
	}
	return true
}
