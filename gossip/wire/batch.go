package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of a batch. All three are present, once, in this order, and nothing
// else: so that nobody on the way can alter a byte of what is stored.
const (
	batchHeader    = 1
	batchSignature = 2
	batchBody      = 3
)

// signatureDomain starts what is signed: the domain, NUL, the network's name,
// NUL, the header. A signature is thus worth nothing in another network, nor
// in another protocol that uses the same key.
const signatureDomain = "busnode batch v1"

// Batch is a batch as it was signed. All its slices alias the bytes that were
// parsed; nobody may modify them after [ParseBatch] or [Seal].
type Batch struct {
	ID          BatchID
	Header      Header
	Raw         []byte // the whole batch: what is stored and sent
	HeaderBytes []byte // what ID is the hash of
	Signature   []byte
	Body        []byte

	summed bool // Header.BodySum was computed from Body here
}

// Size returns the bytes that the batch takes in the log and on the wire.
func (b *Batch) Size() int { return len(b.Raw) }

// Seal completes h (Author, BodyLen, BodySum, and Version if it is zero),
// signs it, and returns the batch. It copies body. The error wraps [ErrFormat],
// [ErrTooLarge] or [ErrTopic] if h breaks a rule of the format, or is the signer's.
func Seal(h Header, body []byte, s Signer) (*Batch, error) {
	if len(body) > BodyMaxBytes {
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrTooLarge, len(body), BodyMaxBytes)
	}
	if h.Version == 0 {
		h.Version = VersionMax
	}
	h.Author = s.Author()
	h.BodyLen = uint32(len(body))
	h.BodySum = sha256.Sum256(body)
	h.Unreadable = unreadable(h.Kind, h.Compression)
	if err := h.check(); err != nil {
		return nil, err
	}

	var scratch [1024]byte
	message := appendDomain(scratch[:0], h.Network)
	domain := len(message)
	message = appendHeader(message, &h)
	header := message[domain:]
	signature, err := s.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("wire: sign batch: %w", err)
	}
	if len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: signer returned %d bytes", ErrSignature, len(signature))
	}
	b := &Batch{ID: sha256.Sum256(header), Header: h}
	b.join(header, signature, body)
	return b, nil
}

// join builds Raw from the parts, and lets the batch alias it.
func (b *Batch) join(header, signature, body []byte) {
	size := 3 + protowire.SizeBytes(len(header)) + protowire.SizeBytes(len(signature)) + protowire.SizeBytes(len(body))
	raw := make([]byte, 0, size)
	raw = appendBytes(raw, batchHeader, header)
	b.HeaderBytes = raw[len(raw)-len(header) : len(raw) : len(raw)]
	raw = appendBytes(raw, batchSignature, signature)
	b.Signature = raw[len(raw)-len(signature) : len(raw) : len(raw)]
	raw = appendBytes(raw, batchBody, body)
	b.Body = raw[len(raw)-len(body) : len(raw) : len(raw)]
	b.Raw = raw
}

// ParseBatch parses a batch's form. It checks limits and computes the ID, but
// verifies neither the hash of the body nor the signature: see [Batch.Verify].
// Nor does it walk the events: see [Batch.Events]. The batch aliases raw,
// which nobody may modify afterwards. The error wraps [ErrFormat],
// [ErrTooLarge] or [ErrTopic].
func ParseBatch(raw []byte) (*Batch, error) {
	if len(raw) > BatchMaxBytes {
		return nil, fmt.Errorf("%w: batch of %d bytes, at most %d", ErrTooLarge, len(raw), BatchMaxBytes)
	}
	b := &Batch{Raw: raw}
	pos := 0
	var err error
	if b.HeaderBytes, pos, err = part(raw, pos, batchHeader, HeaderMaxBytes); err != nil {
		return nil, err
	}
	if b.Signature, pos, err = part(raw, pos, batchSignature, ed25519.SignatureSize); err != nil {
		return nil, err
	}
	if len(b.Signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: signature of %d bytes", ErrFormat, len(b.Signature))
	}
	if b.Body, pos, err = part(raw, pos, batchBody, BodyMaxBytes); err != nil {
		return nil, err
	}
	if pos != len(raw) {
		return nil, fmt.Errorf("%w: batch: %d bytes after its body", ErrFormat, len(raw)-pos)
	}
	if err := parseHeader(&b.Header, b.HeaderBytes); err != nil {
		return nil, err
	}
	if int(b.Header.BodyLen) != len(b.Body) {
		return nil, fmt.Errorf("%w: body of %d bytes, header says %d", ErrFormat, len(b.Body), b.Header.BodyLen)
	}
	b.ID = sha256.Sum256(b.HeaderBytes)
	return b, nil
}

// part reads field num of a batch at pos and returns its content and the place after it.
func part(raw []byte, pos, num, sizeMax int) ([]byte, int, error) {
	if pos == len(raw) || raw[pos] != byte(num<<3|typeBytes) {
		return nil, 0, fmt.Errorf("%w: batch: no field %d at byte %d", ErrFormat, num, pos)
	}
	n, start := uvarint(raw, pos+1)
	switch {
	case start < 0 || protowire.SizeVarint(n) != start-pos-1:
		return nil, 0, fmt.Errorf("%w: batch: length of field %d at byte %d", ErrFormat, num, pos)
	case n > uint64(sizeMax):
		return nil, 0, fmt.Errorf("%w: batch: field %d of %d bytes, at most %d", ErrTooLarge, num, n, sizeMax)
	case n > uint64(len(raw)-start):
		return nil, 0, fmt.Errorf("%w: batch: field %d of %d bytes, %d are there", ErrFormat, num, n, len(raw)-start)
	}
	end := start + int(n)
	return raw[start:end:end], end, nil
}

// Verify checks network, body hash and signature. The error wraps
// [ErrNetwork] or [ErrSignature].
func (b *Batch) Verify(network string) error {
	if b.Header.Network != network {
		return fmt.Errorf("%w: %q, not %q", ErrNetwork, b.Header.Network, network)
	}
	if !b.summed && sha256.Sum256(b.Body) != b.Header.BodySum {
		return fmt.Errorf("%w: body hash of batch %v", ErrSignature, b.ID)
	}
	var scratch [1024]byte
	message := append(appendDomain(scratch[:0], network), b.HeaderBytes...)
	if !ed25519.Verify(b.Header.Author[:], message, b.Signature) {
		return fmt.Errorf("%w: signature of batch %v", ErrSignature, b.ID)
	}
	return nil
}

func appendDomain(dst []byte, network string) []byte {
	dst = append(dst, signatureDomain...)
	dst = append(dst, 0)
	dst = append(dst, network...)
	return append(dst, 0)
}
