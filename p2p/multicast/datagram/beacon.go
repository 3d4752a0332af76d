package datagram

import (
	"crypto/ed25519"
	"encoding/binary"
	"time"
)

// Limits of a beacon's parts.
const (
	TextMax    = 128 // bytes
	AddrsMax   = 8
	AddrsBytes = 256 // all addresses with a byte of length each
	ReportsMax = 4

	// IntervalUnit is that of Beacon.Interval.
	IntervalUnit = 10 * time.Millisecond
	// TimeTolerance is how far a beacon's time may be from ours.
	TimeTolerance = 30 * time.Second
)

const (
	beaconFixedBytes = 8 + 32 + 2 + Lanes*10 + 1 + 1 + 1
	beaconMaxBytes   = OverheadBytes + beaconFixedBytes + 9*ReportsMax + TextMax + AddrsBytes + ed25519.SignatureSize
	beaconDomain     = "busnode 1 multicast beacon\x00"
)

// Beacon says whose a stream is, and what that peer says of itself. It is
// signed together with its header, so neither a beacon of another stream nor one
// sealed again under another number passes.
//
//	 0      8      40         42                       62       63          64        65
//	+------+------+----------+------------------------+--------+-----------+---------+
//	| wall | key  | interval | lanes × next 8, back 2 | text's | number of | reports |
//	| 8    | 32   | 2        | 20                     | length | addresses | 1       |
//	+------+------+----------+------------------------+--------+-----------+---------+
//	| reports × (of 8, loss 1) | text | addresses × (length 1, bytes) | signature 64  |
//	+---------------------------------------------------------------------------------+
type Beacon struct {
	Wall     time.Time // to the millisecond
	Key      [ed25519.PublicKeySize]byte
	Interval time.Duration // until the next, about
	Flows    [Lanes]Flow   // to all; Lane is the index
	Reports  []Report
	Text     []byte
	Addrs    [][]byte
}

// Report is how much of a stream its receiver missed lately.
type Report struct {
	Of   Tag
	Loss uint8 // in 255ths
}

func (b *Beacon) append(dst, context []byte, sign func([]byte) ([]byte, error)) ([]byte, error) {
	if len(b.Text) > TextMax || len(b.Addrs) > AddrsMax || len(b.Reports) > ReportsMax {
		return nil, RefusedLength
	}
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Wall.UnixMilli()))
	dst = append(dst, b.Key[:]...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(b.Interval/IntervalUnit, 1<<16-1)))
	for _, f := range b.Flows {
		dst = binary.BigEndian.AppendUint64(dst, f.Next)
		dst = binary.BigEndian.AppendUint16(dst, f.Back)
	}
	dst = append(dst, byte(len(b.Text)), byte(len(b.Addrs)), byte(len(b.Reports)))
	for _, r := range b.Reports {
		dst = append(dst, r.Of[:]...)
		dst = append(dst, r.Loss)
	}
	dst = append(dst, b.Text...)
	before := len(dst)
	for _, a := range b.Addrs {
		if len(a) == 0 || len(a) > AddrsBytes-1 {
			return nil, RefusedLength
		}
		dst = append(dst, byte(len(a)))
		dst = append(dst, a...)
	}
	if len(dst)-before > AddrsBytes {
		return nil, RefusedLength
	}
	signature, err := sign(append(context, dst[start:]...))
	if err != nil {
		return nil, err
	}
	if len(signature) != ed25519.SignatureSize {
		return nil, RefusedSignature
	}
	return append(dst, signature...), nil
}

// ParseBeacon reads an inner text, which the result aliases. Its signature is
// not checked. The error is RefusedInner.
func ParseBeacon(inner []byte) (Beacon, error) {
	if len(inner) < beaconFixedBytes+ed25519.SignatureSize {
		return Beacon{}, RefusedInner
	}
	p := inner[:len(inner)-ed25519.SignatureSize]
	ms := int64(binary.BigEndian.Uint64(p))
	if ms < 0 || ms > timeMax {
		return Beacon{}, RefusedInner
	}
	b := Beacon{
		Wall:     time.UnixMilli(ms),
		Key:      [32]byte(p[8:]),
		Interval: time.Duration(binary.BigEndian.Uint16(p[40:])) * IntervalUnit,
	}
	for i := range b.Flows {
		f := p[42+10*i:]
		b.Flows[i] = Flow{Lane: uint8(i), Next: binary.BigEndian.Uint64(f), Back: binary.BigEndian.Uint16(f[8:])}
		if !b.Flows[i].valid() {
			return Beacon{}, RefusedInner
		}
	}
	counts := p[beaconFixedBytes-3:]
	text, addrs, reports := int(counts[0]), int(counts[1]), int(counts[2])
	p = p[beaconFixedBytes:]
	if text > TextMax || addrs > AddrsMax || reports > ReportsMax || len(p) < 9*reports+text {
		return Beacon{}, RefusedInner
	}
	for ; reports > 0; reports-- {
		b.Reports = append(b.Reports, Report{Of: Tag(p), Loss: p[8]})
		p = p[9:]
	}
	b.Text, p = p[:text:text], p[text:]
	if len(p) > AddrsBytes {
		return Beacon{}, RefusedInner
	}
	for ; addrs > 0; addrs-- {
		if len(p) == 0 || p[0] == 0 || len(p) < 1+int(p[0]) {
			return Beacon{}, RefusedInner
		}
		n := 1 + int(p[0])
		b.Addrs = append(b.Addrs, p[1:n:n])
		p = p[n:]
	}
	if len(p) != 0 {
		return Beacon{}, RefusedInner
	}
	return b, nil
}

// timeMax is the end of the year 9999 in milliseconds since the Unix epoch.
const timeMax = 253402300799999

// Signed reports whether an opened beacon bears the signature of the key that it names.
func (m *Message) Signed(b *Beacon) bool {
	n := len(m.Inner) - ed25519.SignatureSize
	context := appendContext(make([]byte, 0, 512), m.key.rootID,
		&Header{Type: m.Type, Hint: m.hint, Stream: m.Stream, Seq: m.Seq})
	return ed25519.Verify(b.Key[:], append(context, m.Inner[:n]...), m.Inner[n:])
}

func appendContext(dst []byte, rootID [16]byte, h *Header) []byte {
	dst = append(dst, beaconDomain...)
	dst = append(dst, rootID[:]...)
	return appendHeader(dst, h)
}
