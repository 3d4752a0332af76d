package wire

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types of Protocol Buffers. Groups are not used and refused.
const (
	typeVarint  = 0
	typeFixed64 = 1
	typeBytes   = 2
	typeFixed32 = 5
)

// fieldNumberMax is the highest field number of Protocol Buffers.
const fieldNumberMax = 1<<29 - 1

// field is one field of a message: val holds a number, data the bytes of a
// length-delimited field. data aliases the message and cannot be appended to.
type field struct {
	num  uint32
	typ  uint8
	val  uint64
	data []byte
}

// fields walks the fields of a message. The first mistake ends it and stays
// in err, with the place where it is.
type fields struct {
	buf []byte
	pos int
	err error
}

// next reads the next field into f. It returns false at the end and at a mistake.
func (fs *fields) next(f *field) bool {
	if fs.pos == len(fs.buf) || fs.err != nil {
		return false
	}
	tag, pos := uvarint(fs.buf, fs.pos)
	if pos < 0 || tag>>3 == 0 || tag>>3 > fieldNumberMax {
		return fs.fail("field number")
	}
	f.num, f.typ, f.val, f.data = uint32(tag>>3), uint8(tag&7), 0, nil
	switch f.typ {
	case typeVarint:
		if f.val, pos = uvarint(fs.buf, pos); pos < 0 {
			return fs.fail("varint")
		}
	case typeBytes:
		var n uint64
		if n, pos = uvarint(fs.buf, pos); pos < 0 || n > uint64(len(fs.buf)-pos) {
			return fs.fail("length")
		}
		end := pos + int(n)
		f.data = fs.buf[pos:end:end]
		pos = end
	case typeFixed64:
		if len(fs.buf)-pos < 8 {
			return fs.fail("64-bit number cut off")
		}
		f.val = binary.LittleEndian.Uint64(fs.buf[pos:])
		pos += 8
	case typeFixed32:
		if len(fs.buf)-pos < 4 {
			return fs.fail("32-bit number cut off")
		}
		f.val = uint64(binary.LittleEndian.Uint32(fs.buf[pos:]))
		pos += 4
	default:
		return fs.fail("wire type")
	}
	fs.pos = pos
	return true
}

// fail notes a mistake in the field that starts at pos.
func (fs *fields) fail(what string) bool {
	fs.err = fmt.Errorf("%w: %s at byte %d", ErrFormat, what, fs.pos)
	return false
}

// uvarint reads a varint at pos and returns the place after it, or -1 if it is
// cut off or exceeds 64 bits.
func uvarint(b []byte, pos int) (v uint64, next int) {
	for shift := uint(0); pos < len(b); shift += 7 {
		c := b[pos]
		pos++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, -1
			}
			return v | uint64(c)<<shift, pos
		}
		if shift == 63 {
			return 0, -1
		}
		v |= uint64(c&0x7f) << shift
	}
	return 0, -1
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// The append functions below leave out what is zero, as proto3 does. Field
// numbers are below 16, so that a tag is one byte.

func appendUint(dst []byte, num int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(append(dst, byte(num<<3|typeVarint)), v)
}

func appendBool(dst []byte, num int, v bool) []byte {
	if !v {
		return dst
	}
	return append(dst, byte(num<<3|typeVarint), 1)
}

func appendFixed(dst []byte, num int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(append(dst, byte(num<<3|typeFixed64)), v)
}

func appendTime(dst []byte, num int, t Time) []byte { return appendFixed(dst, num, uint64(t)) }

func appendString(dst []byte, num int, s string) []byte {
	if s == "" {
		return dst
	}
	return appendElement(dst, num, s)
}

// appendElement appends an element of a repeated field, which is kept when empty.
func appendElement(dst []byte, num int, s string) []byte {
	dst = protowire.AppendVarint(append(dst, byte(num<<3|typeBytes)), uint64(len(s)))
	return append(dst, s...)
}

// appendBytes appends a field that is kept when it is empty.
func appendBytes(dst []byte, num int, b []byte) []byte {
	dst = protowire.AppendVarint(append(dst, byte(num<<3|typeBytes)), uint64(len(b)))
	return append(dst, b...)
}

// beginNested appends the tag of a nested message and room for a length of one
// byte. What is appended until endNested(dst, len(dst)) is its content.
func beginNested(dst []byte, num int) []byte {
	dst = protowire.AppendVarint(dst, uint64(num<<3|typeBytes))
	return append(dst, 0)
}

// endNested writes the length of the nested message whose content starts at
// start, and moves the content when the length needs more than one byte.
func endNested(dst []byte, start int) []byte {
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:k-1]...)
	copy(dst[start+k-1:], dst[start:start+n])
	copy(dst[start-1:], length[:k])
	return dst
}
