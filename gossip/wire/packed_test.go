package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// openRanges divides [floor, cut) as an Open does: at each digit towards the
// cut, then the widest range, at most limit ranges. Batches come ten a second.
func openRanges(floor, cut Time, limit int) []RangeDigest {
	lows, shifts := []Time{floor}, []int{44}
	end := func(i int) Time { return append(lows[:len(lows):len(lows)], cut)[i+1] }
	split := func(i int) bool {
		var parts []Time
		step := Time(1) << shifts[i]
		for at := (lows[i] + step) &^ (step - 1); at < end(i); at += step {
			parts = append(parts, at)
		}
		shift := shifts[i] - 4
		if shift < 0 || len(lows)+len(parts) > limit {
			return false
		}
		lows = append(lows[:i+1:i+1], append(parts, lows[i+1:]...)...)
		rest := append([]int(nil), shifts[i+1:]...)
		for shifts = append(shifts[:i], shift); len(shifts) <= i+len(parts); {
			shifts = append(shifts, shift)
		}
		shifts = append(shifts, rest...)
		return true
	}
	for i := 0; end(i)-lows[i] > 3e9 && split(i); i = len(lows) - 1 {
	}
	for again := true; again; {
		again = false
		for i := 0; i < len(lows) && !again; i++ {
			again = end(i)-lows[i] > 400e9 && split(i)
		}
	}
	ranges := make([]RangeDigest, len(lows))
	for i := range lows {
		ranges[i] = RangeDigest{lows[i], uint32((end(i) - lows[i]) / 1e8), uint32(i)<<24 + 1}
	}
	return ranges
}

func TestAnOpenOverAMillionBatchesIsSmall(t *testing.T) {
	const day = Time(24 * 3600e9)
	worst, fewest := 0, RangesMax
	for i := range Time(500) {
		cut := testBase + i*i*1_234_567_891
		floor := cut - 100_000e9 // ten a second: 10^6
		m := &Open{
			Session: 70_000, Topic: "orders.eu", Nonce: 1 << 63, Floor: floor + i*day/500, Cut: cut + i*day/500, Expect: 1000,
			Ranges: openRanges(floor+i*day/500, cut+i*day/500, 46),
		}
		whole, ranges := len(AppendMessage(nil, m)), len(packRanges(nil, m.Ranges))
		if ranges > 420 || whole > 480 {
			t.Errorf("%d ranges take %d bytes, the Open %d", len(m.Ranges), ranges, whole)
		}
		worst, fewest = max(worst, whole), min(fewest, len(m.Ranges))
	}
	if fewest < 31 {
		t.Errorf("only %d ranges", fewest)
	}
	t.Logf("%d to 46 ranges, an Open of at most %d bytes", fewest, worst)
}

func TestASymbolTakesTenBytes(t *testing.T) {
	m := honestCells(2000, SymbolsMax)
	frame := AppendMessage(nil, m)
	if perSymbol := float64(len(frame)) / SymbolsMax; perSymbol > 10.05 {
		t.Errorf("%.3f bytes a symbol", perSymbol)
	}
	got, err := parseFrame(frame)
	if err != nil || !reflect.DeepEqual(got, []Message{m}) {
		t.Errorf("came back otherwise: %v", err)
	}
}

// honestCells returns n symbols of items, whose counts vary as much as they
// do by chance: p = 2/(2+i) is the probability that an item is in symbol i.
func honestCells(items, n int) *Cells {
	m := &Cells{Session: 1, Items: uint32(items)}
	for i := range n {
		p := 2 / float64(2+i)
		deviation := math.Sin(float64(i)) * math.Sqrt2 * math.Sqrt(float64(items)*p*(1-p))
		m.Symbols = append(m.Symbols, Symbol{
			uint64(i) * 0x9e3779b97f4a7c15 & keyedMax, uint32(i) * 0x9e3779b9 & checkMax,
			int32(float64(items)*p + deviation),
		})
	}
	return m
}

