package datagram

import "crypto/cipher"

// Sealer seals the datagrams of one stream, numbering them from 1. It is not
// safe for concurrent use.
type Sealer struct {
	id    StreamID
	seq   uint64 // of the last
	root  Root
	epoch Epoch
	key   *epochKey
	run   uint32
	aead  cipher.AEAD
}

// NewSealer returns a sealer of a new stream. An id is used for one sealer
// only: two would use the same nonces.
func NewSealer(id StreamID, root Root, e Epoch) *Sealer {
	s := &Sealer{id: id}
	s.setKey(root, e)
	return s
}

// SetKey changes the key, if it is another. Numbers go on.
func (s *Sealer) SetKey(root Root, e Epoch) {
	if root != s.root || e != s.epoch {
		s.setKey(root, e)
	}
}

func (s *Sealer) setKey(root Root, e Epoch) {
	s.root, s.epoch = root, e
	s.key = newEpochKey(root, e)
	s.run = runOf(s.seq + 1)
	s.aead = s.key.aead(s.id, s.run)
}

// Seq returns the number of the last datagram, 0 before the first.
func (s *Sealer) Seq() uint64 { return s.seq }

// Seal appends a datagram to dst. Its inner text is at most InnerMaxBytes long,
// and may already lie where it will be, at dst[len(dst)+HeaderBytes:], or must
// not overlap it. With room in dst nothing is allocated.
func (s *Sealer) Seal(dst []byte, t Type, inner []byte) []byte {
	s.seq++
	if run := runOf(s.seq); run != s.run {
		s.run, s.aead = run, s.key.aead(s.id, run)
	}
	start := len(dst)
	dst = appendHeader(dst, &Header{Type: t, Hint: s.key.hint, Stream: s.id, Seq: s.seq})
	header := dst[start:]
	return s.aead.Seal(dst, nonce(header), inner, header)
}

// beaconContext returns what the next datagram's signature covers beside its text.
func (s *Sealer) beaconContext(t Type) []byte {
	return appendContext(nil, s.key.rootID, &Header{Type: t, Hint: s.key.hint, Stream: s.id, Seq: s.seq + 1})
}

// SealBeacon appends a beacon or a farewell, signed. The error is sign's or a
// [Refusal]: RefusedLength for texts that are too long.
func (s *Sealer) SealBeacon(dst []byte, t Type, b *Beacon, sign func([]byte) ([]byte, error)) ([]byte, error) {
	inner, err := b.append(nil, s.beaconContext(t), sign)
	if err != nil {
		return dst, err
	}
	return s.Seal(dst, t, inner), nil
}
