package wire

// Kind says what a batch's body holds.
type Kind uint32

// The values are on the wire: append only, never reorder.
const (
	KindEvents  Kind = 0 // events back to back, see [Event]
	KindForeign Kind = 1 // another system's signed message as it came
)

// Compression says how a batch's body is packed.
type Compression uint32

// The values are on the wire: append only, never reorder.
const (
	CompressionNone Compression = 0
	CompressionZstd Compression = 1
)

// Prev is the end of the author's previous batch on the topic, even before a
// restart. It is zero for the author's first batch on the topic.
type Prev struct {
	Mark
	Time Time
}

// Header is the signed part of a batch.
//
// Fields that this version does not know are kept in the signed bytes. Those
// with a number below 64 may be ignored; one of 64 or above is critical: the
// batch is verified, stored and forwarded, and Unreadable is set.
type Header struct {
	Version     uint32
	Network     string // the network's name
	Author      Author
	Topic       string
	Epoch       Epoch
	First       uint64 // sequence of the first event, from 1
	Count       uint32 // events in the batch, at least 1
	Prev        Prev
	Time        Time // when the batch was opened; events are dated from it
	Kind        Kind
	Compression Compression
	BodyLen     uint32 // bytes, as stored (compressed)
	BodySum     [32]byte
	Unreadable  bool // has a critical field, kind or compression unknown to this version
}

// Last returns the sequence of the last event.
func (h *Header) Last() uint64 { return h.First + uint64(h.Count) - 1 }

// Start returns the mark of the first event.
func (h *Header) Start() Mark { return Mark{h.Epoch, h.First} }

// End returns the mark of the last event.
func (h *Header) End() Mark { return Mark{h.Epoch, h.Last()} }
