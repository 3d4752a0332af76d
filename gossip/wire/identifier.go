package wire

import (
	"cmp"
	"encoding/hex"
	"time"
)

// PeerID names a peer: the bytes of its libp2p peer ID, not their text form.
type PeerID string

// Author is an author's Ed25519 public key.
type Author [32]byte

// BatchID is the SHA-256 of a batch's header as it was signed.
type BatchID [32]byte

// String returns the first 8 bytes in hexadecimal, for logs.
func (id BatchID) String() string { return hex.EncodeToString(id[:8]) }

// ShortID is the first half of a [BatchID], by which repair names a batch.
// Two batches with one ShortID take 2^64 hashes to make.
type ShortID [16]byte

// Short returns the first half of id.
func (id BatchID) Short() ShortID { return ShortID(id[:16]) }

// Time is an instant of a hybrid logical clock: nanoseconds since the Unix
// epoch, advanced by at least one at each use (Kulkarni et al., 2014; the
// logical part is folded into the lowest bits).
type Time int64

// TimeOf returns the instant of t.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Std returns the instant as a [time.Time] in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add returns t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Epoch is one run of an author: the milliseconds of its clock when it
// started, shifted left by 16, and 16 random bits. Epochs of an author ascend.
type Epoch uint64

// Time returns the instant at which the epoch was chosen.
func (e Epoch) Time() Time { return Time(int64(e>>16) * int64(time.Millisecond)) }

// Mark is a place in what one author published on one topic: the event Seq
// of Epoch. The zero Mark is the place before the author's first event.
type Mark struct {
	Epoch Epoch
	Seq   uint64
}

// Compare orders marks by epoch, then sequence.
func (m Mark) Compare(o Mark) int {
	return cmp.Or(cmp.Compare(m.Epoch, o.Epoch), cmp.Compare(m.Seq, o.Seq))
}

// EventID names an event.
type EventID struct {
	Topic  string
	Author Author
	Mark
}
