package datagram

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"
)

// Root is a group's key: whoever has it is a member.
type Root [32]byte

// RootsMax is how many roots a receiver accepts at once: the present one, and
// one before or after it while the group changes.
const RootsMax = 2

// RootOf returns the root of a private network, from its name and key.
func RootOf(network string, key []byte) Root { return derive(key, "root\x00"+network) }

// OpenRootOf returns the root of an open network, which anybody who knows the
// name can compute: its datagrams are not private.
func OpenRootOf(network string) Root { return derive([]byte(network), "open root") }

func derive(secret []byte, purpose string) Root {
	k, err := hkdf.Key(sha256.New, secret, nil, "busnode 1 multicast "+purpose, len(Root{}))
	if err != nil {
		panic(err) // only for a length above 255 hashes
	}
	return Root(k)
}

// id names a root without telling it. Beacons' signatures cover it, so that
// one group's beacon is none of another's.
func (r Root) id() (id [16]byte) {
	newExpander(r[:]).expand(id[:], "busnode multicast root id")
	return id
}

// Epoch numbers the days since the Unix epoch. Keys change with it.
type Epoch uint32

// EpochLength is how long an epoch lasts.
const EpochLength = 24 * time.Hour

// EpochAt returns the epoch of an instant.
func EpochAt(wall time.Time) Epoch {
	return Epoch(max(0, wall.Unix()) / int64(EpochLength/time.Second))
}

// expander is HKDF-Expand (RFC 5869) of one key, for outputs of at most one
// hash; it keeps the key's state, for a stranger's datagram makes us derive a key.
type expander struct {
	mac hash.Hash
	in  [64]byte
	sum [sha256.Size]byte
}

func newExpander(key []byte) *expander { return &expander{mac: hmac.New(sha256.New, key)} }

// expand fills out with the output for an info of the given parts.
func (x *expander) expand(out []byte, label string, parts ...[]byte) {
	in := append(x.in[:0], label...)
	for _, p := range parts {
		in = append(in, p...)
	}
	x.mac.Reset()
	x.mac.Write(append(in, 1))
	copy(out, x.mac.Sum(x.sum[:0]))
}

// epochKey derives keys of one root and epoch.
type epochKey struct {
	expander *expander
	hint     [4]byte
	rootID   [16]byte
}

func newEpochKey(root Root, e Epoch) *epochKey {
	var key [32]byte
	newExpander(root[:]).expand(key[:], "busnode multicast epoch", binary.BigEndian.AppendUint32(nil, uint32(e)))
	k := &epochKey{expander: newExpander(key[:]), rootID: root.id()}
	k.expander.expand(k.hint[:], "hint")
	return k
}

// streamKey returns the bytes of a stream's key for a run of 2^32 numbers.
func (k *epochKey) streamKey(id StreamID, run uint32) (key [32]byte) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], run)
	k.expander.expand(key[:], "stream", id[:], b[:])
	return key
}

func (k *epochKey) aead(id StreamID, run uint32) cipher.AEAD {
	key := k.streamKey(id, run)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a cipher of another block size
	}
	return gcm
}

// runOf is which run of 2^32 numbers a number belongs to.
func runOf(seq uint64) uint32 { return uint32(seq >> 32) }
