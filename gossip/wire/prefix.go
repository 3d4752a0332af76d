package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Prefix is what the first bytes of a batch tell of the whole.
type Prefix struct {
	ID     BatchID
	Header Header
	Size   int // of the whole batch as it is stored
}

// ParsePrefix reads the header of a batch of which the first bytes alone need
// be there. ok is false while the header is not there in full. Nothing is
// verified but that the ID is the header's hash. The result does not alias raw.
// The error wraps [ErrFormat], [ErrTooLarge] or [ErrTopic].
func ParsePrefix(raw []byte) (p Prefix, ok bool, err error) {
	if prefixCut(raw) {
		return p, false, nil
	}
	header, end, err := part(raw, 0, batchHeader, HeaderMaxBytes)
	if err != nil {
		return p, false, err
	}
	if err := parseHeader(&p.Header, header); err != nil {
		return p, false, err
	}
	body := int64(p.Header.BodyLen)
	if body > BodyMaxBytes {
		return p, false, fmt.Errorf("%w: body of %d bytes, at most %d", ErrTooLarge, body, BodyMaxBytes)
	}
	p.ID = sha256.Sum256(header)
	p.Size = end + 1 + protowire.SizeBytes(ed25519.SignatureSize) + 1 + protowire.SizeBytes(int(body))
	return p, true, nil
}

// prefixCut reports whether raw is too short for its header, and not wrong as
// far as it goes.
func prefixCut(raw []byte) bool {
	if len(raw) == 0 {
		return true
	}
	if raw[0] != batchHeader<<3|typeBytes {
		return false
	}
	n, start := uvarint(raw, 1)
	if start < 0 {
		return len(raw) < 1+protowire.SizeVarint(HeaderMaxBytes)
	}
	return n <= HeaderMaxBytes && n > uint64(len(raw)-start)
}
