package eventlog

import (
	"errors"
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

// own is an operation of the log's own, for retention.
type own struct {
	kind    ownKind
	it      *item        // ownTrim; ownAgain: its key fields
	rec     *record      // ownMove
	batch   *wire.Batch  // ownMove: nil if its body is lost
	from    uint32       // ownAgain, ownMove, ownDrop: the segment that is being given up
	author  *authorIndex // ownLetGo
	removed *[]Meta      // ownTrim: what was removed is appended
	dropped *segment     // ownDrop: set when it is done
}

type ownKind uint8

const (
	ownTrim  ownKind = 1 + iota // remove an author's events up to a mark
	ownAgain                    // write a small record of from again, as it is by now
	ownMove                     // copy what a record has in from
	ownDrop                     // forget the segment from, in which nothing lives
	ownLetGo                    // forget an author of whom nothing is held
)

// change is what a group does to the index once it is written.
type change struct {
	kind   changeKind
	late   bool
	rec    *record
	batch  *wire.Batch
	pos    int64
	offset uint64
	reason wire.Reason
	it     *item
	own    *own
}

type changeKind uint8

const (
	changeBatch   changeKind = 1 + iota // a new batch
	changeFill                          // a lost batch's body
	changeRelease                       // rec gets offset
	changeVerdict
	changeMove // rec is now at pos
	changeItem // a small record
	changeOwn  // ownDrop or ownLetGo
)

// group is what one write call brings to the disk: the ops of all Appends that
// were waiting. It is planned against the index, written, and then applied to
// it; so readers see nothing that was not written, and a failed group leaves
// nothing behind.
type group struct {
	buf       []byte
	changes   []change
	heads     []head
	pending   map[wire.BatchID]int // of heads
	compacted map[*topicIndex]bool // once the group was applied
	lives     map[string]uint64    // of durables that the group declares; 0: that it forgets
	begun     uint64               // how many lives begin
	seg       uint32
	base      int64 // where buf will be in the segment
	skipped   uint64
	bytes     int64 // of new batches
	forced    bool  // wants a sync under any policy
}

// head is a batch's record in buf whose place is still open.
type head struct {
	start  int
	rec    *record
	header []byte
	place  place
}

const (
	groupMaxBytes  = 4 << 20 // a group is closed when it reaches it, so that callbacks are not kept waiting
	groupKeepBytes = 2 * groupMaxBytes
)

func (g *group) reset(s *segment) {
	if cap(g.buf) > groupKeepBytes {
		g.buf = nil
	}
	g.buf = g.buf[:0]
	clear(g.changes)
	g.changes = g.changes[:0]
	clear(g.heads)
	g.heads = g.heads[:0]
	clear(g.pending)
	clear(g.lives)
	clear(g.compacted)
	g.begun = 0
	g.seg, g.base, g.skipped, g.bytes, g.forced = 0, 0, 0, 0, false
	if s != nil {
		g.seg, g.base = s.number, s.size
	}
}

// errOp is what an op is refused with that no log could store. It stops nothing
// but its own Append.
var errOp = errors.New("eventlog: invalid operation")

func checkOps(ops []Op) error {
	for i := range ops {
		op := &ops[i]
		names := [...]string{op.Gap.Topic, op.Gap.Reason, op.Durable.Name, op.Durable.Filter, op.Topic}
		for _, s := range names {
			if len(s) > nameMaxBytes {
				return fmt.Errorf("%w: a name of %d bytes", errOp, len(s))
			}
		}
		switch op.Kind {
		case OpBatch:
			if op.Batch == nil || len(op.Batch.Raw) == 0 || len(op.Batch.Raw) > wire.BatchMaxBytes {
				return fmt.Errorf("%w: OpBatch without a batch, or with one beyond the limit", errOp)
			}
			if op.Batch.Header.Count == 0 {
				return fmt.Errorf("%w: batch %v has no events", errOp, op.Batch.ID)
			}
		case OpRelease, OpGap, OpVerdict, OpCursor, OpDurable, OpForget:
		default:
			return fmt.Errorf("%w: kind %d", errOp, op.Kind)
		}
	}
	return nil
}

// plan adds ops to the group.
func (e *engine) plan(ops []Op) {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case OpBatch:
			e.planBatch(op.Batch)
		case OpRelease:
			e.planRelease(op.ID, op.Late)
		case OpVerdict:
			e.planVerdict(op.ID, op.Reason)
		case OpGap:
			t := e.topicOf(op.Gap.Topic)
			e.planItem(&item{kind: recGap, gap: op.Gap, offset: t.planNext, time: e.newest})
			t.planNext++
		case OpCursor, OpDurable, OpForget:
			e.planDurable(op)
		}
	}
}

