package wire

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawExchange draws a message of an exchange.
func drawExchange(t *rapid.T, kind int, topic string) Message {
	u32, u64, yes := rapid.Uint32(), rapid.Uint64(), rapid.Bool()
	bitmap := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, RangesMax/8), nonEmpty[byte])
	keyed := rapid.Map(rapid.SliceOfN(rapid.Uint64Range(0, keyedMax), 0, 40), nonEmpty[uint64])
	session := u32.Draw(t, "session")
	switch kind {
	case kindOpen:
		m := &Open{
			Session: session, Topic: topic, Nonce: u64.Draw(t, "nonce"), Floor: Time(rapid.Int64().Draw(t, "floor")),
			Cut: Time(rapid.Int64().Draw(t, "cut")), Expect: u32.Draw(t, "expect"), Plain: yes.Draw(t, "plain"),
		}
		m.Ranges = drawRanges(t, m.Floor)
		return m
	case kindAnswer:
		m := &Answer{
			Session: session, Nonce: u64.Draw(t, "nonce"), Coded: bitmap.Draw(t, "coded"),
			Empty: bitmap.Draw(t, "empty"), Offered: bitmap.Draw(t, "offered"), More: yes.Draw(t, "more"),
			Finer: drawRanges(t, Time(rapid.Int64().Draw(t, "low"))),
		}
		for range rapid.IntRange(0, 10).Draw(t, "plain") {
			index := rapid.Uint32Range(0, RangesMax-1).Draw(t, "index")
			m.Plain = append(m.Plain, RangeIDs{index, keyed.Draw(t, "ids")})
		}
		return m
	case kindCells:
		m := &Cells{Session: session, Items: u32.Draw(t, "items"), Start: u32.Draw(t, "start")}
		for range min(rapid.IntRange(0, 40).Draw(t, "symbols"), int(math.MaxUint32-m.Start)) {
			m.Symbols = append(m.Symbols, Symbol{
				rapid.Uint64Range(0, keyedMax).Draw(t, "sum"), rapid.Uint32Range(0, checkMax).Draw(t, "check"),
				rapid.Int32().Draw(t, "count"),
			})
		}
		return m
	case kindMore:
		return &More{session, u32.Draw(t, "upto"), bitmap.Draw(t, "stale")}
	default:
		return &Resolve{session, keyed.Draw(t, "short"), yes.Draw(t, "done")}
	}
}

// drawRanges draws ranges from low on, some bounds with zero digits at the end.
func drawRanges(t *rapid.T, low Time) (ranges []RangeDigest) {
	for range rapid.IntRange(0, 40).Draw(t, "ranges") {
		r := RangeDigest{Low: low, Count: rapid.Uint32().Draw(t, "count")}
		if r.Count > 0 {
			r.Digest = rapid.Uint32().Draw(t, "digest")
		}
		ranges = append(ranges, r)
		step := rapid.Uint64Range(1, 1<<63).Draw(t, "step") << rapid.IntRange(0, 63).Draw(t, "shift")
		if step == 0 || step > uint64(math.MaxInt64)-uint64(low) {
			break
		}
		low += Time(step)
	}
	return ranges
}

// requiredFields returns what a message of the kind cannot be without.
func requiredFields(kind int) []byte {
	switch author := make([]byte, 32); kind {
	case kindWant:
		return appendBytes(appendString(nil, 2, "a"), 3, author)
	case kindWantIDs, kindOpen:
		return appendString(nil, 2, "a")
	case kindOffer, kindTrimmed, kindHave, kindLink, kindContact, kindRumors, kindFeedback, kindShuffle:
		return appendString(nil, 1, "a")
	case kindGraft, kindPrune, kindRefuse:
		return appendBytes(appendString(nil, 1, "a"), 2, author)
	case kindPart:
		return appendBytes(appendUint(appendBytes(nil, 1, author), 2, 9), 4, []byte{1})
	}
	return nil
}

