package eventlog

import (
	"encoding/binary"
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
	meta   Meta        // recBatch, recLost, recMeta; recRelease: what appendRelease has; recVerdict: ID, Verdict
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
	default: // recBatch: appendBatchRecord
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
