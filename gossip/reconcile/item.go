package reconcile

import (
	"bytes"
	"cmp"
	"math/bits"

	"github.com/busnode/busnode/gossip/wire"
)

// Digest sums up a set of items: a SHA-256 over them, see the package comment.
// The zero Digest is that of the empty set and of no other.
type Digest [32]byte

// Item is a batch as reconciliation sees it.
type Item struct {
	Time wire.Time
	ID   wire.BatchID
}

// Compare orders items by time, then ID.
func (it Item) Compare(o Item) int {
	if it.Time != o.Time {
		return cmp.Compare(it.Time, o.Time)
	}
	return bytes.Compare(it.ID[:], o.ID[:])
}

// timeDigits is the number of hexadecimal digits of a key that are its time.
const timeDigits = 16

// timeKey maps times to unsigned numbers of the same order.
func timeKey(t wire.Time) uint64 { return uint64(t) ^ 1<<63 }

// keyTime is the inverse of timeKey.
func keyTime(k uint64) wire.Time { return wire.Time(k ^ 1<<63) }

// digit returns the i-th hexadecimal digit of the item's key, from 0.
func (it *Item) digit(i int) int {
	if i < timeDigits {
		return int(timeKey(it.Time) >> (60 - 4*i) & 15)
	}
	b := it.ID[(i-timeDigits)/2]
	if i%2 == 0 {
		return int(b >> 4)
	}
	return int(b & 15)
}

// common returns how many leading digits the keys of a and b share.
func common(a, b *Item) int {
	if x := uint64(a.Time) ^ uint64(b.Time); x != 0 {
		return bits.LeadingZeros64(x) / 4
	}
	for i := range a.ID {
		if x := a.ID[i] ^ b.ID[i]; x != 0 {
			return timeDigits + 2*i + bits.LeadingZeros8(x)/4
		}
	}
	return timeDigits + 2*len(a.ID)
}
