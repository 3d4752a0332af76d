package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// Packed forms: lists of an exchange, each in one field of bytes, for their
// size is what an exchange costs. docs/spec.md, section 7.1, describes them.
//
//	ranges:  ┌───────┬────────┬───────┬───────┬────────┬───────┬─────
//	         │ count │ digest │ bound │ count │ digest │ bound │ …
//	         └───────┴────────┴───────┴───────┴────────┴───────┴─────
//	          uvarint 4, none  uvarint: difference of the Lows = v << 4z as v<<4 | z
//	                  if count
//	                  is 0

const (
	keyedBytes  = 6 // of a keyed short ID
	keyedMax    = 1<<48 - 1
	digestBytes = 4 // of a range's digest
)

// A bound whose difference has no zero digit at its end and more than 60 bits
// does not fit the short form: boundLong and the difference in 8 bytes stand
// for it. As a short form boundLong would be a difference of zero.
const (
	boundLong     = 0x00
	boundShortMax = 1<<60 - 1 // greatest v of the short form
)

// packRanges appends ranges in their packed form, which leaves out the first Low.
func packRanges(dst []byte, ranges []RangeDigest) []byte {
	for i := range ranges {
		if i > 0 {
			dst = packBound(dst, uint64(ranges[i].Low)-uint64(ranges[i-1].Low))
		}
		dst = protowire.AppendVarint(dst, uint64(ranges[i].Count))
		if ranges[i].Count > 0 {
			dst = binary.BigEndian.AppendUint32(dst, ranges[i].Digest)
		}
	}
	return dst
}

// packBound appends the difference of two Lows. Bounds fall on the nodes of
// the trie, so the difference mostly ends in many zero digits.
func packBound(dst []byte, difference uint64) []byte {
	z := bits.TrailingZeros64(difference) / 4
	if v := difference >> (4 * z); v <= boundShortMax && v > 0 {
		return protowire.AppendVarint(dst, v<<4|uint64(z))
	}
	return binary.BigEndian.AppendUint64(append(dst, boundLong), difference)
}

// rangeReader walks packed ranges. The first mistake ends it and stays in err.
type rangeReader struct {
	buf  []byte
	pos  int
	low  Time // of the next range if it is the first, else of the last one
	rest bool // the first range has been read
	err  error
}

// next returns the next range; false at the end and at a mistake.
func (r *rangeReader) next() (d RangeDigest, ok bool) {
	if r.pos == len(r.buf) || r.err != nil {
		return d, false
	}
	if r.rest && !r.bound() {
		return d, false
	}
	d.Low, r.rest = r.low, true
	count, pos := uvarint(r.buf, r.pos)
	if pos < 0 || count > math.MaxUint32 {
		return d, r.fail("count")
	}
	d.Count, r.pos = uint32(count), pos
	if count == 0 {
		return d, true
	}
	if len(r.buf)-r.pos < digestBytes {
		return d, r.fail("digest cut off")
	}
	d.Digest = binary.BigEndian.Uint32(r.buf[r.pos:])
	r.pos += digestBytes
	return d, true
}

// bound moves low by the difference at pos.
func (r *rangeReader) bound() bool {
	packed, pos := uvarint(r.buf, r.pos)
	if pos < 0 {
		return r.fail("bound")
	}
	v, shift := packed>>4, 4*(packed&15)
	difference := v << shift
	switch {
	case packed == boundLong:
		if len(r.buf)-pos < 8 {
			return r.fail("bound cut off")
		}
		difference = binary.BigEndian.Uint64(r.buf[pos:])
		pos += 8
		if difference>>60 == 0 || difference&15 == 0 {
			return r.fail("long bound")
		}
	case v&15 == 0 || difference>>shift != v:
		return r.fail("bound")
	}
	if difference > uint64(math.MaxInt64)-uint64(r.low) {
		return r.fail("bound beyond all time")
	}
	r.low, r.pos = r.low+Time(difference), pos
	return true
}

func (r *rangeReader) fail(what string) bool {
	r.err = fmt.Errorf("%w: ranges: %s at byte %d", ErrFormat, what, r.pos)
	return false
}

// unpackRanges returns the ranges packed in b, of which the first starts at low.
// They ascend: a bound is a difference above zero.
func unpackRanges(b []byte, low Time) ([]RangeDigest, error) {
	// A range is 16 bytes in memory and may be two of b: count before making any.
	n, count := 0, rangeReader{buf: b, low: low}
	for _, ok := count.next(); ok; _, ok = count.next() {
		n++
	}
	if count.err != nil {
		return nil, count.err
	}
	if n > RangesMax {
		return nil, fmt.Errorf("%w: %d ranges, at most %d", ErrTooLarge, n, RangesMax)
	}
	if n == 0 {
		return nil, nil
	}
	ranges, r := make([]RangeDigest, n), rangeReader{buf: b, low: low}
	for i := range ranges {
		ranges[i], _ = r.next()
	}
	return ranges, nil
}

// appendKeyed packs keyed short IDs into one field.
func appendKeyed(dst []byte, num int, ids []uint64) []byte {
	if len(ids) == 0 {
		return dst
	}
	dst = protowire.AppendVarint(append(dst, byte(num<<3|typeBytes)), uint64(len(ids)*keyedBytes))
	for _, id := range ids {
		dst = appendUint48(dst, id)
	}
	return dst
}

// keyed unpacks keyed short IDs, of which there may be room more.
func (r *messageReader) keyed(room int) []uint64 {
	b := r.packed(keyedBytes, room)
	if len(b) == 0 {
		return nil
	}
	ids := make([]uint64, len(b)/keyedBytes)
	for i := range ids {
		ids[i] = uint48(b[i*keyedBytes:])
	}
	return ids
}

// appendIDs packs short IDs into one field.
func appendIDs(dst []byte, num int, ids []ShortID) []byte {
	if len(ids) == 0 {
		return dst
	}
	dst = protowire.AppendVarint(append(dst, byte(num<<3|typeBytes)), uint64(len(ids)*len(ids[0])))
	for i := range ids {
		dst = append(dst, ids[i][:]...)
	}
	return dst
}

// ids unpacks short IDs.
func (r *messageReader) ids() []ShortID {
	b := r.packed(len(ShortID{}), ShortIDsMax)
	if len(b) == 0 {
		return nil
	}
	ids := make([]ShortID, len(b)/len(ShortID{}))
	for i := range ids {
		ids[i] = ShortID(b[i*len(ids[i]):])
	}
	return ids
}

// packed returns the content of a list of elements of size bytes each, of
// which there may be room; nothing if it is none.
func (r *messageReader) packed(size, room int) []byte {
	b := r.bytes()
	if len(b)%size != 0 {
		r.mistake(fmt.Errorf("%w: elements of %d bytes in %d", ErrFormat, size, len(b)))
		return nil
	}
	if len(b)/size > room {
		r.mistake(fmt.Errorf("%w: over %d short IDs", ErrTooLarge, ShortIDsMax))
		return nil
	}
	return b
}

// bitmap returns a copy of a bitmap of ranges, in the memory of an earlier one
// of the same message: a field that comes again and again costs nothing.
func (r *messageReader) bitmap(earlier []byte) []byte {
	b := r.bytes()
	if len(b) > RangesMax/8 {
		r.mistake(fmt.Errorf("%w: bitmap of %d bytes, at most %d", ErrTooLarge, len(b), RangesMax/8))
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	return append(earlier[:0], b...)
}

func appendUint48(dst []byte, v uint64) []byte {
	return append(dst, byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// uint48 reads the first 6 bytes of b.
func uint48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}
