package reconcile

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// Key is a key of SipHash-2-4, under which digests and short IDs go on the wire.
type Key struct{ K0, K1 uint64 }

// What a key is derived for. Part of the protocol.
const (
	labelLink    = "busnode link"
	labelOpen    = "busnode open"
	labelSession = "busnode session"
)

// LinkKey returns the key that the two ends of a connection share. Each has
// chosen one of the numbers; their order does not matter.
func LinkKey(a, b uint64) Key {
	return Key{min(a, b), max(a, b)}.derive([]byte(labelLink))
}

// openKey returns the key of the digests of an Open.
func openKey(link Key, nonce uint64) Key {
	return link.derive(binary.BigEndian.AppendUint64([]byte(labelOpen), nonce))
}

// sessionKey returns the key of an exchange's short IDs, symbols and finer
// digests. Both sides contribute to it, and neither chooses it.
func sessionKey(link Key, asker, answerer uint64, topic string) Key {
	b := binary.BigEndian.AppendUint64([]byte(labelSession), asker)
	b = binary.BigEndian.AppendUint64(b, answerer)
	return link.derive(append(b, topic...))
}

func (k Key) derive(b []byte) Key {
	k0, k1 := siphash.Hash128(k.K0, k.K1, b)
	return Key{k0, k1}
}

// digest64 returns what of d goes on the wire: zero for the empty set and for no other.
func (k Key) digest64(d *Digest) uint64 {
	if *d == (Digest{}) {
		return 0
	}
	return max(siphash.Hash(k.K0, k.K1, d[:]), 1)
}

// digest32 is digest64 in half the length, for ranges.
func (k Key) digest32(d *Digest) uint32 {
	if *d == (Digest{}) {
		return 0
	}
	return max(uint32(siphash.Hash(k.K0, k.K1, d[:])), 1)
}
