package eventlog

import (
	"slices"

	"github.com/busnode/busnode/gossip/wire"
)

// trim removes what a published up to mark; the topic wants compacting.
func (x *index) trim(a *authorIndex, mark wire.Mark, date wire.Time, seg uint32, removed func(*record)) {
	if mark.Compare(a.trim) >= 0 {
		a.trim, a.trimSeg, a.trimTime = mark, seg, max(a.trimTime, date)
	}
	had := len(a.recs)
	kept := a.recs[:0]
	for i, r := range a.recs {
		if r.start().Compare(mark) > 0 {
			kept = append(kept, a.recs[i:]...)
			break
		}
		if r.end().Compare(mark) > 0 {
			kept = append(kept, r)
			continue
		}
		if removed != nil {
			removed(r)
		}
		x.remove(r)
	}
	clear(a.recs[len(kept):])
	a.recs = kept
	if had > 0 && len(kept) == 0 {
		a.recs = nil
		a.topic.holding--
	}
}

// setFloor forgets a topic's gaps below floor, and what was found headless there.
func (x *index) setFloor(t *topicIndex, next, floor uint64, seg uint32) {
	t.next = max(t.next, next)
	t.nextSeg = max(t.nextSeg, seg)
	t.floor = max(t.floor, floor)
	for i := range t.entries {
		e := &t.entries[i]
		if e.offset >= t.floor {
			break
		}
		switch {
		case e.gap != nil && !e.gap.gone:
			e.gap.gone = true
			t.dead++
		case e.rec != nil && e.rec.headless && !e.rec.gone:
			x.remove(e.rec)
		}
	}
}

// compact drops the entries that are gone, and the gaps that trimming has overtaken.
func (x *index) compact(t *topicIndex) {
	for i := range t.entries {
		e := &t.entries[i]
		if e.gap != nil && !e.gap.gone {
			if a := t.authors[e.gap.Author]; a != nil && e.gap.To.Compare(a.trim) <= 0 {
				e.gap.gone = true
				t.dead++
			}
		}
		if e.rec != nil && e.rec.headless && !e.rec.gone && e.rec.end().Compare(e.rec.author.trim) <= 0 {
			x.remove(e.rec)
		}
	}
	if t.dead > 0 {
		t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return e.gone() })
		t.dead = 0
	}
}
