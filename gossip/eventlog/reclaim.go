package eventlog

import (
	"errors"
	"io/fs"
	"path/filepath"
)

const (
	// A closed segment of which less than a quarter lives is given up: what lives
	// is copied forward, at most a third of what is won.
	reclaimShare = 4
	// To keep the total limit, up to seven eighths may have to be copied.
	reclaimShareMax = 7.0 / 8

	moveBytesMax = 1 << 20 // copied forward in one request
	moveOpsMax   = 1024
	limitShare   = 8 // a total limit holds at least this many segments, or little could be given up
)

// limitSegments makes segments so small that a total limit can be kept.
func (d *disk) limitSegments(limit int64) {
	size := d.cfg.SegmentBytes
	if limit > 0 {
		size = min(size, max(limit/limitShare, segmentBytesMin))
	}
	d.segmentBytes.Store(size)
}

// reclaim gives up segments of which little lives; those that are made meanwhile
// wait for the next time, or it might copy for ever.
func (e *engine) reclaim(limit int64) error {
	e.mu.RLock()
	before := e.newestSegment()
	e.mu.RUnlock()
	for tried := make(map[uint32]bool); ; {
		s := e.victim(limit, before, tried)
		if s == nil {
			return nil
		}
		tried[s.number] = true
		if err := e.giveUp(s); err != nil {
			return err
		}
	}
}

// newestSegment returns the number of the active segment, as the index has it.
func (e *engine) newestSegment() uint32 {
	newest := uint32(0)
	for n := range e.segments {
		newest = max(newest, n)
	}
	return newest
}

// victim returns the segment of which the smallest share lives, if that is small
// enough, among those numbered below before. While the disk is full, nothing is copied.
func (e *engine) victim(limit int64, before uint32, tried map[uint32]bool) *segment {
	full := e.failure() != nil
	e.mu.RLock()
	defer e.mu.RUnlock()
	share := 1.0 / reclaimShare
	if limit > 0 && e.footprint() > limit {
		share = reclaimShareMax
	}
	var best *segment
	for n, s := range e.segments {
		if n >= before || tried[n] || full && s.live > 0 {
			continue
		}
		if lives := float64(s.live) / float64(s.size); lives < share || s.live == 0 {
			best, share = s, lives
		}
	}
	return best
}

// giveUp copies forward what lives in s, and removes it once that is on the disk.
func (e *engine) giveUp(s *segment) error {
	if err := e.moveOut(s, e.do); err != nil {
		return err
	}
	drop := []own{{kind: ownDrop, from: s.number}}
	if err := e.do(drop); err != nil || drop[0].dropped == nil {
		return err
	}
	// The sidecar goes first: without its segment it would tell of a file that
	// vanished, while a segment without sidecar is only read once more.
	fsys := e.disk.cfg.FS
	err := s.close(true)
	for _, suffix := range [...]string{sidecarSuffix, segmentSuffix} {
		if gone := fsys.Remove(s.path + suffix); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			return errors.Join(err, gone)
		}
	}
	return errors.Join(err, fsys.SyncDir(filepath.Dir(s.path)))
}

