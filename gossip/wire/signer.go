package wire

import "crypto/ed25519"

// Signer signs with an author's key. Its methods are safe for concurrent use.
type Signer interface {
	// Author returns the public key.
	Author() Author
	// Sign returns the 64-byte Ed25519 signature of message, which it does not keep.
	Sign(message []byte) ([]byte, error)
}

type keySigner struct {
	key    ed25519.PrivateKey
	author Author
}

// NewSigner returns the Signer of an Ed25519 key.
func NewSigner(key ed25519.PrivateKey) Signer {
	return &keySigner{key: key, author: Author(key.Public().(ed25519.PublicKey))}
}

// Author returns the public key.
func (s *keySigner) Author() Author { return s.author }

// Sign returns the signature of message; it never fails.
func (s *keySigner) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(s.key, message), nil
}
