package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// allocationMax is what parsing a message of n bytes may allocate.
func allocationMax(n int) uint64 { return 4*uint64(n) + 64<<10 }

// parsingAllocates returns the bytes that parsing a frame allocates. What the
// rest of the process allocates meanwhile is counted too, so a figure over the
// limit is measured again: the least of some counts.
func parsingAllocates(frame []byte, limit uint64) uint64 {
	least := uint64(math.MaxUint64)
	for range 10 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for m, err := range ParseFrame(frame) {
			_, _ = m, err
		}
		runtime.ReadMemStats(&after)
		if least = min(least, after.TotalAlloc-before.TotalAlloc); least <= limit {
			break
		}
	}
	return least
}

// checkAllocation fails if parsing any message of the frame allocates too much.
func checkAllocation(t *testing.T, frame []byte) {
	t.Helper()
	if limit := allocationMax(len(frame)); parsingAllocates(frame, limit) <= limit {
		return
	}
	// A frame of many messages may take the constant part of each: one by one.
	var f field
	fs := fields{buf: frame}
	for at := 0; fs.next(&f); at = fs.pos {
		limit := allocationMax(fs.pos - at)
		if n := parsingAllocates(frame[at:fs.pos], limit); n > limit {
			t.Errorf("message of kind %d: %d bytes allocated for %d", f.num, n, fs.pos-at)
		}
	}
}

// hostileContents returns contents of a message that claim more than is there,
// in the field num, or as much as they can.
func hostileContents(num protowire.Number, required []byte) map[string][]byte {
	tag := protowire.AppendTag(nil, num, protowire.BytesType)
	claim := func(n uint64, content ...byte) []byte {
		return append(protowire.AppendVarint(bytes.Clone(tag), n), content...)
	}
	with := func(content []byte) []byte { return claim(uint64(len(content)), content...) }
	fill := func(element []byte) []byte {
		return bytes.Repeat(element, (ControlFrameMaxBytes-len(required))/len(element))
	}
	whole := func(content ...byte) []byte {
		return with(bytes.Repeat(content, (ControlFrameMaxBytes-len(required)-8)/len(content)))
	}
	author := append([]byte{0x0a, 32}, make([]byte, 32)...)
	nested := []byte{}
	for range 200 {
		nested = with(nested)
	}
	return map[string][]byte{
		"a length of 2^62":           claim(1<<62, 1, 2, 3),
		"a length of 2^64-1":         claim(math.MaxUint64),
		"a length of 2^31":           claim(1<<31, 9),
		"a length one too great":     claim(4, 1, 2, 3),
		"a number of 64 bits":        protowire.AppendVarint([]byte{byte(num) << 3}, math.MaxUint64),
		"a number of 32 bits":        protowire.AppendVarint([]byte{byte(num) << 3}, math.MaxUint32),
		"zeros":                      whole(0),
		"ones":                       whole(0xff),
		"smallest ranges":            whole(0x10, 0),
		"ranges of 2^32-1 batches":   whole(0x10, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3, 4),
		"smallest symbols":           whole(1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
		"empty elements":             fill(with(nil)),
		"a thousand empty elements":  bytes.Repeat(with(nil), 1000),
		"elements of a letter":       fill(with([]byte{'a'})),
		"a thousand letters":         bytes.Repeat(with([]byte{'a'}), 1024),
		"elements of a topic":        fill(with([]byte{0x0a, 1, 'a'})),
		"a thousand topics":          bytes.Repeat(with([]byte{0x0a, 2, 'a', 'b'}), 1024),
		"a list within limits":       bytes.Repeat(with(author), 1024),
		"ranges of one short ID":     fill(with([]byte{8, 1, 0x12, 6, 1, 2, 3, 4, 5, 6})),
		"fixed numbers":              fill(binary.BigEndian.AppendUint64([]byte{byte(num)<<3 | 1}, 1)),
		"elements of a nested claim": fill(with(claim(1<<62, 1))),
		"nesting":                    nested,
		"many small bitmaps":         fill(with([]byte{1, 2, 3, 4, 5, 6})),
		"many long bitmaps":          fill(with(bytes.Repeat([]byte{0x55}, 48))),
	}
}

const kindUnknown = 99 // of a newer version

// kinds returns all kinds that a frame may hold, a Push first.
func kinds() (all []int) {
	for kind := kindPush; kind <= kindShortPush; kind++ {
		f := field{num: uint32(kind), typ: typeBytes}
		if m, err := parseMessage(&f); m != nil || err != nil { // empty, it may be malformed
			all = append(all, kind)
		}
	}
	return all
}

func TestParsingAllocatesNoMoreThanIsThere(t *testing.T) {
	for _, kind := range append(kinds(), kindUnknown) {
		required := requiredFields(kind)
		for num := protowire.Number(1); num <= 9; num++ {
			for name, content := range hostileContents(num, required) {
				frame := appendKind(nil, kind, append(bytes.Clone(required), content...))
				limit := allocationMax(len(frame))
				if n := parsingAllocates(frame, limit); n > limit {
					t.Errorf("kind %d, field %d, %s: %d bytes allocated for %d", kind, num, name, n, len(frame))
				}
			}
		}
		claimed := protowire.AppendVarint(protowire.AppendTag(nil, protowire.Number(kind), protowire.BytesType), 1<<62)
		checkAllocation(t, append(claimed, 1))
	}
}

func TestParsingFullMessagesAllocatesInProportion(t *testing.T) {
	messages := append(fullMessages(),
		&Have{Topic: "a", Heads: make([]Head, EntriesMax)},
		&Advance{Heads: advances(EntriesMax)},
		&Topics{Add: entriesOf("ab", EntriesMax), Remove: slicesOf("ab", EntriesMax)},
		&Interest{Add: slicesOf("ab", FiltersMax), Remove: slicesOf("a.b.c.d.e", FiltersMax)},
		&TopicDigests{Nodes: make([]TopicDigest, EntriesMax)},
		&Answer{Plain: make([]RangeIDs, RangesMax)},
		&Contact{Topic: "a", Rumors: make([]Rumor, EntriesMax)},
		&Rumors{Topic: "a", Rumors: make([]Rumor, EntriesMax)},
		&Feedback{Topic: "a", Rumors: make([]RumorFeedback, EntriesMax)},
		&Open{Topic: "a", Ranges: emptyRanges(RangesMax)},
	)
	var all []byte
	for _, m := range messages {
		frame := AppendMessage(nil, m)
		checkAllocation(t, frame)
		all = append(all, frame...)
	}
	checkAllocation(t, all)
}

func TestTheMeasureOfAllocationsMeasures(t *testing.T) {
	frame := AppendMessage(nil, &Have{Topic: "a", Heads: make([]Head, EntriesMax)})
	// A Head is 72 bytes in memory, and the list is made once.
	if n := parsingAllocates(frame, 0); n < 72*EntriesMax || n > 72*EntriesMax+1024 {
		t.Errorf("%d bytes allocated for a message of %d", n, len(frame))
	}
}

// emptyRanges returns n ranges that take two bytes each when packed.
func emptyRanges(n int) []RangeDigest {
	ranges := make([]RangeDigest, n)
	for i := range ranges {
		ranges[i].Low = Time(i) << 40
	}
	return ranges
}

func entriesOf(name string, n int) []TopicEntry {
	list := make([]TopicEntry, n)
	for i := range list {
		list[i].Name = name
	}
	return list
}

func TestParsingAListAllocatesOnce(t *testing.T) {
	for _, c := range []struct {
		message Message
		most    float64
	}{
		{honestCells(1000, SymbolsMax), 2},
		{&Offer{Topic: "a", IDs: make([]ShortID, ShortIDsMax)}, 2}, // names of one byte take none
		{&Resolve{Short: make([]uint64, ShortIDsMax)}, 2},
		{&Open{Topic: "a", Ranges: emptyRanges(46)}, 2},
		{&Part{Size: 9, Data: make([]byte, 9)}, 1},
		{shorten(t, testFollower(t, 9), 1), 1},
		{&Trimmed{Topic: "a", Marks: make([]AuthorMark, EntriesMax)}, 2},
		{&Contact{Topic: "a", Rumors: make([]Rumor, EntriesMax)}, 2},
		{&Feedback{Topic: "a", Rumors: make([]RumorFeedback, EntriesMax)}, 2},
	} {
		frame := AppendMessage(nil, c.message)
		n := testing.AllocsPerRun(10, func() {
			for m, err := range ParseFrame(frame) {
				if m == nil || err != nil {
					t.Errorf("%T: %v", c.message, err)
				}
			}
		})
		if n > c.most {
			t.Errorf("%T: %v allocations", c.message, n)
		}
		buffer := make([]byte, 0, 2*len(frame))
		if n := testing.AllocsPerRun(10, func() { AppendMessage(buffer, c.message) }); n > 0 {
			t.Errorf("%T: %v allocations to append it where there is room", c.message, n)
		}
	}
}

// Benchmarks of the largest flight of symbols, 4,096 over 1,000 items.

func BenchmarkAppendCells(b *testing.B) {
	m := honestCells(1000, SymbolsMax)
	frame := AppendMessage(nil, m)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		frame = AppendMessage(frame[:0], m)
	}
	b.ReportMetric(float64(len(frame))/SymbolsMax, "B/symbol")
}

