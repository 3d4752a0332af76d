package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The packed form of coded symbols, of which an exchange mostly consists.
//
//	┌─────┬───────┬────────────────────────────────────┬─────┬───────┬─────
//	│ sum │ check │ count − expected                   │ sum │ check │ …
//	└─────┴───────┴────────────────────────────────────┴─────┴───────┴─────
//	 6      3       zigzag uvarint, mostly one byte
const (
	symbolCheckBytes = 3
	symbolMinBytes   = keyedBytes + symbolCheckBytes + 1
	checkMax         = 1<<24 - 1
)

// expectedCount is the number of items that symbol i has on average, of items
// in all: an item takes part in it with probability 1/(1+i/2). Rounded down, in
// integers, for both sides must get the same.
func expectedCount(items uint32, i uint64) int64 {
	return int64(2 * uint64(items) / (2 + i))
}

// appendSymbols packs the symbols of m into one field.
func appendSymbols(dst []byte, num int, m *Cells) []byte {
	if len(m.Symbols) == 0 {
		return dst
	}
	dst = slices.Grow(dst, len(m.Symbols)*(symbolMinBytes+1))
	dst = beginNested(dst, num)
	start := len(dst)
	for i := range m.Symbols {
		s := &m.Symbols[i]
		dst = appendUint48(dst, s.Sum)
		dst = append(dst, byte(s.Check>>16), byte(s.Check>>8), byte(s.Check))
		excess := int64(s.Count) - expectedCount(m.Items, uint64(m.Start)+uint64(i))
		dst = protowire.AppendVarint(dst, zigzag(excess))
	}
	return endNested(dst, start)
}

// unpackSymbols returns the symbols packed in b, of a flight that starts at start.
func unpackSymbols(b []byte, items, start uint32) ([]Symbol, error) {
	if len(b) == 0 {
		return nil, nil
	}
	// A symbol is at least 10 bytes of b and 16 in memory.
	symbols := make([]Symbol, 0, min(len(b)/symbolMinBytes, SymbolsMax))
	for pos := 0; pos < len(b); {
		n := len(symbols)
		if n == SymbolsMax {
			return nil, fmt.Errorf("%w: over %d symbols", ErrTooLarge, SymbolsMax)
		}
		if len(b)-pos < symbolMinBytes {
			return nil, fmt.Errorf("%w: symbol %d cut off", ErrFormat, n)
		}
		index := uint64(start) + uint64(n)
		if index >= math.MaxUint32 {
			return nil, fmt.Errorf("%w: index of symbol %d exceeds 32 bits", ErrFormat, n)
		}
		packed, next := uvarint(b, pos+keyedBytes+symbolCheckBytes)
		if next < 0 {
			return nil, fmt.Errorf("%w: count of symbol %d", ErrFormat, n)
		}
		excess, expected := unzigzag(packed), expectedCount(items, index)
		if excess < math.MinInt32-expected || excess > math.MaxInt32-expected {
			return nil, fmt.Errorf("%w: count of symbol %d exceeds 32 bits", ErrFormat, n)
		}
		symbols = append(symbols, Symbol{
			Sum:   uint48(b[pos:]),
			Check: binary.BigEndian.Uint32(b[pos+keyedBytes-1:]) & checkMax, // the sum's last byte comes off
			Count: int32(excess + expected),
		})
		pos = next
	}
	return symbols, nil
}