// moveOut has run write again all that s alone knows.
func (e *engine) moveOut(s *segment, run func([]own) error) error {
	owns, recs := e.living(s)
	size := 0
	for _, r := range recs {
		o := own{kind: ownMove, rec: r, from: s.number}
		e.mu.RLock()
		at, body, here := e.spot(r), r.body, r.seg == s.number && !r.lost && !r.headless && !r.gone
		e.mu.RUnlock()
		if here && body == nil {
			var err error
			if body, err = e.readBatch(at); err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		if here {
			o.batch = body
			size += at.size
		}
		owns = append(owns, o)
		if size >= moveBytesMax || len(owns) >= moveOpsMax {
			if err := run(owns); err != nil {
				return err
			}
			owns, size = nil, 0
		}
	}
	if len(owns) == 0 {
		return nil
	}
	return run(owns)
}

// living returns what s has that is not elsewhere: small records, and batches.
func (e *engine) living(s *segment) ([]own, []*record) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var owns []own
	again := func(seg uint32, it item) {
		if seg == s.number {
			owns = append(owns, own{kind: ownAgain, it: &it, from: seg})
		}
	}
	for name, d := range e.durables {
		again(d.seg, item{kind: recDurable, name: name})
		for topic, c := range d.cursors {
			again(c.seg, item{kind: recCursor, name: name, topic: topic})
		}
	}
	for name, t := range e.forgotten {
		again(t.seg, item{kind: recForget, name: name})
	}
	for _, t := range e.topics {
		again(t.nextSeg, item{kind: recTopic, topic: t.name})
		for _, a := range t.authors {
			again(a.trimSeg, item{kind: recTrim, topic: t.name, author: a.author})
		}
		for i := range t.entries {
			if g := t.entries[i].gap; g != nil && !g.gone {
				again(g.seg, item{kind: recGap, topic: t.name, offset: t.entries[i].offset})
			}
		}
	}
	var recs []*record
	for _, r := range s.refs {
		if r.in(s.number) {
			recs = append(recs, r)
		}
	}
	return owns, recs
}

// in reports whether r has something in the segment.
func (r *record) in(seg uint32) bool {
	return !r.gone && (r.seg == seg || r.released && r.placeSeg == seg || r.verdict != 0 && r.verdictSeg == seg)
}

// restate completes a small record with what holds by now, if the segment from is
// still the one that tells it.
func (e *engine) restate(it *item, from uint32) bool {
	switch it.kind {
	case recDurable:
		d := e.durables[it.name]
		if d == nil || d.seg != from {
			return false
		}
		it.filter, it.life = d.filter, d.life
	case recCursor:
		d := e.durables[it.name]
		if d == nil || d.cursors[it.topic].seg != from {
			return false
		}
		it.offset, it.life = d.cursors[it.topic].offset, d.life
	case recForget:
		t, ok := e.forgotten[it.name]
		it.life = t.life
		return ok && t.seg == from && !e.oldest(from)
	case recTopic:
		t := e.topics[it.topic]
		if t.nextSeg != from {
			return false
		}
		it.offset, it.floor = t.next, t.floor
	case recTrim:
		a := e.topics[it.topic].authors[it.author]
		if a == nil || a.trimSeg != from {
			return false
		}
		it.mark, it.time = a.trim, a.trimTime
	case recGap:
		t := e.topics[it.topic]
		i := t.at(it.offset)
		if i == len(t.entries) || t.entries[i].offset != it.offset {
			return false
		}
		g := t.entries[i].gap
		if g == nil || g.gone || g.seg != from {
			return false
		}
		it.gap, it.time = g.Gap, g.date
	default: // the others are not written again by themselves
	}
	return true
}

func (e *engine) oldest(number uint32) bool {
	for n := range e.segments {
		if n < number {
			return false
		}
	}
	return true
}

func (e *engine) applyOwn(o *own) {
	if o.kind == ownLetGo {
		if a := o.author; len(a.recs) == 0 {
			delete(a.topic.authors, a.author)
		}
		return
	}
	s := e.segments[o.from]
	if s == nil {
		return
	}
	for _, r := range s.refs {
		if r.in(s.number) {
			return // could not be copied this time
		}
	}
	if e.oldest(s.number) {
		for name, t := range e.forgotten {
			if t.seg <= s.number {
				delete(e.forgotten, name)
			}
		}
	}
	delete(e.segments, s.number)
	s.refs = nil // who still knows the segment need not keep its records
	o.dropped = s
}

// salvage writes again, into the new active segment, all that is in a segment
// whose sync failed. The page cache mostly still has what the disk refused; what
// it has not is found by its checksum, and lost.
func (e *engine) salvage(s *segment) error {
	return e.moveOut(s, func(owns []own) error {
		e.group.reset(e.disk.active)
		for i := range owns {
			e.planOwn(&owns[i])
		}
		if err := e.disk.store(&e.group, &e.writes); err != nil {
			e.unplan()
			return err
		}
		e.apply()
		e.disk.written(nil, &e.group)
		return nil
	})
}