func TestTheExpectedCountOfASymbol(t *testing.T) {
	for _, c := range []struct {
		items uint32
		index uint64
		want  int64
	}{
		{0, 0, 0},
		{1000, 0, 1000},
		{1000, 1, 666},
		{1000, 2, 500},
		{1000, 1998, 1},
		{1000, 1999, 0},
		{math.MaxUint32, 0, math.MaxUint32},
		{math.MaxUint32, math.MaxUint32, 1},
	} {
		if got := expectedCount(c.items, c.index); got != c.want {
			t.Errorf("%d items, symbol %d: %d, want %d", c.items, c.index, got, c.want)
		}
	}
}

func TestPackedBounds(t *testing.T) {
	for difference, want := range map[uint64]string{
		1:                  "\x10",
		15:                 "\xf0\x01",
		16:                 "\x11",
		1 << 40:            "\x1a",
		3 << 36:            "\x39",
		0x1800 << 32:       "\x8a\x03", // 0x18 and 10 digits
		boundShortMax:      "\xf0\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		boundShortMax << 4: "\xf1\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		1 << 60:            "\x1f",
		1<<60 + 1:          "\x00\x10\x00\x00\x00\x00\x00\x00\x01",
	} {
		if got := packBound(nil, difference); string(got) != want {
			t.Errorf("%x: packed as %x, want %x", difference, got, want)
		}
		r := rangeReader{buf: []byte(want), low: math.MinInt64}
		if !r.bound() || uint64(r.low)-1<<63 != difference {
			t.Errorf("%x: read as %x: %v", want, uint64(r.low)-1<<63, r.err)
		}
	}
}

func TestTheSpecificationsPackedExamples(t *testing.T) {
	ranges := packRanges(nil, []RangeDigest{{0, 1, 0xaabbccdd}, {3 << 36, 0, 0}, {3<<36 + 1, 200, 1}})
	symbols := appendSymbols(nil, 4, &Cells{Items: 1000, Start: 2, Symbols: []Symbol{{1, 2, 500}, {3, 4, 463}}})
	text, _, _ := splitSpec(t)
	for want, packed := range map[string][]byte{
		"01 aabbccdd   39 00   10 c801 00000001":          ranges,
		"000000000001 000002 00   000000000003 000004 7e": symbols[2:],
	} {
		if got := fmt.Sprintf("%x", packed); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("packed as %s, want %s", got, want)
		}
		if !strings.Contains(text, "    "+want+"\n") {
			t.Errorf("%s does not say %s", specFile, want)
		}
	}
}

