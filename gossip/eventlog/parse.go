package eventlog

import (
	"encoding/binary"
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

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
