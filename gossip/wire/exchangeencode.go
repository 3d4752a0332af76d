package wire

import "encoding/binary"

// The writers of the messages of an exchange, but for the packed forms of their
// lists: packed.go and symbol.go.

const finerLowBytes = 8 // of the first Low of an Answer's finer ranges, big endian

func appendOpen(dst []byte, m *Open) []byte {
	dst = appendUint(dst, 1, uint64(m.Session))
	dst = appendString(dst, 2, m.Topic)
	dst = appendFixed(dst, 3, m.Nonce)
	dst = appendTime(dst, 4, m.Floor)
	dst = appendTime(dst, 5, m.Cut)
	dst = appendUint(dst, 6, uint64(m.Expect))
	dst = appendBool(dst, 7, m.Plain)
	if len(m.Ranges) == 0 {
		return dst
	}
	dst = beginNested(dst, 8)
	start := len(dst)
	dst = packRanges(dst, m.Ranges)
	return endNested(dst, start)
}

func appendAnswer(dst []byte, m *Answer) []byte {
	dst = appendUint(dst, 1, uint64(m.Session))
	dst = appendFixed(dst, 2, m.Nonce)
	dst = appendBitmap(dst, 3, m.Coded)
	dst = appendBitmap(dst, 4, m.Empty)
	dst = appendBitmap(dst, 5, m.Offered)
	for i := range m.Plain {
		dst = beginNested(dst, 6)
		start := len(dst)
		dst = appendUint(dst, 1, uint64(m.Plain[i].Index))
		dst = appendKeyed(dst, 2, m.Plain[i].IDs)
		dst = endNested(dst, start)
	}
	if len(m.Finer) > 0 {
		dst = beginNested(dst, 7)
		start := len(dst)
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.Finer[0].Low))
		dst = packRanges(dst, m.Finer)
		dst = endNested(dst, start)
	}
	return appendBool(dst, 8, m.More)
}

func appendCells(dst []byte, m *Cells) []byte {
	dst = appendUint(dst, 1, uint64(m.Session))
	dst = appendUint(dst, 2, uint64(m.Items))
	dst = appendUint(dst, 3, uint64(m.Start))
	return appendSymbols(dst, 4, m)
}

// appendBitmap appends a bitmap of ranges as it is, and none if it is empty.
func appendBitmap(dst []byte, num int, bits []byte) []byte {
	if len(bits) == 0 {
		return dst
	}
	return appendBytes(dst, num, bits)
}
