package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// The writer and the reader of a [Presence].

// TagOf returns the four bytes by which a [Presence] names a topic or a filter.
func TagOf(name string) uint32 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint32(sum[:])
}

// Tag returns the four bytes by which a [Presence] names the peer.
func (p PeerID) Tag() uint32 { return TagOf(string(p)) }

func appendPresence(dst []byte, m *Presence) []byte {
	dst = appendBool(dst, 1, m.Any)
	dst = appendTime(dst, 2, m.Cut)
	dst = appendUint(dst, 3, uint64(m.Filters))
	if len(m.Topics) > 0 {
		dst = append(dst, 4<<3|typeBytes, byte(8*len(m.Topics))) // PresenceTopicsMax fit a length of one byte
		for _, t := range m.Topics {
			dst = binary.BigEndian.AppendUint32(dst, t.Tag)
			dst = binary.BigEndian.AppendUint32(dst, t.Digest)
		}
	}
	if len(m.Peers) > 0 {
		dst = append(dst, 5<<3|typeBytes, byte(4*len(m.Peers)))
		for _, tag := range m.Peers {
			dst = binary.BigEndian.AppendUint32(dst, tag)
		}
	}
	return dst
}

func (r *messageReader) presence() *Presence {
	m := &Presence{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Any = r.boolean()
		case 2:
			m.Cut = r.time()
		case 3:
			m.Filters = r.uint32()
		case 4:
			for b := r.tuples(8, PresenceTopicsMax); len(b) > 0; b = b[8:] {
				m.Topics = append(m.Topics, TopicTag{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])})
			}
		case 5:
			for b := r.tuples(4, PresencePeersMax); len(b) > 0; b = b[4:] {
				m.Peers = append(m.Peers, binary.BigEndian.Uint32(b))
			}
		}
	}
	if len(m.Topics) > PresenceTopicsMax || len(m.Peers) > PresencePeersMax {
		r.mistake(fmt.Errorf("%w: a field of a presence twice", ErrTooLarge))
	}
	return m
}

// tuples returns the field's content if it is up to limit elements of size bytes each.
func (r *messageReader) tuples(size, limit int) []byte {
	b := r.bytes()
	if len(b)%size != 0 || len(b) > size*limit {
		r.mistake(fmt.Errorf("%w: %d bytes, not up to %d elements of %d", ErrFormat, len(b), limit, size))
		return nil
	}
	return b
}

// ParsePresence reads a [Presence] that stands alone, as in a beacon. The error wraps
// [ErrFormat] or [ErrTooLarge].
func ParsePresence(text []byte) (*Presence, error) {
	if len(text) > PresenceMaxBytes {
		return nil, fmt.Errorf("%w: presence of %d bytes, at most %d", ErrTooLarge, len(text), PresenceMaxBytes)
	}
	for m, err := range ParseFrame(text) {
		if err != nil {
			return nil, err
		}
		if p, ok := m.(*Presence); ok {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: no presence", ErrFormat)
}
