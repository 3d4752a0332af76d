package datagram

import (
	"crypto/cipher"
	"net/netip"
)

// Message is an opened datagram.
type Message struct {
	Type   Type
	Stream StreamID
	Seq    uint64
	Inner  []byte  // in the buffer that Open was given
	From   *Stream // nil if the stream is not admitted: then it is a beacon at most
	key    *epochKey
	hint   [4]byte
}

// Stream is an admitted stream, as its owner sees it.
type Stream struct {
	ID StreamID
	// Slot is the owner's to use.
	Slot int

	window  window
	sources [sourcesMax]netip.AddrPort // whence its beacons came, the newest first
	keys    [epochs * RootsMax]struct {
		aead cipher.AEAD
		run  uint32
	}
	version uint64 // of the opener's keys that keys belong to
}

const (
	epochs     = 3 // yesterday's, today's and tomorrow's: nodes' midnights differ
	sourcesMax = 4 // a node sends by IPv4 and IPv6, and its addresses change
)

// Opener opens the datagrams of all streams of a group. It is not safe for
// concurrent use. It refuses replays, and streams that were not admitted.
type Opener struct {
	own     StreamID
	roots   []Root
	epoch   Epoch
	version uint64
	keys    []*epochKey // epochs of each root
	streams map[StreamID]*Stream
	// strangers reports whether a key may be made for another stranger's beacon; nil: always.
	strangers func() bool
}

// NewOpener returns an opener that refuses the stream own, which is our own.
func NewOpener(own StreamID, roots []Root, e Epoch) *Opener {
	o := &Opener{own: own, streams: make(map[StreamID]*Stream)}
	o.SetKeys(roots, e)
	return o
}

// LimitStrangers has the opener ask take before it makes a key for the beacon of a
// stream that is not admitted, which costs twice what a forged datagram of an admitted
// one does. What take does not let through is RefusedLimit.
func (o *Opener) LimitStrangers(take func() bool) { o.strangers = take }

// SetKeys changes which roots' keys are accepted, of the epoch before, at and after e.
func (o *Opener) SetKeys(roots []Root, e Epoch) {
	o.roots, o.epoch = append(o.roots[:0], roots...), e
	o.version++
	o.keys = o.keys[:0]
	for _, r := range roots {
		for d := range Epoch(epochs) {
			o.keys = append(o.keys, newEpochKey(r, e+d-1))
		}
	}
}

// SetEpoch moves to another epoch.
func (o *Opener) SetEpoch(e Epoch) {
	if e != o.epoch {
		o.SetKeys(append([]Root(nil), o.roots...), e)
	}
}

// Open authenticates and decrypts b into dst's capacity, from its start; with
// InnerMaxBytes of it nothing is allocated. from is the address that b came from. The
// error is a [Refusal]. The checks go from cheap to dear, and nothing changes
// before the last.
func (o *Opener) Open(dst, b []byte, from netip.AddrPort) (Message, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return Message{}, err
	}
	if h.Stream == o.own {
		return Message{}, RefusedOwn
	}
	slot := o.keyOf(h.Hint)
	if slot < 0 {
		return Message{}, RefusedKey
	}
	s := o.streams[h.Stream]
	if s == nil {
		return o.openStranger(dst, b, &h, slot)
	}
	if h.Type != TypeBeacon && !s.sendsFrom(from) {
		return Message{}, RefusedSource
	}
	if err := s.window.check(h.Seq); err != nil {
		return Message{}, err
	}
	inner, err := o.keyFor(s, slot, h.Seq).Open(dst[:0], nonce(b[:HeaderBytes]), b[HeaderBytes:], b[:HeaderBytes])
	if err != nil {
		return Message{}, RefusedSeal
	}
	s.window.add(h.Seq)
	return Message{h.Type, h.Stream, h.Seq, inner, s, o.keys[slot], h.Hint}, nil
}

// openStranger opens a datagram of a stream that is not admitted, if it may introduce it.
func (o *Opener) openStranger(dst, b []byte, h *Header, slot int) (Message, error) {
	if h.Type != TypeBeacon {
		return Message{}, RefusedStranger
	}
	if len(b) > beaconMaxBytes {
		return Message{}, RefusedLength // before a key is made for it
	}
	if o.strangers != nil && !o.strangers() {
		return Message{}, RefusedLimit
	}
	aead := o.keys[slot].aead(h.Stream, runOf(h.Seq))
	inner, err := aead.Open(dst[:0], nonce(b[:HeaderBytes]), b[HeaderBytes:], b[:HeaderBytes])
	if err != nil {
		return Message{}, RefusedSeal
	}
	return Message{h.Type, h.Stream, h.Seq, inner, nil, o.keys[slot], h.Hint}, nil
}

// Admit lets a stream in whose beacon was opened and found good, or if it is
// in, notes from where it sends. Its datagrams numbered before that first beacon are refused.
func (o *Opener) Admit(m *Message, from netip.AddrPort) *Stream {
	s := o.streams[m.Stream]
	if s == nil {
		s = &Stream{ID: m.Stream}
		s.window.newest, s.window.floor = m.Seq, m.Seq
		o.streams[m.Stream] = s
	}
	if s.sources[0] != from {
		i := 1
		for i < sourcesMax-1 && s.sources[i] != from {
			i++
		}
		copy(s.sources[1:i+1], s.sources[:i])
		s.sources[0] = from
	}
	return s
}

// Forget ends a stream. Its datagrams are refused until a fresh beacon admits
// it again: the owner forgets it only when all beacons of it have become too old.
func (o *Opener) Forget(id StreamID) { delete(o.streams, id) }

// Streams returns how many streams are admitted.
func (o *Opener) Streams() int { return len(o.streams) }

func (o *Opener) keyOf(hint [4]byte) int {
	for i, k := range o.keys {
		if k.hint == hint {
			return i
		}
	}
	return -1
}

// keyFor returns a stream's key, which it keeps.
func (o *Opener) keyFor(s *Stream, slot int, seq uint64) cipher.AEAD {
	if s.version != o.version {
		clear(s.keys[:])
		s.version = o.version
	}
	k := &s.keys[slot]
	if run := runOf(seq); k.aead == nil || k.run != run {
		k.aead, k.run = o.keys[slot].aead(s.ID, run), run
	}
	return k.aead
}

func (s *Stream) sendsFrom(from netip.AddrPort) bool {
	for i := range s.sources {
		if s.sources[i] == from {
			return true
		}
	}
	return false
}
