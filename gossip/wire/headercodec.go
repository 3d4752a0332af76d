package wire

import (
	"fmt"
	"math"
)

// Fields of a header, and of its nested prev. Numbers are never reused.
const (
	headerVersion     = 1
	headerNetwork     = 2
	headerAuthor      = 3
	headerTopic       = 4
	headerEpoch       = 5
	headerFirst       = 6
	headerCount       = 7
	headerPrev        = 8
	headerTime        = 9
	headerKind        = 10
	headerCompression = 11
	headerBodyLen     = 12
	headerBodySum     = 13

	prevEpoch = 1
	prevSeq   = 2
	prevTime  = 3
)

// headerCritical is the lowest number of a field that a reader must know in
// order to read the batch.
const headerCritical = 64

// appendHeader appends the header's fields in ascending order.
func appendHeader(dst []byte, h *Header) []byte {
	dst = appendUint(dst, headerVersion, uint64(h.Version))
	dst = appendString(dst, headerNetwork, h.Network)
	dst = appendBytes(dst, headerAuthor, h.Author[:])
	dst = appendString(dst, headerTopic, h.Topic)
	dst = appendUint(dst, headerEpoch, uint64(h.Epoch))
	dst = appendPlace(dst, h)
	dst = appendUint(dst, headerBodyLen, uint64(h.BodyLen))
	return appendBytes(dst, headerBodySum, h.BodySum[:])
}

// appendShortHeader appends the header of a [ShortPush].
func appendShortHeader(dst []byte, h *Header) []byte {
	return appendPlace(appendUint(dst, headerVersion, uint64(h.Version)), h)
}

// appendPlace appends the fields that differ between the batches of a run, and
// that the body does not tell.
func appendPlace(dst []byte, h *Header) []byte {
	dst = appendUint(dst, headerFirst, h.First)
	dst = appendUint(dst, headerCount, uint64(h.Count))
	if h.Prev != (Prev{}) {
		dst = beginNested(dst, headerPrev)
		start := len(dst)
		dst = appendUint(dst, prevEpoch, uint64(h.Prev.Epoch))
		dst = appendUint(dst, prevSeq, h.Prev.Seq)
		dst = appendTime(dst, prevTime, h.Prev.Time)
		dst = endNested(dst, start)
	}
	dst = appendTime(dst, headerTime, h.Time)
	dst = appendUint(dst, headerKind, uint64(h.Kind))
	return appendUint(dst, headerCompression, uint64(h.Compression))
}

// headerTypes holds the wire type of each known field plus one; 0 is unknown.
var headerTypes = [headerCritical]uint8{
	headerVersion: 1 + typeVarint, headerNetwork: 1 + typeBytes, headerAuthor: 1 + typeBytes,
	headerTopic: 1 + typeBytes, headerEpoch: 1 + typeVarint, headerFirst: 1 + typeVarint,
	headerCount: 1 + typeVarint, headerPrev: 1 + typeBytes, headerTime: 1 + typeFixed64,
	headerKind: 1 + typeVarint, headerCompression: 1 + typeVarint, headerBodyLen: 1 + typeVarint,
	headerBodySum: 1 + typeBytes,
}

// parseHeader parses the signed bytes into h and checks the rules of the format.
// Topic and network are copied: a header outlives the body it came with.
func parseHeader(h *Header, b []byte) error {
	in, err := h.setFields(b)
	if err != nil {
		return err
	}
	if in.seen&(1<<headerAuthor) == 0 || in.seen&(1<<headerBodySum) == 0 {
		return fmt.Errorf("%w: header without author or body hash", ErrFormat)
	}
	network, topic := in.network, in.topic
	if len(network) > NetworkMax || len(topic) > TopicMax {
		return fmt.Errorf("%w: header: network of %d or topic of %d bytes", ErrTooLarge, len(network), len(topic))
	}
	var scratch [NetworkMax + TopicMax]byte
	names := string(append(append(scratch[:0], network...), topic...)) // one allocation for both
	h.Network, h.Topic = names[:len(network)], names[len(network):]
	h.Unreadable = in.critical || unreadable(h.Kind, h.Compression)
	return h.check()
}

// parseShortHeader parses the header of a [ShortPush] into h. It has no fields but
// those that appendShortHeader writes: others could not be restored.
func parseShortHeader(h *Header, b []byte) error {
	in, err := h.setFields(b)
	if err != nil {
		return err
	}
	if in.unknown || in.critical || in.seen&headerLeftOut != 0 {
		return fmt.Errorf("%w: header with fields that a short one is without", ErrFormat)
	}
	return nil
}

// headerFields tells of the fields that a header has.
type headerFields struct {
	seen           uint64 // a bit for each that is known
	network, topic []byte // alias the header
	unknown        bool   // has ignorable ones that are unknown to this version
	critical       bool   // has critical ones
}

