package eventlog

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Segments is a log of segment files in a directory.
type Segments struct{ *engine }

// Open opens the log in dir, which is made if there is none, repairs what a
// crash or the disk did to it (see Info.Repaired), and takes the directory for
// this process alone until Close. The error wraps [ErrLocked], [ErrFormat], or
// what the file system said.
func Open(dir string, cfg Config) (*Segments, error) { return openWith(dir, cfg, migrations) }

func openWith(dir string, cfg Config, steps []migration) (*Segments, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := cfg.FS.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	lock, err := cfg.FS.Lock(dir)
	if err != nil {
		return nil, err
	}
	e := newEngine(cfg.Logger)
	e.tailBytes = max(cfg.TailBytes, 0)
	e.disk = &disk{
		cfg: cfg, dir: dir, lock: lock,
		wake:   make(chan struct{}, 1),
		closed: make(chan *segment, keeperQueueCap),
	}
	e.disk.segmentBytes.Store(cfg.SegmentBytes)
	e.disk.files = &openFiles{}
	if err := e.load(steps); err != nil {
		for _, s := range e.segments {
			err = errors.Join(err, s.close(true))
		}
		return nil, errors.Join(fmt.Errorf("eventlog: open %s: %w", dir, err), lock.Close())
	}
	for _, what := range e.repaired {
		e.logger.Warn("log repaired", "dir", dir, "what", what)
	}
	e.wg.Go(e.write)
	e.wg.Go(func() { e.disk.syncLoop(e) })
	e.wg.Go(func() { e.disk.keepLoop(e) })
	return &Segments{e}, nil
}

// load reads the directory into the index.
func (e *engine) load(steps []migration) error {
	d := e.disk
	incarnation, err := checkFormat(d.cfg.FS, d.dir, steps)
	if err != nil {
		return err
	}
	d.incarnation, e.incarnation = incarnation, incarnation
	files, err := listFiles(d.cfg.FS, d.dir)
	if err != nil {
		return err
	}
	numbers := slices.Sorted(maps.Keys(files))
	for i, number := range numbers {
		if err := e.loadSegment(number, files[number], i == len(numbers)-1); err != nil {
			return err
		}
	}
	e.passCursors()
	for _, t := range e.topics {
		e.compact(t)
		t.replan()
	}
	for _, r := range e.batches {
		r.barred = r.verdict != 0
	}
	e.dropForgotten()
	d.reserve()
	if d.active != nil {
		return nil
	}
	number := uint32(1)
	if len(numbers) > 0 {
		number = numbers[len(numbers)-1] + 1
	}
	h := fileHeader{incarnation: incarnation, number: number, seed: uint32(randomUint64())}
	if d.active, err = createSegment(d.cfg.FS, d.dir, h, d.cfg.Sync != SyncNever); err != nil {
		return wrapFull(err)
	}
	d.active.files = d.files
	e.segments[number] = d.active
	return nil
}

// files says what the directory has of a segment.
type files struct{ segment, sidecar bool }

// listFiles finds the segments, and removes what an interrupted write left.
func listFiles(fsys FileSystem, dir string) (map[uint32]files, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	all := make(map[uint32]files)
	for _, name := range names {
		ext := filepath.Ext(name)
		if ext == ".tmp" {
			_ = fsys.Remove(filepath.Join(dir, name)) // else at the next start
			continue
		}
		number, err := strconv.ParseUint(strings.TrimSuffix(name, ext), 10, 32)
		if err != nil || number == 0 {
			continue
		}
		f := all[uint32(number)]
		switch ext {
		case segmentSuffix:
			f.segment = true
		case sidecarSuffix:
			f.sidecar = true
		default:
			continue
		}
		all[uint32(number)] = f
	}
	return all, nil
}

// loadSegment reads one segment, from its sidecar if that is sound.
func (e *engine) loadSegment(number uint32, f files, last bool) error {
	d := e.disk
	s := &segment{number: number, path: segmentPath(d.dir, number), fs: d.cfg.FS, files: d.files}
	if f.sidecar {
		h, records, err := readSidecar(d.cfg.FS, s.path)
		if err == nil && (h.number != number || h.incarnation != d.incarnation) {
			err = fmt.Errorf("%w: sidecar of another segment", ErrDamaged)
		}
		switch {
		case err == nil:
			return e.replaySidecar(s, h, records, f)
		case errors.Is(err, ErrFormat):
			return err
		case !f.segment:
			e.repair("segment %d vanished, and its sidecar is damaged: %v", number, err)
			return d.cfg.FS.Remove(s.path + sidecarSuffix)
		}
		e.repair("segment %d: sidecar rebuilt: %v", number, err)
	}
	return e.scan(s, last && !f.sidecar)
}

func (e *engine) repair(format string, args ...any) {
	e.repaired = append(e.repaired, fmt.Sprintf(format, args...))
}

func (e *engine) replaySidecar(s *segment, h fileHeader, records []byte, f files) error {
	s.seed, s.size, s.sideSize = h.seed, h.segmentSize, headerBytes+h.recordBytes
	s.synced.Store(s.size)
	present := int64(0)
	if f.segment {
		if err := s.with(func(file File) (err error) { present, err = file.Size(); return err }); err != nil {
			return err
		}
	} else {
		s.missing = true
	}
	e.segments[s.number] = s
	var it item
	lost := 0
	for len(records) > 0 {
		k, n, _ := checkFrame(records)
		if err := parseItem(k, records[frameBytes:n], &it); err != nil {
			return err
		}
		records = records[n:]
		if k == recMeta && it.pos+int64(frameBytes+prefixBytes+it.meta.Size) > present {
			it.meta.Lost = true
			lost++
		}
		e.replay(&it, s.number, it.pos)
	}
	if lost > 0 {
		e.repair("segment %d has %d of %d bytes: %d batches to be fetched again", s.number, present, s.size, lost)
	}
	return s.close(false)
}