// topicOf and authorOf make what is new at once: an empty topic shows nowhere.
func (e *engine) topicOf(name string) *topicIndex {
	if t := e.topics[name]; t != nil {
		return t
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.topic(name)
}

func (e *engine) authorOf(topic string, a wire.Author) *authorIndex {
	t := e.topicOf(topic)
	if ai := t.authors[a]; ai != nil {
		return ai
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return t.by(a)
}

func (e *engine) planBatch(b *wire.Batch) {
	g := &e.group
	if _, ok := g.pending[b.ID]; ok {
		return
	}
	known := e.batches[b.ID]
	if known != nil && !known.lost {
		return
	}
	if known != nil {
		e.planBody(known, b, changeFill)
		g.heads[len(g.heads)-1].place = known.place()
		return
	}
	a := e.authorOf(b.Header.Topic, b.Header.Author)
	if b.Header.End().Compare(a.trim) <= 0 {
		g.skipped++
		return
	}
	g.bytes += int64(len(b.Raw))
	e.planBody(&record{author: a, id: b.ID, count: b.Header.Count}, b, changeBatch)
}

func (r *record) place() place {
	return place{released: r.released, late: r.late, verdict: r.verdict, offset: r.offset}
}

// planBody adds a batch's record.
func (e *engine) planBody(r *record, b *wire.Batch, kind changeKind) {
	g := &e.group
	start := len(g.buf)
	g.changes = append(g.changes, change{kind: kind, rec: r, batch: b, pos: g.base + int64(start)})
	g.pending[b.ID] = len(g.heads)
	g.heads = append(g.heads, head{start: start, rec: r, header: b.HeaderBytes})
	if e.disk != nil {
		g.buf = appendBatchRecord(g.buf, b)
	}
}

// planned returns a batch that is stored or about to be; h is its open record.
func (e *engine) planned(id wire.BatchID) (r *record, h *head) {
	if i, ok := e.group.pending[id]; ok {
		h = &e.group.heads[i]
		return h.rec, h
	}
	return e.batches[id], nil
}

func (e *engine) planRelease(id wire.BatchID, late bool) {
	g := &e.group
	r, h := e.planned(id)
	if r == nil || r.verdict != 0 || r.barred {
		g.skipped++
		return
	}
	if r.released || r.planned {
		return
	}
	t := r.author.topic
	offset := t.planNext
	t.planNext += uint64(r.count)
	r.planned = true
	g.changes = append(g.changes, change{kind: changeRelease, rec: r, offset: offset, late: late})
	if h != nil {
		h.place.released, h.place.late, h.place.offset = true, late, offset
		return
	}
	if e.disk != nil {
		it := item{kind: recRelease, meta: e.meta(r)}
		it.meta.Released, it.meta.Late, it.meta.Offset = true, late, offset
		g.buf = appendItem(g.buf, &it)
	}
}

func (e *engine) planVerdict(id wire.BatchID, why wire.Reason) {
	g := &e.group
	r, h := e.planned(id)
	if r == nil || r.headless {
		g.skipped++
		return
	}
	r.barred = true
	g.changes = append(g.changes, change{kind: changeVerdict, rec: r, reason: why})
	if h != nil {
		h.place.verdict = why
		return
	}
	if e.disk != nil {
		g.buf = appendItem(g.buf, &item{kind: recVerdict, meta: Meta{ID: id, Verdict: why}})
	}
}

// planDurable adds what concerns a durable, and the life of its name.
func (e *engine) planDurable(op *Op) {
	g := &e.group
	it := &item{name: op.Durable.Name}
	life, ok := g.lives[it.name]
	if d := e.durables[it.name]; d != nil && !ok {
		life = d.life
	}
	switch {
	case op.Kind == OpDurable:
		if life == 0 {
			g.begun++
			life = e.lives + g.begun
		}
		it.kind, it.filter = recDurable, op.Durable.Filter
		g.lives[it.name] = life
	case life == 0:
		g.skipped++
		return
	case op.Kind == OpCursor:
		it.kind, it.topic, it.offset = recCursor, op.Topic, op.Offset
	default:
		it.kind = recForget
		g.lives[it.name] = 0
	}
	it.life = life
	e.planItem(it)
}

func (e *engine) planItem(it *item) {
	e.group.changes = append(e.group.changes, change{kind: changeItem, it: it})
	if e.disk != nil {
		e.group.buf = appendItem(e.group.buf, it)
	}
}

// planOwn adds an operation of retention.
func (e *engine) planOwn(o *own) {
	g := &e.group
	switch o.kind {
	case ownTrim:
		e.planItem(o.it)
		g.changes[len(g.changes)-1].own = o
	case ownAgain:
		if e.restate(o.it, o.from) {
			e.planItem(o.it)
			e.planCursors(o.it)
		}
	case ownMove:
		e.planMove(o)
	case ownDrop, ownLetGo:
		g.changes = append(g.changes, change{kind: changeOwn, own: o})
	}
}

// planCursors writes again the cursors of a durable that is written again: a
// cursor must stand after its durable, or a start takes it for one of an earlier life.
func (e *engine) planCursors(durable *item) {
	if durable.kind != recDurable {
		return
	}
	for topic, c := range e.durables[durable.name].cursors {
		e.planItem(&item{kind: recCursor, name: durable.name, life: durable.life, topic: topic, offset: c.offset})
	}
}

// planMove writes again what a record has in the segment that is given up.
func (e *engine) planMove(o *own) {
	g, r := &e.group, o.rec
	if _, busy := g.pending[r.id]; busy || r.gone {
		return
	}
	pos := g.base + int64(len(g.buf))
	switch {
	case r.headless || r.seg != o.from:
		if r.released && r.placeSeg == o.from {
			g.changes = append(g.changes, change{kind: changeRelease, rec: r, offset: r.offset, late: r.late})
			g.buf = appendItem(g.buf, &item{kind: recRelease, meta: e.meta(r)})
		}
		if r.verdict != 0 && r.verdictSeg == o.from {
			g.changes = append(g.changes, change{kind: changeVerdict, rec: r, reason: r.verdict})
			g.buf = appendItem(g.buf, &item{kind: recVerdict, meta: Meta{ID: r.id, Verdict: r.verdict}})
		}
	case o.batch == nil:
		g.changes = append(g.changes, change{kind: changeMove, rec: r, pos: pos})
		it := item{kind: recLost, meta: e.meta(r)}
		it.meta.Lost = true
		g.buf = appendItem(g.buf, &it)
	default:
		e.planBody(r, o.batch, changeMove)
		g.heads[len(g.heads)-1].place = r.place()
	}
}

// unplan forgets a group that was not written.
func (e *engine) unplan() {
	for i := range e.group.changes {
		c := &e.group.changes[i]
		switch c.kind {
		case changeItem:
			if c.it.kind == recGap {
				t := e.topics[c.it.gap.Topic]
				t.replan()
			}
		case changeRelease:
			c.rec.planned = false
			c.rec.author.topic.replan()
		case changeVerdict:
			c.rec.barred = c.rec.verdict != 0
		default: // the others leave nothing before they are applied
		}
	}
}

// seal completes the group's bytes.
func (g *group) seal(seed uint32) {
	for i := range g.heads {
		h := &g.heads[i]
		putPlace(g.buf[h.start+frameBytes:], h.place, h.header, seed)
	}
	sealRecords(g.buf, seed)
}