func TestPartsMustLieInTheirBatch(t *testing.T) {
	for _, c := range []struct {
		name string
		part Part
		want error
	}{
		{"the whole", Part{Size: 3, Data: make([]byte, 3)}, nil},
		{"the end", Part{Size: BatchMaxBytes, Offset: BatchMaxBytes - 1, Data: make([]byte, 1)}, nil},
		{"the largest", Part{Size: PartMaxBytes, Data: make([]byte, PartMaxBytes)}, nil},
		{"nothing", Part{Size: 3}, ErrFormat},
		{"one byte too many", Part{Size: 3, Offset: 1, Data: make([]byte, 3)}, ErrFormat},
		{"an offset that wraps", Part{Size: 3, Offset: math.MaxUint32, Data: make([]byte, 3)}, ErrFormat},
		{"more than a part", Part{Size: 1 << 20, Data: make([]byte, PartMaxBytes+1)}, ErrTooLarge},
		{"more than a batch", Part{Size: BatchMaxBytes + 1, Data: make([]byte, 1)}, ErrTooLarge},
	} {
		messages, err := parseFrame(AppendMessage(nil, &c.part))
		if !errors.Is(err, c.want) || err == nil && !reflect.DeepEqual(messages, []Message{&c.part}) {
			t.Errorf("%s: %v, %v", c.name, messages, err)
		}
	}
	noID := appendKind(nil, kindPart, appendBytes(appendUint(nil, 2, 9), 4, []byte{1}))
	if _, err := parseFrame(noID); !errors.Is(err, ErrFormat) {
		t.Errorf("no ID: %v", err)
	}
}

func TestOnlyPushesAndPartsAliasTheFrame(t *testing.T) {
	for _, m := range sampleMessages(t) {
		frame := AppendMessage(nil, m)
		got, err := parseFrame(frame)
		if err != nil {
			t.Fatal(err)
		}
		if part, ok := got[0].(*Part); ok {
			if !bytes.Contains(frame, part.Data) || cap(part.Data) != len(part.Data) {
				t.Error("a part's data can be appended to in the frame")
			}
			frame[len(frame)-1] ^= 0xff
			if part.Data[len(part.Data)-1] != frame[len(frame)-1] {
				t.Error("a part's data is a copy")
			}
			continue
		}
		switch m.(type) {
		case *Push, *ShortPush:
			continue
		}
		clear(frame)
		if !reflect.DeepEqual(got[0], m) {
			t.Errorf("%T changed with its frame", m)
		}
	}
}

func TestFieldsMayComeInAnyOrder(t *testing.T) {
	for _, m := range sampleMessages(t) {
		switch m.(type) {
		case *Open, *Answer, *Cells: // whose packed forms depend on other fields
		default:
			continue
		}
		content := appendContent(nil, m)
		var reversed []byte
		for fs, f := (fields{buf: content}), (field{}); ; {
			at := fs.pos
			if !fs.next(&f) {
				break
			}
			reversed = append(bytes.Clone(content[at:fs.pos]), reversed...)
		}
		got, err := parseFrame(appendKind(nil, kindOf(m), reversed))
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if a, ok := got[0].(*Answer); ok { // a list comes in the order of its fields
			a.Plain[0], a.Plain[1] = a.Plain[1], a.Plain[0]
		}
		if !reflect.DeepEqual(got[0], m) {
			t.Errorf("got %+v\nwant %+v", got[0], m)
		}
	}
}

