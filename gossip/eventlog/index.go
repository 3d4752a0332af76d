package eventlog

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/busnode/busnode/gossip/wire"
)

// index is what a log knows without reading its files. The log's mutex guards
// it: its writer alone changes it, so that the writer reads it without.
type index struct {
	topics    map[string]*topicIndex
	batches   map[wire.BatchID]*record
	durables  map[string]*durableState
	forgotten map[string]tombstone // durables that older segments may still declare
	segments  map[uint32]*segment
	networks  []string // few: a record has its number
	lives     uint64   // highest life of a durable
	newest    wire.Time
	events    uint64
	bytes     int64 // of the raw batches held
}

// record is a stored batch, about 200 bytes: what Meta tells, and where it is.
type record struct {
	author      *authorIndex
	body        *wire.Batch // nil: not in memory
	id          wire.BatchID
	bodySum     [32]byte
	epoch       wire.Epoch
	first       uint64
	prev        wire.Prev
	time        wire.Time
	offset      uint64 // if released
	pos         int64  // of its record in the segment seg
	size        uint32 // bytes of the raw batch
	count       uint32
	bodyLen     uint32
	version     uint32
	kind        wire.Kind
	compression wire.Compression
	verdict     wire.Reason
	network     uint32
	seg         uint32 // where the batch is; 0: nowhere (memory log)
	placeSeg    uint32 // where its release is
	verdictSeg  uint32 // where its verdict is
	released    bool
	late        bool
	lost        bool
	unreadable  bool
	headless    bool // its release was found, but neither batch nor header: it is in its topic's order alone
	gone        bool // removed; still in slices that await compacting

	planned bool // writer only: a release is in the group that is being written
	barred  bool // writer only: a verdict is
}

// recordSize is what r takes in its segment.
func (r *record) recordSize() int64 { return frameBytes + prefixBytes + int64(r.size) }

func (r *record) start() wire.Mark { return wire.Mark{Epoch: r.epoch, Seq: r.first} }
func (r *record) end() wire.Mark {
	return wire.Mark{Epoch: r.epoch, Seq: r.first + uint64(r.count) - 1}
}

func compareRecords(a, b *record) int {
	if c := a.start().Compare(b.start()); c != 0 {
		return c
	}
	return bytes.Compare(a.id[:], b.id[:])
}

// topicIndex is one topic: its authors and its reading order.
type topicIndex struct {
	name    string
	authors map[wire.Author]*authorIndex
	entries []entry // ascending by offset
	dead    int     // entries that await compacting
	next    uint64
	nextSeg uint32 // newest segment that tells next
	floor   uint64 // gaps below are forgotten
	batches int
	holding int // authors with batches
	events  uint64
	bytes   int64

	passed   uint64 // by a cursor that the start found: nothing is released below it
	planNext uint64 // writer only: next after the group that is being written
}

// entry is what stands at an offset: a batch or a gap.
type entry struct {
	offset uint64
	rec    *record
	gap    *gapState
	newest wire.Time // no entry up to this one is dated later, so that dates can be searched
}

func (e *entry) next() uint64 {
	if e.gap != nil {
		return e.offset + 1
	}
	return e.offset + uint64(e.rec.count)
}

func (e *entry) gone() bool { return e.rec != nil && e.rec.gone || e.gap != nil && e.gap.gone }

type gapState struct {
	Gap
	date wire.Time // newest date in the log when it was released
	seg  uint32
	gone bool
}

// authorIndex is what one author published on one topic.
type authorIndex struct {
	topic    *topicIndex
	author   wire.Author
	recs     []*record // ascending by (epoch, first, ID)
	bytes    int64
	trim     wire.Mark // retention removed everything up to here
	trimTime wire.Time // date of the newest that it removed
	trimSeg  uint32
}

func newIndex() index {
	return index{
		topics:    make(map[string]*topicIndex),
		batches:   make(map[wire.BatchID]*record),
		durables:  make(map[string]*durableState),
		forgotten: make(map[string]tombstone),
		segments:  make(map[uint32]*segment),
	}
}

// topic returns the topic, made if it is new.
func (x *index) topic(name string) *topicIndex {
	t := x.topics[name]
	if t == nil {
		t = &topicIndex{name: strings.Clone(name), authors: make(map[wire.Author]*authorIndex)}
		x.topics[t.name] = t
	}
	return t
}

// by returns what a published on the topic, made if it is new.
func (t *topicIndex) by(a wire.Author) *authorIndex {
	ai := t.authors[a]
	if ai == nil {
		ai = &authorIndex{topic: t, author: a}
		t.authors[a] = ai
	}
	return ai
}

// replan forgets what is planned for the topic and not written.
func (t *topicIndex) replan() { t.planNext = max(t.next, t.passed) }

func (t *topicIndex) used() bool { return t.next > 0 || t.batches > 0 }

func (t *topicIndex) first() uint64 {
	for i := range t.entries {
		if !t.entries[i].gone() {
			return t.entries[i].offset
		}
	}
	return t.next
}

func (x *index) network(name string) uint32 {
	i := slices.Index(x.networks, name)
	if i < 0 {
		i = len(x.networks)
		x.networks = append(x.networks, strings.Clone(name))
	}
	return uint32(i)
}

