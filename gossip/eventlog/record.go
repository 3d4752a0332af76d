package eventlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/busnode/busnode/gossip/wire"
)

// A segment is a header and records back to back; a sidecar holds the same
// records with the bodies left out. All numbers are little endian.
//
//	record   magic 1 | kind 1 | length 4 | CRC-32C 4 | payload
//	batch    CRC-32C of the rest up to the body 4 | place 13 | raw batch as it was signed
//	place    flags 1 | verdict 4 | offset 8
//
// The CRC of a record covers its kind, its length and its payload, and starts
// from the segment's own random seed: bytes that somebody put into an event so
// that they look like a record are none. The first CRC of a batch tells, when the
// record is damaged, whether the header is sound and thus the batch known.
type recordKind uint8

// The kinds are on the disk: append only, never reorder.
const (
	recCommit  recordKind = 1 + iota // up to where the segment was synced when the group was written
	recBatch                         // a batch, with its release and verdict if they were decided at once
	recLost                          // a batch whose body is damaged: all but the body
	recRelease                       // the release of a batch stored earlier
	recGap
	recVerdict
	recCursor
	recDurable
	recForget
	recTrim  // retention removed an author's events up to a mark
	recTopic // a topic's next offset, and below which its gaps are forgotten
	recMeta  // in a sidecar alone: a batch of the segment, and its position
	recordKinds
)

const (
	recordMagic  = 0xB5
	frameBytes   = 10 // a record's bytes before its payload
	placeBytes   = 13
	prefixBytes  = 4 + placeBytes // a batch record's bytes before the raw batch
	payloadMax   = prefixBytes + wire.BatchMaxBytes
	nameMaxBytes = math.MaxUint16

	flagReleased = 1 << 0
	flagLate     = 1 << 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// beginRecord appends a record's frame, to be completed by endRecord.
func beginRecord(dst []byte, k recordKind) []byte {
	return append(dst, recordMagic, byte(k), 0, 0, 0, 0, 0, 0, 0, 0)
}

// endRecord completes the length of the record that starts at start.
func endRecord(dst []byte, start int) {
	binary.LittleEndian.PutUint32(dst[start+2:], uint32(len(dst)-start-frameBytes))
}

// sealRecords computes the checksums of all records in buf.
func sealRecords(buf []byte, seed uint32) {
	for len(buf) > 0 {
		n := frameBytes + int(binary.LittleEndian.Uint32(buf[2:]))
		binary.LittleEndian.PutUint32(buf[6:], recordSum(buf[:n], seed))
		buf = buf[n:]
	}
}

func recordSum(record []byte, seed uint32) uint32 {
	sum := crc32.Update(seed, castagnoli, record[1:6])
	return crc32.Update(sum, castagnoli, record[frameBytes:])
}

// checkFrame returns the length of the record that b starts with, if its frame
// makes sense.
func checkFrame(b []byte) (k recordKind, length int, ok bool) {
	if len(b) < frameBytes || b[0] != recordMagic {
		return 0, 0, false
	}
	k = recordKind(b[1])
	n := binary.LittleEndian.Uint32(b[2:])
	if k == 0 || k >= recordKinds || n > payloadMax {
		return 0, 0, false
	}
	return k, frameBytes + int(n), true
}

func checkRecord(record []byte, seed uint32) bool {
	return binary.LittleEndian.Uint32(record[6:]) == recordSum(record, seed)
}

// place is what was decided of a batch.
type place struct {
	released, late bool
	verdict        wire.Reason
	offset         uint64
}

func (p place) put(dst []byte) {
	dst[0] = 0
	if p.released {
		dst[0] |= flagReleased
	}
	if p.late {
		dst[0] |= flagLate
	}
	binary.LittleEndian.PutUint32(dst[1:], uint32(p.verdict))
	binary.LittleEndian.PutUint64(dst[5:], p.offset)
}

func placeOf(b []byte) place {
	return place{
		released: b[0]&flagReleased != 0,
		late:     b[0]&flagLate != 0,
		verdict:  wire.Reason(binary.LittleEndian.Uint32(b[1:])),
		offset:   binary.LittleEndian.Uint64(b[5:]),
	}
}

// appendBatchRecord appends a batch's record; its place and checksums are put
// in when the group is complete.
func appendBatchRecord(dst []byte, b *wire.Batch) []byte {
	start := len(dst)
	dst = beginRecord(dst, recBatch)
	dst = append(dst, make([]byte, prefixBytes)...)
	dst = append(dst, b.Raw...)
	endRecord(dst, start)
	return dst
}

// putPlace completes the payload of a batch's record.
func putPlace(payload []byte, p place, header []byte, seed uint32) {
	p.put(payload[4:prefixBytes])
	binary.LittleEndian.PutUint32(payload, headSum(payload, header, seed))
}

func headSum(payload, header []byte, seed uint32) uint32 {
	sum := crc32.Update(seed, castagnoli, payload[4:prefixBytes])
	return crc32.Update(sum, castagnoli, header)
}

// item is a record as it was read.
type item struct {
	kind   recordKind
	batch  *wire.Batch // recBatch
	meta   Meta        // recBatch, recLost, recMeta; recRelease: ID, Topic, Author, Epoch, First, Count, Time; recVerdict: ID
	pos    int64       // recMeta: of the batch's record; recCommit: synced up to here
	gap    Gap         // recGap
	name   string      // recCursor, recDurable, recForget: of the durable
	filter string      // recDurable
	life   uint64      // recCursor, recDurable, recForget: see durableState
	topic  string      // recCursor, recTrim, recTopic
	author wire.Author // recTrim
	mark   wire.Mark   // recTrim
	time   wire.Time   // recGap: the newest date when it was released; recTrim: of the newest event removed
	offset uint64      // recGap, recCursor; recTopic: the next one
	floor  uint64      // recTopic
}

// appendItem appends the record of it: of any kind but recBatch.
func appendItem(dst []byte, it *item) []byte {
	start := len(dst)
	dst = beginRecord(dst, it.kind)
	le := binary.LittleEndian
	switch it.kind {
	case recCommit:
		dst = le.AppendUint64(dst, uint64(it.pos))
	case recLost, recMeta:
		dst = appendMeta(dst, &it.meta, it.pos)
	case recRelease:
		dst = appendRelease(dst, &it.meta)
	case recGap:
		dst = le.AppendUint64(dst, it.offset)
		dst = le.AppendUint64(dst, uint64(it.time))
		dst = append(dst, it.gap.Author[:]...)
		dst = appendMark(appendMark(dst, it.gap.From), it.gap.To)
		dst = appendName(appendName(dst, it.gap.Topic), it.gap.Reason)
	case recVerdict:
		dst = append(dst, it.meta.ID[:]...)
		dst = le.AppendUint32(dst, uint32(it.meta.Verdict))
	case recCursor:
		dst = le.AppendUint64(dst, it.life)
		dst = le.AppendUint64(dst, it.offset)
		dst = appendName(appendName(dst, it.name), it.topic)
	case recDurable:
		dst = le.AppendUint64(dst, it.life)
		dst = appendName(appendName(dst, it.name), it.filter)
	case recForget:
		dst = le.AppendUint64(dst, it.life)
		dst = appendName(dst, it.name)
	case recTrim:
		dst = append(dst, it.author[:]...)
		dst = appendMark(dst, it.mark)
		dst = le.AppendUint64(dst, uint64(it.time))
		dst = appendName(dst, it.topic)
	case recTopic:
		dst = le.AppendUint64(dst, it.offset)
		dst = le.AppendUint64(dst, it.floor)
		dst = appendName(dst, it.topic)
	}
	endRecord(dst, start)
	return dst
}

func appendMark(dst []byte, m wire.Mark) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Epoch))
	return binary.LittleEndian.AppendUint64(dst, m.Seq)
}

