package groupkey

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const recordBytes = 8 + 8 + len(datagram.Root{})

// generationMax keeps sums of generations from wrapping.
const generationMax = 1 << 62

// generationAhead is how far a generation may be above the milliseconds since 1970.
const generationAhead = uint64(24 * time.Hour / time.Millisecond)

// ErrRecord says that bytes are not a root with its age.
var ErrRecord = errors.New("groupkey: invalid root")

// record is a root with what decides between two.
type record struct {
	generation uint64 // one more each time that somebody is locked out
	created    int64  // ms since 1970, by its maker's clock
	root       datagram.Root
}

// newRecord makes a root.
func newRecord(generation uint64, now time.Time) record {
	r := record{generation: generation, created: now.UnixMilli()}
	_, _ = rand.Read(r.root[:]) // never fails
	return r
}

// beats reports whether all who know r and other keep r. It is a total order,
// so that nodes come to one root whoever meets whom first.
func (r record) beats(other record) bool {
	x, y := sha256.Sum256(r.root[:]), sha256.Sum256(other.root[:])
	return cmp.Or(
		cmp.Compare(other.generation, r.generation),
		cmp.Compare(r.created, other.created),
		bytes.Compare(x[:], y[:]),
	) < 0
}

// inReach reports whether the root may be taken from a peer at an instant. A peer
// could otherwise give out one that no later generation beats, and were never
// locked out. The bound rises faster than anybody locks out, from far above.
func (r record) inReach(now time.Time) bool {
	return r.generation <= uint64(max(0, now.UnixMilli()))+generationAhead
}

func (r record) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.generation)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.created))
	return append(dst, r.root[:]...)
}

func parseRecord(b []byte) (record, error) {
	if len(b) != recordBytes {
		return record{}, fmt.Errorf("%w: %d bytes", ErrRecord, len(b))
	}
	r := record{generation: binary.BigEndian.Uint64(b), created: int64(binary.BigEndian.Uint64(b[8:]))}
	copy(r.root[:], b[16:])
	switch {
	case r.generation > generationMax:
		return record{}, fmt.Errorf("%w: generation %d", ErrRecord, r.generation)
	case r.root == datagram.Root{}:
		return record{}, fmt.Errorf("%w: no root", ErrRecord)
	}
	return r, nil
}