// fullMessages returns messages of repair at their limits, each element as long as can be.
func fullMessages() []Message {
	topic := strings.Repeat("a", TopicMax)
	ids, bits := make([]ShortID, ShortIDsMax), bytes.Repeat([]byte{0xff}, RangesMax/8)
	far := Mark{math.MaxUint64, math.MaxUint64}
	resumes := make([]Resume, ResumesMax)
	for i := range resumes {
		resumes[i].Offset = BatchMaxBytes
	}
	ranges := make([]RangeDigest, RangesMax)
	for i := range ranges {
		ranges[i] = RangeDigest{Time(math.MinInt64) + Time(i)*(1<<54-1), math.MaxUint32, math.MaxUint32}
	}
	answer := &Answer{
		Session: math.MaxUint32, Nonce: 1, Coded: bits, Empty: bits, Offered: bits, Finer: ranges,
		Plain: make([]RangeIDs, RangesMax), More: true,
	}
	for i := range answer.Plain {
		answer.Plain[i] = RangeIDs{RangesMax - 1, make([]uint64, ShortIDsMax/RangesMax)}
	}
	cells := &Cells{Session: math.MaxUint32, Items: math.MaxUint32, Symbols: make([]Symbol, SymbolsMax)}
	for i := range cells.Symbols {
		cells.Symbols[i].Count = math.MinInt32
	}
	marks, nodes := make([]AuthorMark, EntriesMax), make([]TopicDigest, EntriesMax)
	for i := range marks {
		marks[i].Mark, nodes[i] = far, TopicDigest{1, 16, 1, math.MaxUint32}
	}
	records := slices.Repeat([]Record{{Peer: rsaPeer, Signed: make([]byte, RecordMaxBytes)}}, RecordsMax)
	return []Message{
		&Shuffle{topic, true, true, records},
		&Want{math.MaxUint32, topic, Author{}, far, far, math.MaxUint32, resumes},
		&WantIDs{math.MaxUint32, topic, ids, math.MaxUint32, resumes},
		&Part{Size: BatchMaxBytes, Offset: BatchMaxBytes - PartMaxBytes, Data: make([]byte, PartMaxBytes)},
		&TopicDigests{1, 1, nodes},
		&Open{math.MaxUint32, topic, 1, math.MinInt64, 1, math.MaxUint32, true, ranges},
		answer, cells,
		&More{math.MaxUint32, math.MaxUint32, bits},
		&Resolve{math.MaxUint32, make([]uint64, ShortIDsMax), true},
		&Offer{topic, ids},
		&Trimmed{topic, marks},
	}
}

func TestMessagesOfRepairAtTheirLimitsFitAFrame(t *testing.T) {
	for _, m := range fullMessages() {
		frame := AppendMessage(nil, m)
		if len(frame) > ControlFrameMaxBytes {
			t.Errorf("%T: frame of %d bytes", m, len(frame))
		}
		got, err := parseFrame(frame)
		if err != nil || !reflect.DeepEqual(got, []Message{m}) {
			t.Errorf("%T at its limits: %v", m, err)
		}
	}
}

func TestListsOfRepairOverTheirLimitsAreRefused(t *testing.T) {
	records := slices.Repeat([]Record{{Peer: rsaPeer, Signed: []byte{1}}}, RecordsMax+1)
	answer := &Answer{Plain: []RangeIDs{{0, make([]uint64, ShortIDsMax)}, {1, make([]uint64, 1)}}}
	for name, m := range map[string]Message{
		"short IDs of all ranges": answer,
		"ranges of short IDs":     &Answer{Plain: make([]RangeIDs, RangesMax+1)},
		"resumes":                 &Want{Topic: "a", Resume: make([]Resume, ResumesMax+1)},
		"resumes by ID":           &WantIDs{Topic: "a", Resume: make([]Resume, ResumesMax+1)},
		"records":                 &Shuffle{Topic: "a", Records: records},
		"marks":                   &Trimmed{Topic: "a", Marks: make([]AuthorMark, EntriesMax+1)},
	} {
		if _, err := parseFrame(AppendMessage(nil, m)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	beyond := &Cells{Start: math.MaxUint32 - 1, Symbols: make([]Symbol, 2)}
	if _, err := parseFrame(AppendMessage(nil, beyond)); !errors.Is(err, ErrFormat) {
		t.Errorf("a symbol beyond any Upto: %v", err)
	}
}
