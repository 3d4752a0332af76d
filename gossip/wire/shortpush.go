package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of a ShortPush. The body is last, so that a sender can write what comes
// before it and the body from where it lies.
const (
	shortNumber    = 1
	shortHeader    = 2
	shortSignature = 3
	shortBody      = 4
)

// headerLeftOut are the fields that the header of a [ShortPush] is without.
const headerLeftOut = 1<<headerNetwork | 1<<headerAuthor | 1<<headerTopic | 1<<headerEpoch |
	1<<headerBodyLen | 1<<headerBodySum

// headerKnownMax is more than a header takes that has no fields but those known here.
const headerKnownMax = 640

// Run is what the batches have in common that an author makes of a topic's
// events in one epoch.
type Run struct {
	Topic  string
	Author Author
	Epoch  Epoch
}

// Run returns the run that the batch belongs to.
func (h *Header) Run() Run { return Run{h.Topic, h.Author, h.Epoch} }

// ShortPush is a [Push] as news without what its receiver can tell: the network,
// the run, which a number stands for, and length and hash of the body. Its
// Header holds none of these, and of a previous batch in the same epoch the
// time alone.
type ShortPush struct {
	Number    uint32 // of an earlier Push of the same connection; 1 to PushNumbersMax
	Header    Header
	Signature []byte // aliases the frame, or the batch
	Body      []byte // likewise
}

// Shorten returns the batch without what its receiver can tell, under the number
// of its run. ok is false if the batch would not be the same byte for byte when
// it is restored, for its header has fields that this version does not know, or
// is written otherwise than this version does.
func (b *Batch) Shorten(number uint32) (p ShortPush, ok bool) {
	var scratch [headerKnownMax]byte
	if !bytes.Equal(appendHeader(scratch[:0], &b.Header), b.HeaderBytes) {
		return p, false
	}
	h := b.Header
	if h.Prev.Epoch == h.Epoch {
		h.Prev.Mark = Mark{} // it ends right before this batch, see checkPrev
	}
	h.Network, h.Topic, h.Author, h.Epoch = "", "", Author{}, 0
	h.BodyLen, h.BodySum, h.Unreadable = 0, [32]byte{}, false
	return ShortPush{Number: number, Header: h, Signature: b.Signature, Body: b.Body}, true
}

// Restore returns the batch that was shortened. Network and run may be others
// than the author's: then the signature does not fit, see [Batch.Verify]. It
// copies what it keeps. The error wraps [ErrFormat], [ErrTooLarge] or [ErrTopic].
func (p *ShortPush) Restore(network string, r Run) (*Batch, error) {
	h := p.Header
	h.Network, h.Topic, h.Author, h.Epoch = network, r.Topic, r.Author, r.Epoch
	if h.Prev != (Prev{}) && h.Prev.Epoch == 0 {
		h.Prev.Mark = Mark{h.Epoch, h.First - 1}
	}
	h.BodyLen, h.BodySum = uint32(len(p.Body)), sha256.Sum256(p.Body)
	h.Unreadable = unreadable(h.Kind, h.Compression)
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("short push: %w", err)
	}
	var scratch [headerKnownMax]byte
	header := appendHeader(scratch[:0], &h)
	b := &Batch{ID: sha256.Sum256(header), Header: h, summed: true}
	b.join(header, p.Signature, p.Body)
	return b, nil
}

// AppendPrefix appends what precedes the body in a ShortPush. The prefix and
// then the body make up the message; so a sender can write both without
// copying the body.
func (p *ShortPush) AppendPrefix(dst []byte) []byte {
	var scratch [headerKnownMax]byte
	fields := appendUint(scratch[:0], shortNumber, uint64(p.Number))
	fields = beginNested(fields, shortHeader)
	start := len(fields)
	fields = endNested(appendShortHeader(fields, &p.Header), start)
	fields = appendBytes(fields, shortSignature, p.Signature)
	fields = protowire.AppendVarint(append(fields, shortBody<<3|typeBytes), uint64(len(p.Body)))

	dst = protowire.AppendVarint(dst, kindShortPush<<3|typeBytes)
	dst = protowire.AppendVarint(dst, uint64(len(fields)+len(p.Body)))
	return append(dst, fields...)
}

// shortPush reads a ShortPush. All four fields are present, once.
func (r *messageReader) shortPush() *ShortPush {
	p := &ShortPush{}
	seen := 0
	for r.next() {
		if r.f.num > shortBody {
			continue
		}
		if seen&(1<<r.f.num) != 0 {
			r.mistake(fmt.Errorf("%w: twice", ErrFormat))
		}
		seen |= 1 << r.f.num
		switch r.f.num {
		case shortNumber:
			p.Number = r.pushNumber()
		case shortHeader:
			if err := parseShortHeader(&p.Header, r.bytes()); err != nil {
				r.mistake(err)
			}
		case shortSignature:
			if p.Signature = r.bytes(); len(p.Signature) != ed25519.SignatureSize {
				r.mistake(fmt.Errorf("%w: signature of %d bytes", ErrFormat, len(p.Signature)))
			}
		case shortBody:
			p.Body = r.bytes()
		}
	}
	if r.err == nil && seen != 1<<shortNumber|1<<shortHeader|1<<shortSignature|1<<shortBody {
		r.err = fmt.Errorf("%w: short push without a field", ErrFormat)
	}
	return p
}

// pushNumber returns a number of a Push or ShortPush.
func (r *messageReader) pushNumber() uint32 {
	n := r.uint32()
	if n == 0 || n > PushNumbersMax {
		r.mistake(fmt.Errorf("%w: number %d, not 1 to %d", ErrFormat, n, PushNumbersMax))
	}
	return n
}