// fill copies a header into r, whose author is set.
func (x *index) fill(r *record, id wire.BatchID, h *wire.Header, size int) {
	r.id = id
	r.bodySum = h.BodySum
	r.epoch, r.first, r.count = h.Epoch, h.First, h.Count
	r.prev, r.time = h.Prev, h.Time
	r.size, r.bodyLen, r.version = uint32(size), h.BodyLen, h.Version
	r.kind, r.compression, r.unreadable = h.Kind, h.Compression, h.Unreadable
	r.network = x.network(h.Network)
}

// meta returns what r tells.
func (x *index) meta(r *record) Meta {
	m := Meta{
		ID: r.id, Size: int(r.size), Offset: r.offset,
		Released: r.released, Late: r.late, Verdict: r.verdict, Lost: r.lost,
		Header: wire.Header{
			Version: r.version, Author: r.author.author, Topic: r.author.topic.name,
			Epoch: r.epoch, First: r.first, Count: r.count, Prev: r.prev, Time: r.time,
			Kind: r.kind, Compression: r.compression, BodyLen: r.bodyLen, BodySum: r.bodySum,
			Unreadable: r.unreadable,
		},
	}
	if int(r.network) < len(x.networks) {
		m.Header.Network = x.networks[r.network]
	}
	return m
}

// add makes a filled record known.
func (x *index) add(r *record) {
	x.batches[r.id] = r
	if r.headless {
		return
	}
	a, t := r.author, r.author.topic
	if t.authors[a.author] == nil {
		t.authors[a.author] = a // retention let go of it while r was being written
	}
	if n := len(a.recs); n == 0 || compareRecords(a.recs[n-1], r) < 0 {
		a.recs = append(a.recs, r)
	} else {
		i, _ := slices.BinarySearchFunc(a.recs, r, compareRecords)
		a.recs = slices.Insert(a.recs, i, r)
	}
	if len(a.recs) == 1 {
		t.holding++
	}
	a.bytes += int64(r.size)
	t.bytes += int64(r.size)
	x.bytes += int64(r.size)
	t.batches++
	t.events += uint64(r.count)
	x.events += uint64(r.count)
	x.newest = max(x.newest, r.time)
}

// locate notes that the batch is at pos of segment seg.
func (x *index) locate(r *record, seg uint32, pos int64) {
	if s := x.segments[r.seg]; s != nil && r.seg != seg {
		s.live -= r.recordSize()
	}
	if s := x.segments[seg]; s != nil {
		if r.seg != seg {
			s.live += r.recordSize()
		}
		s.refer(r)
	}
	r.seg, r.pos = seg, pos
}

// release gives r its place in the reading order.
func (x *index) release(r *record, offset uint64, late bool, seg uint32) {
	r.placeSeg = seg
	if s := x.segments[seg]; s != nil {
		s.refer(r)
	}
	t := r.author.topic
	t.nextSeg = max(t.nextSeg, seg)
	if r.released {
		return
	}
	r.released, r.late, r.offset = true, late, offset
	t.enter(entry{offset: offset, rec: r, newest: r.time})
}

// verdict bars r from release.
func (x *index) verdict(r *record, why wire.Reason, seg uint32) {
	r.verdict, r.verdictSeg = why, seg
	if s := x.segments[seg]; s != nil {
		s.refer(r)
	}
}

// gap puts a gap into the reading order.
func (x *index) gap(g Gap, offset uint64, date wire.Time, seg uint32) {
	t := x.topic(g.Topic)
	t.nextSeg = max(t.nextSeg, seg)
	if i := t.at(offset); i < len(t.entries) && t.entries[i].offset == offset {
		if known := t.entries[i].gap; known != nil {
			known.seg = seg // copied forward
		}
		return
	}
	t.next = max(t.next, offset+1)
	if offset < t.floor {
		return
	}
	g.Topic = t.name
	t.enter(entry{offset: offset, gap: &gapState{Gap: g, date: date, seg: seg}})
}

// at returns the place of the first entry at or after offset.
func (t *topicIndex) at(offset uint64) int {
	i, _ := slices.BinarySearchFunc(t.entries, offset, func(e entry, o uint64) int { return cmp.Compare(e.offset, o) })
	return i
}

func (t *topicIndex) enter(e entry) {
	t.next = max(t.next, e.next())
	i := len(t.entries)
	if i > 0 && t.entries[i-1].offset >= e.offset {
		i = t.at(e.offset)
	}
	if i > 0 {
		e.newest = max(e.newest, t.entries[i-1].newest)
	}
	t.entries = slices.Insert(t.entries, i, e)
	for j := i + 1; j < len(t.entries) && t.entries[j].newest < e.newest; j++ {
		t.entries[j].newest = e.newest
	}
}

// remove forgets r, but for the slices that hold it.
func (x *index) remove(r *record) {
	delete(x.batches, r.id)
	r.gone, r.body = true, nil
	t := r.author.topic
	if r.released {
		t.dead++
	}
	if r.headless {
		return
	}
	if s := x.segments[r.seg]; s != nil {
		s.live -= r.recordSize()
	}
	r.author.bytes -= int64(r.size)
	t.bytes -= int64(r.size)
	x.bytes -= int64(r.size)
	t.batches--
	t.events -= uint64(r.count)
	x.events -= uint64(r.count)
}
