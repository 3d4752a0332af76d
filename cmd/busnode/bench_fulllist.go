package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

// A frame of the rivals: what simple systems use, at its least.
//
//	┌────────┬──────┬─────────────────┐
//	│ length │ kind │ length − 1 bytes│
//	└────────┴──────┴─────────────────┘
//	 4        1
const (
	rivalFrameHead = 5
	rivalFrameMax  = 64 << 10 // bytes of a frame
	idBytes        = 32
	idsPerFrame    = (rivalFrameMax - rivalFrameHead) / idBytes
)

// Kinds of frames.
const (
	rivalList    = 1 // all IDs of the sender, ascending; one without IDs ends the list
	rivalLack    = 2 // IDs that the receiver lacks
	rivalSurplus = 3 // IDs that the sender lacks
	rivalTree    = 4 // hashes of leaves; from A, without any: the demand for them
	rivalLeaves  = 5 // numbers of leaves that differ
)

var errRivalFrame = errors.New("bad frame")

// rivalRun is a way that others find a difference: A asks and B answers.
type rivalRun struct {
	tally
	buf []byte
}

// carry takes a frame of kind from one side to the other, which reads it.
func (r *rivalRun) carry(from, to *side, kind byte, fill func([]byte) []byte, read func(body []byte) error) error {
	from.do(func() {
		b := append(r.buf[:0], 0, 0, 0, 0, kind)
		if fill != nil {
			b = fill(b)
		}
		binary.BigEndian.PutUint32(b, uint32(len(b)-rivalFrameHead+1))
		r.buf = b
	})
	r.bytes += len(r.buf)
	var err error
	to.do(func() {
		length := binary.BigEndian.Uint32(r.buf)
		if int(length) != len(r.buf)-rivalFrameHead+1 || len(r.buf) > rivalFrameMax || r.buf[4] != kind {
			err = fmt.Errorf("%w: kind %d, %d bytes", errRivalFrame, kind, len(r.buf))
			return
		}
		if read != nil {
			err = read(r.buf[rivalFrameHead:])
		}
	})
	return err
}

// carryIDs takes a list of IDs from one side to the other, in frames, and ends it
// with an empty one.
func (r *rivalRun) carryIDs(from, to *side, kind byte, ids idList, take func(wire.BatchID)) error {
	for start := 0; ; start += idsPerFrame {
		part := ids[min(start, len(ids)):min(start+idsPerFrame, len(ids))]
		fill := func(b []byte) []byte {
			for i := range part {
				b = append(b, part[i][:]...)
			}
			return b
		}
		read := func(body []byte) error {
			for ; len(body) >= idBytes; body = body[idBytes:] {
				take(wire.BatchID(body))
			}
			if len(body) > 0 {
				return fmt.Errorf("%w: half an ID", errRivalFrame)
			}
			return nil
		}
		if err := r.carry(from, to, kind, fill, read); err != nil || len(part) == 0 {
			return err
		}
	}
}

// fullList finds the difference by a list of all IDs, as Serf's and Apache Gossip's
// push-pull does with its entries: A sends all of its own, B answers with those that
// only one of them has. Sending B's whole list back would double the bytes. Both
// have their IDs in order: the cheapest that this way can be.
func fullList(a, b idList) (cost measure, lack, surplus idList, err error) {
	r := &rivalRun{tally: tally{roundTrips: 1}}
	m := merger{own: b}
	if err := r.carryIDs(&r.a, &r.b, rivalList, a, m.take); err != nil {
		return cost, nil, nil, err
	}
	r.b.do(m.end)
	err = r.carryIDs(&r.b, &r.a, rivalLack, m.ownOnly, func(id wire.BatchID) { lack = append(lack, id) })
	if err != nil {
		return cost, nil, nil, err
	}
	err = r.carryIDs(&r.b, &r.a, rivalSurplus, m.otherOnly, func(id wire.BatchID) { surplus = append(surplus, id) })
	return r.measure(), lack, surplus, err
}

// merger compares its own IDs with another's, both ascending.
type merger struct {
	own                idList // not yet reached
	ownOnly, otherOnly idList
}

// take goes on to the other's next ID.
func (m *merger) take(id wire.BatchID) {
	for len(m.own) > 0 {
		switch order := compareIDs(m.own[0], id); {
		case order > 0:
			m.otherOnly = append(m.otherOnly, id)
			return
		case order == 0:
			m.own = m.own[1:]
			return
		}
		m.ownOnly = append(m.ownOnly, m.own[0])
		m.own = m.own[1:]
	}
	m.otherOnly = append(m.otherOnly, id)
}

// end notes that the other has no more IDs.
func (m *merger) end() {
	m.ownOnly = append(m.ownOnly, m.own...)
	m.own = nil
}