func appendName(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendRelease(dst []byte, m *Meta) []byte {
	var p [placeBytes]byte
	place{released: true, late: m.Late, offset: m.Offset}.put(p[:])
	dst = append(dst, p[:]...)
	dst = append(dst, m.ID[:]...)
	dst = append(dst, m.Header.Author[:]...)
	dst = appendMark(dst, m.Header.Start())
	dst = binary.LittleEndian.AppendUint32(dst, m.Header.Count)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Header.Time))
	return appendName(dst, m.Header.Topic)
}

func appendMeta(dst []byte, m *Meta, pos int64) []byte {
	le := binary.LittleEndian
	h := &m.Header
	var p [placeBytes]byte
	place{m.Released, m.Late, m.Verdict, m.Offset}.put(p[:])
	dst = append(dst, p[:]...)
	dst = append(dst, m.ID[:]...)
	dst = append(dst, h.Author[:]...)
	dst = append(dst, h.BodySum[:]...)
	dst = appendMark(dst, h.Start())
	dst = appendMark(dst, h.Prev.Mark)
	dst = le.AppendUint64(dst, uint64(h.Prev.Time))
	dst = le.AppendUint64(dst, uint64(h.Time))
	dst = le.AppendUint64(dst, uint64(pos))
	dst = le.AppendUint32(dst, uint32(m.Size))
	for _, v := range [...]uint32{h.Version, h.Count, uint32(h.Kind), uint32(h.Compression), h.BodyLen} {
		dst = le.AppendUint32(dst, v)
	}
	unreadable := byte(0)
	if h.Unreadable {
		unreadable = 1
	}
	dst = append(dst, unreadable)
	return appendName(appendName(dst, h.Topic), h.Network)
}

