package eventlog

import "slices"

// apply makes a written group known to readers.
func (e *engine) apply() {
	g := &e.group
	if g.skipped > 0 {
		e.skipped.Add(g.skipped)
		e.debug("operations on batches that retention has removed", "count", g.skipped)
	}
	if len(g.changes) == 0 && len(g.buf) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.segments[g.seg]; s != nil {
		s.size += int64(len(g.buf))
	}
	for i := range g.changes {
		e.applyChange(&g.changes[i], g.seg)
	}
	e.wakeReaders(g)
	if s := e.segments[g.seg]; s != nil {
		s.side = e.appendSide(s.side, g)
	}
}

func (e *engine) applyChange(c *change, seg uint32) {
	r := c.rec
	switch c.kind {
	case changeBatch:
		e.fill(r, c.batch.ID, &c.batch.Header, len(c.batch.Raw))
		e.add(r)
		e.locate(r, seg, c.pos)
		e.keep(r, c)
	case changeFill:
		if r.gone {
			return
		}
		if r.headless {
			r.headless = false
			e.fill(r, c.batch.ID, &c.batch.Header, len(c.batch.Raw))
			e.add(r)
		}
		r.lost = false
		e.moved(r, c, seg)
		e.keep(r, c)
	case changeMove:
		if !r.gone {
			e.moved(r, c, seg)
		}
	case changeRelease:
		r.planned = false
		if r.gone {
			t := r.author.topic
			t.next, t.nextSeg = max(t.next, c.offset+uint64(r.count)), max(t.nextSeg, seg)
			return
		}
		e.release(r, c.offset, c.late, seg)
	case changeVerdict:
		e.verdict(r, c.reason, seg)
	case changeItem:
		e.applyItem(c, seg)
	case changeOwn:
		e.applyOwn(c.own)
	}
}

// moved notes that all that is known of r is now at c.pos.
func (e *engine) moved(r *record, c *change, seg uint32) {
	e.locate(r, seg, c.pos)
	if r.released {
		e.release(r, r.offset, r.late, seg)
	}
	if r.verdict != 0 {
		r.verdictSeg = seg
	}
}

func (e *engine) keep(r *record, c *change) {
	r.body = c.batch
	e.tail.push(r, e.tailBytes)
}

func (e *engine) applyItem(c *change, seg uint32) {
	it := c.it
	switch it.kind {
	case recTrim:
		a := e.topic(it.topic).by(it.author)
		var removed func(*record)
		if c.own != nil && c.own.removed != nil {
			removed = func(r *record) { *c.own.removed = append(*c.own.removed, e.meta(r)) }
		}
		e.trim(a, it.mark, it.time, seg, removed)
	case recTopic:
		e.setFloor(e.topic(it.topic), it.offset, it.floor, seg)
	case recGap:
		e.gap(it.gap, it.offset, it.time, seg)
	case recCursor:
		e.setCursor(it, seg)
	case recDurable:
		e.setDurable(it.name, it.filter, it.life, seg)
	case recForget:
		e.forget(it.name, it.life, seg)
	default: // the others are no small records
	}
}

// wakeReaders compacts what trimming left, each topic once, and closes the channels of readers
// that wait for an offset which is there now: one channel a topic and offset,
// however many wait.
func (e *engine) wakeReaders(g *group) {
	for i := range g.changes {
		var t *topicIndex
		switch c := &g.changes[i]; c.kind {
		case changeRelease:
			t = c.rec.author.topic
		case changeItem:
			switch c.it.kind {
			case recGap:
				t = e.topics[c.it.gap.Topic]
			case recTrim, recTopic:
				t = e.topics[c.it.topic]
				if !g.compacted[t] {
					g.compacted[t] = true
					e.compact(t)
				}
			default: // changes no topic's order
			}
		default: // so do these
		}
		if t == nil || len(e.waits) == 0 {
			continue
		}
		waits := e.waits[t.name]
		for offset, c := range waits {
			if offset < t.next {
				close(c)
				delete(waits, offset)
			}
		}
		if len(waits) == 0 {
			delete(e.waits, t.name)
		}
	}
}

// appendSide appends what the sidecar of the group's segment tells of the group.
func (e *engine) appendSide(side []byte, g *group) []byte {
	next := 0
	for pos := 0; pos < len(g.buf); {
		kind, n, _ := checkFrame(g.buf[pos:])
		switch kind {
		case recCommit:
		case recBatch:
			h := &g.heads[next]
			next++
			it := item{kind: recMeta, pos: g.base + int64(pos), meta: e.meta(h.rec)}
			it.meta.Lost = false
			it.meta.setPlace(h.place)
			side = appendItem(slices.Grow(side, 512), &it)
		default:
			side = append(side, g.buf[pos:pos+n]...)
		}
		pos += n
	}
	return side
}
