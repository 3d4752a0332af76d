package eventlog

import (
	"container/heap"
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// retention is one run of Retain. What it removes of an author on a topic is
// always the beginning, so that one mark says what is gone.
type retention struct {
	e       *engine
	keep    func(*Meta) bool
	removed []Meta
	owns    []own
	vetoed  map[*authorIndex]bool // keep wants the author's oldest
	total   bool                  // the total limit was applied already
}

// holder is who holds bytes: an author, on one topic or on all.
type holder struct {
	bytes int64
	parts []*part
}

// part is what a holder holds on one topic, and how much of it is to go.
type part struct {
	author *authorIndex
	count  int // of batches from the oldest on that go
	oldest Meta
	mark   wire.Mark
	date   wire.Time
}

const (
	trimsPerRequest = 1024
	totalRounds     = 3
	letGoAges       = 2 // an author is forgotten when this many ages have passed since its newest event
)

// Retain implements [Log].
func (e *engine) Retain(now wire.Time, l Limits, keep func(*Meta) bool) ([]Meta, error) {
	if keep == nil {
		keep = func(*Meta) bool { return false }
	}
	p := &retention{e: e, keep: keep, vetoed: make(map[*authorIndex]bool)}
	if e.disk != nil {
		e.disk.limitSegments(l.Bytes)
	}
	steps := []func() error{
		func() error { return p.byAge(now, l) },
		func() error { return p.byAuthor(l.AuthorBytes) },
		func() error { return p.byTopic(l.TopicBytes) },
		func() error { return p.byTotal(l.Bytes) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return p.removed, err
		}
	}
	if e.disk == nil {
		return p.removed, nil
	}
	// What is removed from many segments may give nothing back before they are
	// copied; what still does not suffice is repeated, a few times at most.
	for range totalRounds {
		if err := e.reclaim(l.Bytes); err != nil {
			return p.removed, err
		}
		was := len(p.removed)
		if err := p.byTotal(l.Bytes); err != nil || len(p.removed) == was {
			return p.removed, err
		}
	}
	return p.removed, e.reclaim(l.Bytes)
}

// peek copies the oldest batch of p that is not to go yet; false if there is
// none, or keep wants it.
func (p *retention) peek(x *part) bool {
	if p.vetoed[x.author] {
		return false
	}
	p.e.mu.RLock()
	ok := x.count < len(x.author.recs)
	if ok {
		x.oldest = p.e.meta(x.author.recs[x.count])
	}
	p.e.mu.RUnlock()
	return ok
}

// take has the part's oldest batch go, unless keep wants it.
func (p *retention) take(x *part) bool {
	if p.keep(&x.oldest) {
		p.vetoed[x.author] = true
		return false
	}
	h := &x.oldest.Header
	x.count++
	if end := h.End(); end.Compare(x.mark) > 0 {
		x.mark = end
	}
	x.date = max(x.date, h.Time)
	return true
}

// trim queues the removal of what was taken of a part.
func (p *retention) trim(x *part) error {
	if x.count == 0 {
		return nil
	}
	it := &item{kind: recTrim, topic: x.author.topic.name, author: x.author.author, mark: x.mark, time: x.date}
	p.owns = append(p.owns, own{kind: ownTrim, it: it, removed: &p.removed})
	if len(p.owns) < trimsPerRequest {
		return nil
	}
	return p.flush()
}

func (p *retention) flush() error {
	if len(p.owns) == 0 {
		return nil
	}
	owns := p.owns
	p.owns = nil
	return p.e.do(owns)
}

// byAge removes what is older than the limit, and what is known of authors and
// gaps that have long had nothing younger.
func (p *retention) byAge(now wire.Time, l Limits) error {
	if l.Age <= 0 {
		return nil
	}
	cutoff := now.Add(-l.Age)
	for _, a := range p.e.authorsInOrder("") {
		x := &part{author: a}
		for p.peek(x) && x.oldest.Header.Time < cutoff && p.take(x) {
		}
		if err := p.trim(x); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.oldGaps(cutoff)
	p.letGo(now.Add(-letGoAges * l.Age))
	return p.flush()
}

// oldGaps forgets gaps that were released before the cutoff.
func (p *retention) oldGaps(cutoff wire.Time) {
	p.e.mu.RLock()
	defer p.e.mu.RUnlock()
	for _, t := range p.e.topics {
		floor := uint64(0)
		for i := range t.entries {
			at := &t.entries[i]
			switch {
			case at.gone():
				continue
			case at.gap != nil && at.gap.date < cutoff, at.rec != nil && at.rec.headless && at.rec.time < cutoff:
				floor = at.next()
				continue
			case at.gap == nil && !at.rec.headless:
				continue
			}
			break
		}
		if floor > t.floor {
			it := &item{kind: recTopic, topic: t.name, offset: t.next, floor: floor}
			p.owns = append(p.owns, own{kind: ownTrim, it: it})
		}
	}
}

func (p *retention) letGo(before wire.Time) {
	p.e.mu.RLock()
	defer p.e.mu.RUnlock()
	for _, t := range p.e.topics {
		for _, a := range t.authors {
			if len(a.recs) == 0 && a.trimTime < before {
				p.owns = append(p.owns, own{kind: ownLetGo, author: a})
			}
		}
	}
}

// byAuthor sheds what an author holds, over all topics, above the limit.
func (p *retention) byAuthor(limit int64) error {
	if limit <= 0 {
		return nil
	}
	for _, h := range p.holders("") {
		if err := p.shed([]*holder{h}, h.bytes-limit); err != nil {
			return err
		}
	}
	return p.flush()
}

// byTopic sheds what a topic holds above the limit.
func (p *retention) byTopic(limit int64) error {
	if limit <= 0 {
		return nil
	}
	for _, t := range p.e.Topics() {
		if t.Bytes <= limit {
			continue
		}
		if err := p.shed(p.holders(t.Name), t.Bytes-limit); err != nil {
			return err
		}
	}
	return p.flush()
}

// byTotal sheds what the log takes above the limit. On a disk it leaves an eighth
// for what was removed and still lies in segments with others; when that was not
// enough, it takes the log to be as large for what it holds as it is now, frames
// and sidecars included. Whatever was written meanwhile, a share is left.
func (p *retention) byTotal(limit int64) error {
	p.e.mu.RLock()
	taken, held := p.e.footprint(), p.e.bytes
	p.e.mu.RUnlock()
	if limit <= 0 || taken <= limit {
		return nil
	}
	excess := held - limit
	if p.e.disk != nil {
		excess = held - (limit - limit/8)
		if p.total { // and that was not enough
			left := float64(limit-limit/8) / float64(taken)
			excess = max(excess, held-int64(left*float64(held)))
		}
		p.total = true
	}
	if err := p.shed(p.holders(""), excess); err != nil {
		return err
	}
	return p.flush()
}

// holders returns the authors of a topic, or of all, with what they hold.
func (p *retention) holders(topic string) []*holder {
	byAuthor := make(map[wire.Author]*holder)
	var all []*holder
	for _, a := range p.e.authorsInOrder(topic) {
		h := byAuthor[a.author]
		if h == nil {
			h = &holder{}
			byAuthor[a.author] = h
			all = append(all, h)
		}
		x := &part{author: a}
		if p.peek(x) {
			h.parts = append(h.parts, x)
		}
		p.e.mu.RLock()
		h.bytes += a.bytes
		p.e.mu.RUnlock()
	}
	return all
}

// shed removes batches until excess bytes are gone, each time the oldest of who
// holds the most.
func (p *retention) shed(holders []*holder, excess int64) error {
	if excess <= 0 {
		return nil
	}
	queue := holderHeap(slices.Clone(holders))
	heap.Init(&queue)
	for excess > 0 && len(queue) > 0 {
		h := queue[0]
		freed := p.takeOldest(h)
		if freed == 0 {
			heap.Pop(&queue)
			continue
		}
		excess -= freed
		h.bytes -= freed
		heap.Fix(&queue, 0)
	}
	for _, h := range holders {
		for _, x := range h.parts {
			if err := p.trim(x); err != nil {
				return err
			}
			x.count = 0
		}
	}
	return p.flush()
}

// takeOldest takes the holder's oldest batch and returns its bytes, or 0 if there
// is none that may go.
func (p *retention) takeOldest(h *holder) int64 {
	for {
		var oldest *part
		for _, x := range h.parts {
			if oldest == nil || x.oldest.Header.Time < oldest.oldest.Header.Time {
				oldest = x
			}
		}
		if oldest == nil {
			return 0
		}
		size := int64(oldest.oldest.Size)
		taken := p.take(oldest)
		if !taken || !p.peek(oldest) {
			h.parts = p.without(h, oldest)
		}
		if taken {
			return size
		}
	}
}

// without drops a part that is exhausted from those that are asked, after
// queueing what was taken of it.
func (p *retention) without(h *holder, x *part) []*part {
	if x.count > 0 {
		it := &item{kind: recTrim, topic: x.author.topic.name, author: x.author.author, mark: x.mark, time: x.date}
		p.owns = append(p.owns, own{kind: ownTrim, it: it, removed: &p.removed})
	}
	return slices.DeleteFunc(h.parts, func(o *part) bool { return o == x })
}

// holderHeap has who holds the most on top.
type holderHeap []*holder

func (h holderHeap) Len() int           { return len(h) }
func (h holderHeap) Less(i, j int) bool { return h[i].bytes > h[j].bytes }
func (h holderHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *holderHeap) Push(x any)        { *h = append(*h, x.(*holder)) }
func (h *holderHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
