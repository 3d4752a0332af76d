package wire

import (
	"encoding/binary"
	"fmt"
)

// The readers of the messages of an exchange. What is unpacked by the help of
// another field waits until all fields have been read.

func (r *messageReader) open() *Open {
	m := &Open{}
	var ranges []byte
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Topic = r.topic()
		case 3:
			m.Nonce = r.fixed()
		case 4:
			m.Floor = r.time()
		case 5:
			m.Cut = r.time()
		case 6:
			m.Expect = r.uint32()
		case 7:
			m.Plain = r.boolean()
		case 8:
			ranges = r.bytes()
		}
	}
	r.needTopic(m.Topic)
	if r.err == nil {
		m.Ranges, r.err = unpackRanges(ranges, m.Floor)
	}
	return m
}

func (r *messageReader) answer() *Answer {
	m := &Answer{}
	room := ShortIDsMax
	var finer []byte
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Nonce = r.fixed()
		case 3:
			m.Coded = r.bitmap(m.Coded)
		case 4:
			m.Empty = r.bitmap(m.Empty)
		case 5:
			m.Offered = r.bitmap(m.Offered)
		case 6:
			if makeRoom(r, &m.Plain, RangesMax, 0) {
				ids := r.rangeIDs(room)
				room -= len(ids.IDs)
				m.Plain = append(m.Plain, ids)
			}
		case 7:
			finer = r.bytes()
		case 8:
			m.More = r.boolean()
		}
	}
	if r.err == nil {
		m.Finer, r.err = unpackFiner(finer)
	}
	return m
}

// unpackFiner returns the ranges packed in b after the first one's Low.
func unpackFiner(b []byte) ([]RangeDigest, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) <= finerLowBytes {
		return nil, fmt.Errorf("%w: finer ranges of %d bytes", ErrFormat, len(b))
	}
	return unpackRanges(b[finerLowBytes:], Time(binary.BigEndian.Uint64(b)))
}

// rangeIDs reads a range of an Answer that may hold room IDs more.
func (r *messageReader) rangeIDs(room int) (ids RangeIDs) {
	in := r.nested()
	for in.next() {
		switch in.f.num {
		case 1:
			ids.Index = in.uint32()
		case 2:
			ids.IDs = in.keyed(room)
		}
	}
	if in.err == nil && ids.Index >= RangesMax {
		in.err = fmt.Errorf("%w: range index %d", ErrFormat, ids.Index)
	}
	r.join(&in)
	return ids
}

func (r *messageReader) cells() *Cells {
	m := &Cells{}
	var symbols []byte
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Items = r.uint32()
		case 3:
			m.Start = r.uint32()
		case 4:
			symbols = r.bytes()
		}
	}
	if r.err == nil {
		m.Symbols, r.err = unpackSymbols(symbols, m.Items, m.Start)
	}
	return m
}

func (r *messageReader) more() *More {
	m := &More{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Upto = r.uint32()
		case 3:
			m.Stale = r.bitmap(m.Stale)
		}
	}
	return m
}

func (r *messageReader) resolve() *Resolve {
	m := &Resolve{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Short = r.keyed(ShortIDsMax)
		case 3:
			m.Done = r.boolean()
		}
	}
	return m
}