func BenchmarkParseCells(b *testing.B) {
	frame := AppendMessage(nil, honestCells(1000, SymbolsMax))
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		for m, err := range ParseFrame(frame) {
			if m == nil || err != nil {
				b.Fatal(err)
			}
		}
	}
}

// seedFrames adds frames of each kind to a fuzz test's corpus: sound ones, at
// their limits, and with lists that claim too much.
func seedFrames(f *testing.F) {
	f.Helper()
	var all []byte
	for _, m := range sampleMessages(f) {
		frame := AppendMessage(nil, m)
		f.Add(frame)
		f.Add(frame[:len(frame)-1])
		all = append(all, frame...)
	}
	f.Add(all)
	for _, m := range fullMessages() {
		f.Add(AppendMessage(nil, m))
	}
	for _, kind := range kinds() {
		for num := protowire.Number(1); num <= 9; num++ {
			claim := protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.BytesType), 1<<62)
			f.Add(appendKind(nil, kind, claim))
			list := bytes.Repeat(append([]byte{byte(num)<<3 | 2}, 0), 300)
			f.Add(appendKind(nil, kind, append(requiredFields(kind), list...)))
		}
	}
}

func TestEveryKindHasASample(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range sampleMessages(t) {
		kind, _ := protowire.ConsumeVarint(AppendMessage(nil, m))
		seen[fmt.Sprint(kind>>3)] = true
	}
	if len(seen) != len(kinds()) {
		t.Errorf("samples of %d kinds of %d", len(seen), len(kinds()))
	}
}
