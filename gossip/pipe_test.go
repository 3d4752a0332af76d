package gossip

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// pipe is one direction of a link. With a rate it sends one byte after the
// other: its lanes are two streams of one connection, which take turns by
// quantum, as those of yamux do (it writes at most 64 KiB of a stream at a time;
// QUIC takes turns by packet, and delays less). Nothing is dropped in a pipe.
type pipe struct {
	from, to *node
	gen      int
	lanes    [2][][]byte
	turn     Lane
	credit   int // bytes that the lane whose turn it is may yet send in this turn
	busy     bool
}

const pipeQuantum = 64 << 10

func newPipe(from, to *node) *pipe {
	return &pipe{from: from, to: to, gen: from.links[to], credit: pipeQuantum}
}

func (p *pipe) send(lane Lane, frame []byte) {
	n := p.from.net
	if n.rate == 0 {
		n.at(n.latency, func() { p.arrive(frame) })
		return
	}
	p.lanes[lane] = append(p.lanes[lane], frame)
	if !p.busy {
		p.transmit()
	}
}

// transmit sends the next frame, and goes on when that is on its way.
func (p *pipe) transmit() {
	n := p.from.net
	if len(p.lanes[p.turn]) == 0 || p.credit <= 0 {
		p.turn, p.credit = 1-p.turn, pipeQuantum
		if len(p.lanes[p.turn]) == 0 {
			p.turn = 1 - p.turn
		}
	}
	queue := p.lanes[p.turn]
	p.busy = len(queue) > 0
	if !p.busy {
		return
	}
	frame := queue[0]
	p.lanes[p.turn] = queue[1:]
	p.credit -= len(frame)
	took := time.Duration(len(frame)) * time.Second / time.Duration(n.rate)
	n.at(took, p.transmit)
	n.at(took+n.latency, func() { p.arrive(frame) })
}

func (p *pipe) arrive(frame []byte) {
	if p.from.links[p.to] == p.gen && p.to.links[p.from] != 0 && !p.from.net.silent {
		p.to.receive(p.from, frame)
	}
}

// limits are what a log keeps of a topic. 0: no limit.
type limits struct {
	age         time.Duration
	authorBytes int
}

// retain removes what is beyond the limits from the log, each author's oldest
// first, and tells the core, as the driver's retention does.
func (x *node) retain(l limits) (removed int) {
	bytes := map[wire.Author]int{}
	var gone []wire.BatchID
	for i := len(x.order) - 1; i >= 0; i-- { // newest first, as far as they came in order
		b := x.log[x.order[i]].batch
		h := &b.Header
		bytes[h.Author] += b.Size()
		old := l.age > 0 && h.Time < x.wall().Add(-l.age)
		if old || l.authorBytes > 0 && bytes[h.Author] > l.authorBytes {
			gone = append(gone, b.ID)
		}
	}
	slices.Reverse(gone)
	x.trim(gone...)
	return len(gone)
}

// trim removes batches from the log and tells the core.
func (x *node) trim(ids ...wire.BatchID) {
	for _, id := range ids {
		x.trimmed[id] = &x.log[id].batch.Header
		delete(x.log, id)
	}
	x.order = slices.DeleteFunc(x.order, func(id wire.BatchID) bool { return x.log[id] == nil })
	x.core.Trim(ids)
	x.step()
}

// trimPlace is where an author's events were trimmed.
type trimPlace struct {
	topic  string
	author wire.Author
}

// trimMark is what a log remembers of what it trimmed.
type trimMark struct {
	upto   wire.Mark
	newest wire.Time
}

func (x *node) trimMarks() map[trimPlace]trimMark {
	marks := map[trimPlace]trimMark{}
	for _, h := range x.trimmed {
		at := trimPlace{h.Topic, h.Author}
		m := marks[at]
		if h.End().Compare(m.upto) > 0 {
			m.upto = h.End()
		}
		m.newest = max(m.newest, h.Time)
		marks[at] = m
	}
	return marks
}

// restoreTrimmed tells a new core of what was trimmed, as the log's marks do.
func (x *node) restoreTrimmed() {
	marks := x.trimMarks()
	places := slices.SortedFunc(maps.Keys(marks), func(a, b trimPlace) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), bytes.Compare(a.author[:], b.author[:]))
	})
	for _, at := range places {
		x.core.RestoreTrimmed(at.topic, at.author, marks[at].upto, marks[at].newest)
	}
}

// retainEvery retains again and again, from now on.
func (x *node) retainEvery(every time.Duration, l limits) {
	x.net.at(every, func() {
		x.retain(l)
		x.retainEvery(every, l)
	})
}

// received counts the batches that came to the nodes, also those they held.
func received(nodes []*node) (n int) {
	for _, x := range nodes {
		n += x.received
	}
	return n
}