// scan reads a segment itself, and writes the sidecar that it should have had.
func (e *engine) scan(s *segment, last bool) error {
	d := e.disk
	var size int64
	head := make([]byte, headerBytes)
	err := s.with(func(f File) (err error) {
		if size, err = f.Size(); err == nil && size >= headerBytes {
			_, err = f.ReadAt(head, 0)
		}
		return err
	})
	if err != nil {
		return err
	}
	h, err := parseFileHeader(head[:min(size, headerBytes)], segmentMagic)
	if errors.Is(err, ErrFormat) {
		return err
	}
	if err != nil || h.incarnation != d.incarnation || h.number != s.number {
		return e.putAside(s, size, last)
	}
	s.seed, s.size = h.seed, size
	e.segments[s.number] = s
	var res found
	err = s.with(func(f File) (err error) {
		sc := &scanner{file: f, size: size, seed: s.seed, pos: headerBytes}
		res, err = scanSegment(sc, last, func(it *item, pos int64, n int) error {
			e.rescue(s, it, pos)
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	e.repaired = append(e.repaired, res.describe(s.number, size)...)
	if last {
		return e.continueAt(s, res.end)
	}
	if d.cfg.Sync != SyncNever {
		if err := s.sync(s.size); err != nil {
			return err
		}
	}
	if err := s.writeSidecar(d.incarnation, d.cfg.Sync != SyncNever); err != nil {
		e.logger.Warn("no sidecar was written: the next start reads the whole segment", "segment", s.number, "err", err)
	}
	s.sideSize, s.side = s.sideLength, nil
	return s.close(false)
}

// rescue replays a record of a scanned segment and notes it for the sidecar.
func (e *engine) rescue(s *segment, it *item, pos int64) {
	switch it.kind {
	case recCommit:
	case recBatch:
		note := item{kind: recMeta, meta: it.meta, pos: pos}
		s.side = appendItem(s.side, &note)
		e.replay(&note, s.number, pos)
	default:
		s.side = appendItem(s.side, it)
		e.replay(it, s.number, pos)
	}
}

// continueAt makes s the active segment, whose sound records end at end.
func (e *engine) continueAt(s *segment, end int64) error {
	d := e.disk
	// What a killed process wrote and did not sync is here, and is not yet on the disk.
	err := s.with(func(f File) error {
		if end < s.size {
			if err := f.Truncate(end); err != nil {
				return err
			}
		}
		if d.cfg.Sync == SyncNever {
			return nil
		}
		return f.Datasync()
	})
	if err != nil {
		return err
	}
	s.size = end
	if d.cfg.Sync != SyncNever {
		s.synced.Store(end)
	}
	s.committed = headerBytes
	d.active = s
	return nil
}

// putAside keeps a segment whose header is damaged out of the way, for a human.
func (e *engine) putAside(s *segment, size int64, last bool) error {
	fsys := e.disk.cfg.FS
	if err := s.close(true); err != nil {
		return err
	}
	name := s.path + segmentSuffix
	if last && size <= headerBytes {
		e.repair("segment %d: removed, the crash came while it was made", s.number)
		return fsys.Remove(name)
	}
	e.repair("segment %d: unreadable, renamed to %s", s.number, filepath.Base(name+damagedSuffix))
	return fsys.Rename(name, name+damagedSuffix)
}

// replay brings a record into the index.
func (e *engine) replay(it *item, seg uint32, pos int64) {
	switch it.kind {
	case recMeta, recLost:
		e.replayBatch(&it.meta, seg, pos)
	case recRelease:
		e.replayRelease(&it.meta, seg)
	case recVerdict:
		if r := e.batches[it.meta.ID]; r != nil {
			e.verdict(r, it.meta.Verdict, seg)
		}
	default:
		e.applyItem(&change{kind: changeItem, it: it}, seg)
	}
}

func (e *engine) replayBatch(m *Meta, seg uint32, pos int64) {
	r := e.batches[m.ID]
	switch {
	case r == nil:
		r = &record{author: e.topic(m.Header.Topic).by(m.Header.Author)}
		e.fill(r, m.ID, &m.Header, m.Size)
		e.add(r)
	case r.headless:
		r.headless = false
		e.fill(r, m.ID, &m.Header, m.Size)
		e.add(r)
	}
	r.lost = m.Lost
	e.locate(r, seg, pos)
	if m.Released {
		e.release(r, m.Offset, m.Late, seg)
	}
	if m.Verdict != 0 {
		e.verdict(r, m.Verdict, seg)
	}
}

func (e *engine) replayRelease(m *Meta, seg uint32) {
	r := e.batches[m.ID]
	if r == nil {
		r = &record{author: e.topic(m.Header.Topic).by(m.Header.Author), headless: true, lost: true}
		e.fill(r, m.ID, &m.Header, 0)
		e.add(r)
	}
	e.release(r, m.Offset, m.Late, seg)
}

// passCursors has each topic go on after all that was acknowledged of it. A power
// failure may have taken events from one segment and left, in a later one, the
// cursor that had passed them: what is released at their offsets would be skipped.
func (e *engine) passCursors() {
	for _, d := range e.durables {
		for topic, c := range d.cursors {
			t := e.topics[topic]
			t.passed = max(t.passed, c.offset)
		}
	}
}

// dropForgotten lets go of durables that no segment declares any more.
func (e *engine) dropForgotten() {
	oldest := uint32(0)
	for n := range e.segments {
		if oldest == 0 || n < oldest {
			oldest = n
		}
	}
	maps.DeleteFunc(e.forgotten, func(_ string, t tombstone) bool { return t.seg <= oldest })
}
