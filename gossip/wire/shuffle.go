package wire

import (
	"bytes"
	"fmt"
)

// The writer and the reader of a [Shuffle].

func appendShuffle(dst []byte, m *Shuffle) []byte {
	dst = appendString(dst, 1, m.Topic)
	dst = appendBool(dst, 2, m.Reply)
	dst = appendBool(dst, 3, m.Full)
	for i := range m.Records {
		dst = beginNested(dst, 4)
		start := len(dst)
		dst = appendString(dst, 1, string(m.Records[i].Peer))
		dst = appendBytes(dst, 2, m.Records[i].Signed)
		dst = endNested(dst, start)
	}
	return dst
}

func (r *messageReader) shuffle() *Shuffle {
	m := &Shuffle{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Reply = r.boolean()
		case 3:
			m.Full = r.boolean()
		case 4:
			if makeRoom(r, &m.Records, RecordsMax, 2) {
				m.Records = append(m.Records, r.record())
			}
		}
	}
	if !m.Full {
		r.needTopic(m.Topic)
	}
	return m
}

func (r *messageReader) record() (rec Record) {
	in := r.nested()
	for in.next() {
		switch in.f.num {
		case 1:
			rec.Peer = in.peerID()
		case 2:
			rec.Signed = in.signedRecord()
		}
	}
	if in.err == nil && (rec.Peer == "" || rec.Signed == nil) {
		in.err = fmt.Errorf("%w: record without peer or signature", ErrFormat)
	}
	r.join(&in)
	return rec
}

func (r *messageReader) peerID() PeerID {
	b := r.bytes()
	if len(b) > peerIDMaxBytes || !PeerID(b).isMultihash() {
		r.mistake(fmt.Errorf("%w: peer ID of %d bytes", ErrFormat, len(b)))
		return ""
	}
	return PeerID(b)
}

// signedRecord returns a copy: it outlives the frame.
func (r *messageReader) signedRecord() []byte {
	b := r.bytes()
	if len(b) > RecordMaxBytes {
		r.mistake(fmt.Errorf("%w: record of %d bytes, at most %d", ErrTooLarge, len(b), RecordMaxBytes))
	}
	if len(b) == 0 || r.err != nil {
		return nil
	}
	return bytes.Clone(b)
}