// parseItem parses a record's payload. Its strings are copies; a batch aliases
// the payload.
func parseItem(k recordKind, payload []byte, it *item) error {
	*it = item{kind: k}
	p := parser{b: payload}
	switch k {
	case recCommit:
		it.pos = int64(p.u64())
	case recBatch:
		return parseBatchRecord(payload, it)
	case recLost, recMeta:
		p.meta(it)
	case recRelease:
		p.release(it)
	case recGap:
		it.offset, it.time = p.u64(), wire.Time(p.u64())
		p.copyTo(it.gap.Author[:])
		it.gap.From, it.gap.To = p.mark(), p.mark()
		it.gap.Topic, it.gap.Reason = p.name(), p.name()
	case recVerdict:
		p.copyTo(it.meta.ID[:])
		it.meta.Verdict = wire.Reason(p.u32())
	case recCursor:
		it.life, it.offset, it.name, it.topic = p.u64(), p.u64(), p.name(), p.name()
	case recDurable:
		it.life, it.name, it.filter = p.u64(), p.name(), p.name()
	case recForget:
		it.life, it.name = p.u64(), p.name()
	case recTrim:
		p.copyTo(it.author[:])
		it.mark, it.time, it.topic = p.mark(), wire.Time(p.u64()), p.name()
	case recTopic:
		it.offset, it.floor, it.topic = p.u64(), p.u64(), p.name()
	default:
		return fmt.Errorf("%w: record of unknown kind %d", ErrDamaged, k)
	}
	if p.short || len(p.b) > 0 {
		return fmt.Errorf("%w: record of kind %d has a wrong length", ErrDamaged, k)
	}
	return nil
}

func parseBatchRecord(payload []byte, it *item) error {
	if len(payload) < prefixBytes {
		return fmt.Errorf("%w: batch record of %d bytes", ErrDamaged, len(payload))
	}
	b, err := wire.ParseBatch(payload[prefixBytes:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	it.batch = b
	it.meta = Meta{ID: b.ID, Header: b.Header, Size: len(b.Raw)}
	it.meta.setPlace(placeOf(payload[4:]))
	return nil
}

// headSound reports whether the place and header of a parsed batch record are
// as they were written, whatever happened to its body.
func headSound(payload []byte, it *item, seed uint32) bool {
	return binary.LittleEndian.Uint32(payload) == headSum(payload, it.batch.HeaderBytes, seed)
}

func (m *Meta) setPlace(p place) {
	m.Released, m.Late, m.Verdict, m.Offset = p.released, p.late, p.verdict, p.offset
}

// parser reads a payload; what is beyond its end reads as zero and sets short.
type parser struct {
	b     []byte
	short bool
}

func (p *parser) take(n int) []byte {
	if len(p.b) < n {
		p.short, p.b = true, nil
		return nil
	}
	taken := p.b[:n]
	p.b = p.b[n:]
	return taken
}

func (p *parser) copyTo(dst []byte) { copy(dst, p.take(len(dst))) }

func (p *parser) u8() uint8 {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u16() uint16 {
	if b := p.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (p *parser) u32() uint32 {
	if b := p.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (p *parser) u64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (p *parser) name() string { return string(p.take(int(p.u16()))) }

func (p *parser) mark() wire.Mark { return wire.Mark{Epoch: wire.Epoch(p.u64()), Seq: p.u64()} }

func (p *parser) place(m *Meta) {
	if b := p.take(placeBytes); b != nil {
		m.setPlace(placeOf(b))
	}
}

func (p *parser) release(it *item) {
	m := &it.meta
	p.place(m)
	m.Released, m.Verdict = true, 0
	p.copyTo(m.ID[:])
	p.copyTo(m.Header.Author[:])
	start := p.mark()
	m.Header.Epoch, m.Header.First = start.Epoch, start.Seq
	m.Header.Count = p.u32()
	m.Header.Time = wire.Time(p.u64())
	m.Header.Topic = p.name()
}

func (p *parser) meta(it *item) {
	m := &it.meta
	h := &m.Header
	p.place(m)
	p.copyTo(m.ID[:])
	p.copyTo(h.Author[:])
	p.copyTo(h.BodySum[:])
	start := p.mark()
	h.Epoch, h.First = start.Epoch, start.Seq
	h.Prev.Mark, h.Prev.Time = p.mark(), wire.Time(p.u64())
	h.Time = wire.Time(p.u64())
	it.pos = int64(p.u64())
	m.Size = int(p.u32())
	h.Version, h.Count, h.Kind = p.u32(), p.u32(), wire.Kind(p.u32())
	h.Compression, h.BodyLen = wire.Compression(p.u32()), p.u32()
	h.Unreadable = p.u8() != 0
	h.Topic, h.Network = p.name(), p.name()
	m.Lost = it.kind == recLost
}