// setFields sets the fields of h but network and topic, and checks none of the rules.
func (h *Header) setFields(b []byte) (in headerFields, err error) {
	var f field
	fs := fields{buf: b}
	for at := 0; fs.next(&f); at = fs.pos {
		if f.num >= headerCritical {
			in.critical = true
			continue
		}
		if headerTypes[f.num] == 0 {
			in.unknown = true
			continue
		}
		if f.typ+1 != headerTypes[f.num] || in.seen&(1<<f.num) != 0 {
			return in, fmt.Errorf("%w: header: field %d at byte %d: wire type %d, or twice", ErrFormat, f.num, at, f.typ)
		}
		in.seen |= 1 << f.num
		switch f.num {
		case headerNetwork:
			in.network = f.data
		case headerTopic:
			in.topic = f.data
		default:
			if err := h.setField(&f); err != nil {
				return in, fmt.Errorf("header: field %d at byte %d: %w", f.num, at, err)
			}
		}
	}
	if fs.err != nil {
		return in, fmt.Errorf("header: %w", fs.err)
	}
	return in, nil
}

// setField sets the field of h, whose wire type is known to be right.
func (h *Header) setField(f *field) error {
	switch f.num {
	case headerVersion:
		return setUint32(&h.Version, f.val)
	case headerAuthor:
		return setHash((*[32]byte)(&h.Author), f.data)
	case headerEpoch:
		h.Epoch = Epoch(f.val)
	case headerFirst:
		h.First = f.val
	case headerCount:
		return setUint32(&h.Count, f.val)
	case headerPrev:
		return parsePrev(&h.Prev, f.data)
	case headerTime:
		h.Time = Time(f.val)
	case headerKind:
		return setUint32((*uint32)(&h.Kind), f.val)
	case headerCompression:
		return setUint32((*uint32)(&h.Compression), f.val)
	case headerBodyLen:
		return setUint32(&h.BodyLen, f.val)
	case headerBodySum:
		return setHash(&h.BodySum, f.data)
	}
	return nil
}

func parsePrev(p *Prev, b []byte) error {
	var f field
	fs := fields{buf: b}
	for fs.next(&f) {
		switch {
		case f.num == prevEpoch && f.typ == typeVarint:
			p.Epoch = Epoch(f.val)
		case f.num == prevSeq && f.typ == typeVarint:
			p.Seq = f.val
		case f.num == prevTime && f.typ == typeFixed64:
			p.Time = Time(f.val)
		case f.num <= prevTime:
			return fmt.Errorf("%w: prev: wire type %d of field %d", ErrFormat, f.typ, f.num)
		}
	}
	return fs.err
}

// unreadable reports whether this version cannot read such a body. Nothing
// reads KindForeign yet; a node stores and forwards it like any unknown kind.
func unreadable(k Kind, c Compression) bool {
	return k != KindEvents || c != CompressionNone && c != CompressionZstd
}

// check tells which rule of the format the header breaks.
func (h *Header) check() error {
	if err := ValidNetwork(h.Network); err != nil {
		return err
	}
	if err := ValidTopic(h.Topic); err != nil {
		return err
	}
	switch {
	case h.Version == 0:
		return fmt.Errorf("%w: header without version", ErrFormat)
	case h.Epoch == 0:
		return fmt.Errorf("%w: header without epoch", ErrFormat)
	case h.First == 0:
		return fmt.Errorf("%w: first sequence 0", ErrFormat)
	case h.Count == 0:
		return fmt.Errorf("%w: batch of no events", ErrFormat)
	case h.Count > CountMax:
		return fmt.Errorf("%w: batch of %d events, at most %d", ErrTooLarge, h.Count, CountMax)
	case h.First > math.MaxUint64-uint64(h.Count):
		return fmt.Errorf("%w: sequence overflows: first %d, count %d", ErrFormat, h.First, h.Count)
	case h.Time <= 0:
		return fmt.Errorf("%w: batch dated %d", ErrFormat, h.Time)
	case h.BodyLen > BodyMaxBytes:
		return fmt.Errorf("%w: body of %d bytes, at most %d", ErrTooLarge, h.BodyLen, BodyMaxBytes)
	case h.Kind == KindEvents && h.Compression == CompressionNone && h.BodyLen < h.Count*eventMinBytes:
		return fmt.Errorf("%w: %d events in a body of %d bytes", ErrFormat, h.Count, h.BodyLen)
	}
	return h.checkPrev()
}

// checkPrev checks that the previous batch ends right before this one.
func (h *Header) checkPrev() error {
	p := &h.Prev
	fits := false
	switch {
	case *p == Prev{}, p.Epoch < h.Epoch:
		fits = h.First == 1
	case p.Epoch == h.Epoch:
		fits = p.Seq == h.First-1
	}
	whole := *p == Prev{} || p.Epoch != 0 && p.Seq != 0 && p.Time > 0 && p.Time <= h.Time
	if !fits || !whole {
		return fmt.Errorf("%w: prev (epoch %d, sequence %d, time %d) before (epoch %d, first %d, time %d)",
			ErrFormat, p.Epoch, p.Seq, p.Time, h.Epoch, h.First, h.Time)
	}
	return nil
}

func setUint32(dst *uint32, v uint64) error {
	if v > math.MaxUint32 {
		return fmt.Errorf("%w: %d exceeds 32 bits", ErrFormat, v)
	}
	*dst = uint32(v)
	return nil
}

func setHash(dst *[32]byte, b []byte) error {
	if len(b) != len(dst) {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrFormat, len(b), len(dst))
	}
	*dst = [32]byte(b)
	return nil
}
