package datagram

import "encoding/binary"

// Sizes of a datagram.
const (
	MaxBytes      = 1196 // of a datagram: IPv6's least MTU of 1,280 less headers, with some to spare
	HeaderBytes   = 32   // clear, at the front
	TagBytes      = 16   // at the end
	OverheadBytes = HeaderBytes + TagBytes
	InnerMaxBytes = MaxBytes - OverheadBytes
)

// Version is the format's, in each datagram.
const Version = 1

// Type says what is sealed inside. Values are appended, never reused.
type Type uint8

// The types of datagrams.
const (
	TypeShard  Type = 1 // a shard of a block, data or parity
	TypeNack   Type = 2 // what its sender lacks of a stream
	TypeDigest Type = 3 // how far a stream has come
	TypeBeacon Type = 4 // who the stream belongs to, signed
	TypeBye    Type = 5 // a beacon, and the stream's last word
)

// StreamID names one run of one node on one segment. It is random.
type StreamID [16]byte

// Tag is the start of a stream's id, where the whole would be too long.
type Tag [8]byte

// Tag returns the start of the id.
func (id StreamID) Tag() Tag { return Tag(id[:8]) }

// Header is the clear start of a datagram.
type Header struct {
	Type   Type
	Hint   [4]byte // tells which key, to those who have it
	Stream StreamID
	Seq    uint64
}

// StreamOf returns the stream that a datagram claims to be of. Nothing of it is proved.
func StreamOf(b []byte) (id StreamID, ok bool) {
	h, err := ParseHeader(b)
	return h.Stream, err == nil
}

// ParseHeader reads the clear start. The error is a [Refusal]. Nothing of it is proved.
func ParseHeader(b []byte) (Header, error) {
	switch {
	case len(b) < OverheadBytes || len(b) > MaxBytes:
		return Header{}, RefusedLength
	case b[0] != 'M' || b[1] != 'C' || b[2] != Version:
		return Header{}, RefusedFormat
	}
	return Header{
		Type:   Type(b[3]),
		Hint:   [4]byte(b[4:]),
		Stream: StreamID(b[8:]),
		Seq:    binary.BigEndian.Uint64(b[24:]),
	}, nil
}

func appendHeader(dst []byte, h *Header) []byte {
	dst = append(dst, 'M', 'C', Version, byte(h.Type))
	dst = append(dst, h.Hint[:]...)
	dst = append(dst, h.Stream[:]...)
	return binary.BigEndian.AppendUint64(dst, h.Seq)
}

// nonce is the last 4 bytes of the stream's id, which are fixed for a key, and the number.
func nonce(header []byte) []byte { return header[20:HeaderBytes] }
