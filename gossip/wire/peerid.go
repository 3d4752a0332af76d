package wire

import (
	"fmt"

	"github.com/mr-tron/base58"
)

// ed25519Prefix starts the peer ID of every Ed25519 key: an identity multihash
// (0x00, 36 bytes) of libp2p's PublicKey message (type 1 is Ed25519, 32 bytes of key).
const ed25519Prefix = "\x00\x24\x08\x01\x12\x20"

// peerIDMaxBytes is the length of the longest peer ID: an inline key of 42 bytes.
const peerIDMaxBytes = 2 + 42

// PeerID returns the peer ID of the author's key.
func (a Author) PeerID() PeerID { return PeerID(ed25519Prefix + string(a[:])) }

// AuthorOf returns the key inside a peer ID, or false if the ID is not that of
// an Ed25519 key.
func AuthorOf(p PeerID) (Author, bool) {
	if len(p) != len(ed25519Prefix)+len(Author{}) || p[:len(ed25519Prefix)] != ed25519Prefix {
		return Author{}, false
	}
	return Author([]byte(p[len(ed25519Prefix):])), true
}

// String returns the text form that libp2p uses: base58btc, "12D3KooW…" for an
// Ed25519 key. What is no multihash, such as the name of a segment, is
// returned as it is.
func (p PeerID) String() string {
	if !p.isMultihash() {
		return string(p)
	}
	return base58.Encode([]byte(p))
}

// ParsePeerID is the opposite of [PeerID.String]. It accepts base58btc text of
// an identity or SHA-256 multihash. The error wraps [ErrFormat].
func ParsePeerID(text string) (PeerID, error) {
	const textMax = 128 // decoding base58 takes time in the square of the length
	if text == "" || len(text) > textMax {
		return "", fmt.Errorf("%w: peer ID of %d characters", ErrFormat, len(text))
	}
	raw, err := base58.Decode(text)
	if err != nil {
		return "", fmt.Errorf("%w: peer ID %q: %w", ErrFormat, text, err)
	}
	p := PeerID(raw)
	if !p.isMultihash() {
		return "", fmt.Errorf("%w: peer ID %q: not an identity or SHA-256 multihash", ErrFormat, text)
	}
	return p, nil
}

// isMultihash reports whether p has the form of libp2p's peer IDs: code,
// length, digest; inline keys are at most 42 bytes long.
func (p PeerID) isMultihash() bool {
	const identity, sha256, inlineMax = 0x00, 0x12, 42
	if len(p) < 3 || int(p[1]) != len(p)-2 {
		return false
	}
	return p[0] == identity && p[1] <= inlineMax || p[0] == sha256 && p[1] == 32
}