func TestPackedFormsAreRefused(t *testing.T) {
	finer := func(low Time, packed string) []byte {
		return append(binary.BigEndian.AppendUint64(nil, uint64(low)), packed...)
	}
	manyRanges := "\x00" + strings.Repeat("\x10\x00", RangesMax)
	symbol := strings.Repeat("\x01", 10)
	endless := strings.Repeat("\xff", 9) + "\x01"
	for _, c := range []struct {
		name  string
		kind  int
		num   protowire.Number
		bytes []byte
		want  error
	}{
		{"a count over 32 bits", kindOpen, 8, []byte("\x80\x80\x80\x80\x10"), ErrFormat},
		{"a count cut off", kindOpen, 8, []byte("\x80"), ErrFormat},
		{"a digest cut off", kindOpen, 8, []byte("\x01\x02\x03\x04"), ErrFormat},
		{"a bound without a count", kindOpen, 8, []byte("\x00\x10"), ErrFormat},
		{"a bound cut off", kindOpen, 8, []byte("\x00\x80"), ErrFormat},
		{"a long bound cut off", kindOpen, 8, []byte("\x00\x00\x10\x00\x00\x00\x00\x00\x00"), ErrFormat},
		{"ranges that stay where they are", kindOpen, 8, []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), ErrFormat},
		{"zero with zero digits", kindOpen, 8, []byte("\x00\x05\x00"), ErrFormat},
		{"a zero digit in a bound", kindOpen, 8, []byte("\x00\x80\x02\x00"), ErrFormat},
		{"a short bound in the long form", kindOpen, 8, []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"), ErrFormat},
		{"zero digits in the long form", kindOpen, 8, []byte("\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00"), ErrFormat},
		{"a bound over 64 bits", kindOpen, 8, []byte("\x00\xaf\x02\x00"), ErrFormat},
		{"a bound at 2^63", kindOpen, 8, []byte("\x00\x8f\x01\x00"), ErrFormat},
		{"ranges that descend", kindAnswer, 7, finer(5, "\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"), ErrFormat},
		{"finer ranges that overflow", kindAnswer, 7, finer(math.MaxInt64-15, "\x00\x11\x00"), ErrFormat},
		{"finer ranges without one", kindAnswer, 7, finer(1, ""), ErrFormat},
		{"finer ranges without a low", kindAnswer, 7, []byte("\x01"), ErrFormat},
		{"too many ranges", kindOpen, 8, []byte(manyRanges), ErrTooLarge},
		{"too many finer ranges", kindAnswer, 7, finer(0, manyRanges), ErrTooLarge},
		{"a long bitmap", kindAnswer, 3, make([]byte, RangesMax/8+1), ErrTooLarge},
		{"a long bitmap of stale ranges", kindMore, 3, make([]byte, RangesMax/8+1), ErrTooLarge},
		{"a range index beyond any Open", kindAnswer, 6, []byte{8, 0x80, 4}, ErrFormat},
		{"keyed short IDs of 5 bytes", kindAnswer, 6, []byte{0x12, 5, 1, 2, 3, 4, 5}, ErrFormat},
		{"keyed short IDs of 7 bytes", kindResolve, 2, make([]byte, 7), ErrFormat},
		{"too many keyed short IDs", kindResolve, 2, make([]byte, 6*(ShortIDsMax+1)), ErrTooLarge},
		{"short IDs of 15 bytes", kindOffer, 2, make([]byte, 15), ErrFormat},
		{"too many short IDs", kindOffer, 2, make([]byte, 16*(ShortIDsMax+1)), ErrTooLarge},
		{"too many wanted", kindWantIDs, 3, make([]byte, 16*(ShortIDsMax+1)), ErrTooLarge},
		{"a symbol cut off", kindCells, 4, []byte(symbol + symbol[1:]), ErrFormat},
		{"a symbol whose count is cut off", kindCells, 4, []byte(symbol[1:] + "\x80"), ErrFormat},
		{"a symbol's count over 31 bits", kindCells, 4, []byte(symbol[1:] + "\x80\x80\x80\x80\x10"), ErrFormat},
		{"a symbol's count under 31 bits", kindCells, 4, []byte(symbol[1:] + "\x81\x80\x80\x80\x10"), ErrFormat},
		{"a symbol's count of 64 bits", kindCells, 4, []byte(symbol[1:] + endless), ErrFormat},
		{"too many symbols", kindCells, 4, []byte(strings.Repeat(symbol, SymbolsMax+1)), ErrTooLarge},
		{"a resume without ID", kindWant, 9, []byte{0x10, 1}, ErrFormat},
		{"a resume of a short ID", kindWantIDs, 5, []byte{0x0a, 2, 1, 2}, ErrFormat},
		{"a resume beyond any batch", kindWant, 9, append([]byte{0x0a, 16, 15: 0, 17: 0},
			0x10, 0xff, 0xff, 0xff, 0x7f), ErrTooLarge},
		{"a trimmed author of 31 bytes", kindTrimmed, 2, append([]byte{0x0a, 31}, make([]byte, 31)...), ErrFormat},
		{"rumors of 16 bytes", kindContact, 3, make([]byte, 16), ErrFormat},
		{"half a rumor", kindRumors, 3, make([]byte, 17+9), ErrFormat},
		{"too many rumors", kindContact, 3, make([]byte, 17*(EntriesMax+1)), ErrTooLarge},
		{"feedback of 17 bytes", kindFeedback, 2, make([]byte, 17), ErrFormat},
		{"too much feedback", kindFeedback, 2, make([]byte, 18*(EntriesMax+1)), ErrTooLarge},
		{"a trimmed mark without author", kindTrimmed, 2, []byte{0x10, 1}, ErrFormat},
	} {
		content := protowire.AppendBytes(protowire.AppendTag(nil, c.num, protowire.BytesType), c.bytes)
		content = append(content, requiredFields(c.kind)...)
		if _, err := parseFrame(appendKind(nil, c.kind, content)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
