package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// sampleMessages returns a message of each kind with every field in use.
func sampleMessages(t testing.TB) []Message {
	author := testSigner().Author()
	older, newer := Mark{0x18bcfe5680000001, 900}, Mark{0x18bcfe568000002a, 17}
	batch := sealed(t, testHeader(1), AppendEvent(nil, testBase, &Event{Payload: []byte("hello")}))
	return []Message{
		&Push{Batch: batch, Repair: true, Number: 300},
		&Interest{Add: []string{"orders.*", "log.>"}, Remove: []string{"old"}},
		&Topics{Add: []TopicEntry{{"orders.eu", ScopeFull}, {"orders.us", ScopeOwn}}, Remove: []string{"orders.fr"}},
		&Link{Topic: "orders.eu", Up: true},
		&Have{Topic: "orders.eu", Heads: []Head{{author, older, newer, 300}, {Author: author, Head: older}}},
		&Advance{Heads: []AdvancedHead{{300, newer.Seq}, {1, math.MaxUint64}, {math.MaxUint32, 0}}},
		&Graft{Topic: "orders.eu", Author: author},
		&Prune{Topic: "orders.eu", Author: author},
		&Want{
			ID: 7, Topic: "orders.eu", Author: author, After: older, Upto: newer, MaxBytes: 1 << 20,
			Resume: []Resume{{ShortID{0xaa, 1}, 65536}},
		},
		&WantIDs{
			ID: 8, Topic: "orders.eu", IDs: []ShortID{{0xaa, 1}, {0xbb, 2}}, MaxBytes: 65536,
			Resume: []Resume{{ShortID{0xaa, 1}, 65536}, {ID: ShortID{0xbb, 2}}},
		},
		&Served{ID: 8, More: true},
		&Heartbeat{Wall: testBase, Floor: testBase - 3600e9, Cut: testBase - 2e9, Digest: 0x0123456789abcdef},
		&TopicDigests{Floor: testBase - 3600e9, Cut: testBase - 2e9, Nodes: []TopicDigest{
			{Prefix: 0xa << 60, Depth: 1, Digest: 0xfeedfacecafebeef, Topics: 3},
			{Prefix: 0xb123456789abcdef, Depth: 16, Digest: 1, Topics: 1},
		}},
		&Open{
			Session: 9, Topic: "orders.eu", Nonce: 0x1122334455667788, Floor: testBase - 3600e9, Cut: testBase - 2e9,
			Expect: 12, Plain: true, Ranges: sampleRanges(testBase - 3600e9),
		},
		&Answer{
			Session: 9, Nonce: 0x99aabbccddeeff00, Coded: []byte{0x09}, Empty: []byte{0x02}, Offered: []byte{0x04},
			Plain: []RangeIDs{{4, []uint64{0x010203040506, 0xfffffffffffe}}, {5, nil}},
			Finer: sampleRanges(testBase - 3600e9), More: true,
		},
		&Offer{Topic: "orders.eu", IDs: []ShortID{{0xcc, 3}, {0xdd, 4}}},
		&Refuse{Topic: "orders.eu", Author: author, Mark: newer, Reason: ReasonTooOld},
		&Hello{Mine: 0x0102030405060708, Yours: 9},
		&Cells{Session: 9, Items: 1000, Start: 2, Symbols: []Symbol{
			{0x010203040506, 0x070809, 500},     // as expected: 2000/4
			{0xfffefdfcfbfa, 0xf9f8f7, 463},     // 2000/5 and 63 more: one byte
			{0, 0, 333 - 65},                    // 2000/6, and 65 less: two bytes
			{1, 1, -1 << 31}, {2, 2, 1<<31 - 1}, // no honest counts, but of 32 bits
		}},
		&More{Session: 9, Upto: 158, Stale: []byte{0x01, 0x80}},
		&Resolve{Session: 9, Short: []uint64{0x010203040506, 0xfffffffffffe}, Done: true},
		&Part{Batch: batch.ID, Size: uint32(batch.Size()), Offset: 4, Data: batch.Raw[4:12]},
		&Trimmed{Topic: "orders.eu", Marks: []AuthorMark{{author, older}, {Author: author}}},
		&Contact{Topic: "orders.eu", Pull: true, Rumors: []Rumor{{ShortID{0xaa, 1}, 2}, {ID: ShortID{0xbb, 2}}}},
		&Rumors{Topic: "orders.eu", Busy: true, Rumors: []Rumor{{ShortID{0xcc, 3}, 1}}},
		&Feedback{Topic: "orders.eu", Rumors: []RumorFeedback{
			{ID: ShortID{0xaa, 1}, Known: true, Counter: CounterRemoved},
			{ID: ShortID{0xbb, 2}, Need: true},
			{ID: ShortID{0xcc, 3}, Known: true, Need: true, Counter: 1},
			{ID: ShortID{0xdd, 4}},
		}},
		&Shuffle{Topic: "orders.eu", Reply: true, Full: true, Records: []Record{
			{Peer: author.PeerID(), Signed: []byte("envelope")}, {Peer: rsaPeer, Signed: []byte{1}},
		}},
		&Presence{
			Any: true, Cut: testBase, Filters: TagOf("orders.*"), Topics: []TopicTag{{TagOf("orders.eu"), 0x01020304}, {1, 0}},
			Peers: []uint32{author.PeerID().Tag(), 7},
		},
		shorten(t, testFollower(t, 5), 300),
	}
}

// rsaPeer is named by the hash of a key that is too long to stand in the ID itself.
const rsaPeer = PeerID("\x12\x20" + "abcdefghijklmnopqrstuvwxyz012345")

// sampleRanges returns ranges whose bounds take each packed form.
func sampleRanges(low Time) []RangeDigest {
	aligned := (low + 1<<44) &^ (1<<44 - 1)
	return []RangeDigest{
		{low, 300, 0xaabbccdd},
		{aligned, 0, 0}, // from a bound without zero digits to one with 11
		{aligned + 3<<40, 1, 1},
		{aligned + 3<<40 + 1<<36, 1<<32 - 1, 1<<32 - 1},
		{aligned + 3<<40 + 1<<36 + 1, 128, 2}, // a difference of 1
		{1 << 62, 5, 3},
	}
}

// parseFrame returns all messages of a frame.
func parseFrame(frame []byte) (messages []Message, err error) {
	for m, err := range ParseFrame(frame) {
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

func TestMessagesComeBack(t *testing.T) {
	samples := sampleMessages(t)
	var frame []byte
	for _, m := range samples {
		frame = AppendMessage(frame, m)
	}
	got, err := parseFrame(frame)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(samples) {
		t.Fatalf("%d messages, want %d", len(got), len(samples))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], samples[i]) {
			t.Errorf("got %+v\nwant %+v", got[i], samples[i])
		}
	}
}

func TestAPushCanBeWrittenInTwoParts(t *testing.T) {
	for _, repair := range []bool{false, true} {
		for _, size := range []int{1, 100, 200, 20_000, 300_000} {
			b := sealed(t, testHeader(1), AppendEvent(nil, testBase, &Event{Payload: make([]byte, size)}))
			whole := AppendMessage(nil, &Push{Batch: b, Repair: repair})
			parts := append(PushPrefix(nil, b.Size(), repair), b.Raw...)
			if !bytes.Equal(whole, parts) || !bytes.Equal(whole, AppendPush(nil, b.Raw, repair)) {
				t.Errorf("repair %v, payload %d: parts differ from the whole", repair, size)
			}
			messages, err := parseFrame(whole)
			if err != nil || len(messages) != 1 || !reflect.DeepEqual(messages[0], &Push{Batch: b, Repair: repair}) {
				t.Errorf("repair %v, payload %d: %v, %v", repair, size, messages, err)
			}
		}
	}
}

func TestWhatANewerVersionAddsIsSkipped(t *testing.T) {
	frame := AppendMessage(nil, &Served{ID: 1})
	frame = appendKind(frame, 99, []byte("whatever"))
	content := protowire.AppendFixed32(protowire.AppendTag(nil, 500, protowire.Fixed32Type), 4)
	content = appendContent(content, &Served{ID: 2})
	content = protowire.AppendBytes(protowire.AppendTag(content, 9, protowire.BytesType), []byte("x"))
	frame = appendKind(frame, kindServed, content)
	got, err := parseFrame(frame)
	want := []Message{&Served{ID: 1}, nil, &Served{ID: 2}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func appendKind(dst []byte, kind int, content []byte) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(kind), protowire.BytesType)
	return protowire.AppendBytes(dst, content)
}

func TestParseFrameStopsWhenTheCallerDoes(t *testing.T) {
	frame := AppendMessage(AppendMessage(nil, &Served{ID: 1}), &Served{ID: 2})
	n := 0
	for range ParseFrame(frame) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d messages after a break", n)
	}
}

func TestParseFrameRefuses(t *testing.T) {
	author := testSigner().Author()
	message := func(m Message) []byte { return AppendMessage(nil, m) }
	content := func(kind int, b ...byte) []byte { return appendKind(nil, kind, b) }
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"a frame over the limit", make([]byte, FrameMaxBytes+1), ErrTooLarge},
		{"a control message over the limit", content(kindOffer, make([]byte, ControlFrameMaxBytes+1)...), ErrTooLarge},
		{"field number 0", []byte{0x02, 0x00}, ErrFormat},
		{"a message that is a number", []byte{kindServed << 3, 1}, ErrFormat},
		{"a group", []byte{kindServed<<3 | 3, kindServed<<3 | 4}, ErrFormat},
		{"a length beyond the frame", []byte{kindServed<<3 | 2, 0xff, 0xff, 0x7f, 1}, ErrFormat},
		{"a length that overflows", append([]byte{kindServed<<3 | 2}, bytes.Repeat([]byte{0xff}, 10)...), ErrFormat},
		{"a number over 64 bits", content(kindServed, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2), ErrFormat},
		{"an ID over 32 bits", content(kindServed, 8, 255, 255, 255, 255, 255, 1), ErrFormat},
		{"a wrong wire type", content(kindServed, 0x0a, 0), ErrFormat},
		{"a push without batch", content(kindPush), ErrFormat},
		{"a push of nonsense", content(kindPush, 0x12, 1, 7), ErrFormat},
		{"a push with a number as batch", content(kindPush, 0x10, 7), ErrFormat},
		{"no topic", message(&Link{Up: true}), ErrFormat},
		{"an invalid topic", message(&Link{Topic: "a..b"}), ErrTopic},
		{"an invalid topic also as form", message(&Link{Topic: "a..b"}), ErrFormat},
		{"a long topic", message(&Link{Topic: strings.Repeat("a", TopicMax+1)}), ErrTooLarge},
		{"a filter as topic", message(&Link{Topic: "a.*"}), ErrTopic},
		{"an invalid filter", message(&Interest{Add: []string{"a", "b.>.c"}}), ErrFilter},
		{"an empty filter", message(&Interest{Remove: []string{""}}), ErrFilter},
		{"too many filters", message(&Interest{Add: slicesOf("a", FiltersMax+1)}), ErrTooLarge},
		{"too many topics", message(&Topics{Remove: slicesOf("a", EntriesMax+1)}), ErrTooLarge},
		{"a topic entry without name", message(&Topics{Add: []TopicEntry{{}}}), ErrFormat},
		{"too many heads", message(&Have{Topic: "a", Heads: make([]Head, EntriesMax+1)}), ErrTooLarge},
		{"an advance of number 0", content(kindAdvance, 0x0a, 2, 0, 1), ErrFormat},
		{"an advance of half a pair", content(kindAdvance, 0x0a, 1, 1), ErrFormat},
		{"an advance of a pair that is cut off", content(kindAdvance, 0x0a, 2, 1, 0x80), ErrFormat},
		{"an advance of a number of 33 bits", content(kindAdvance, 0x0a, 6, 0x80, 0x80, 0x80, 0x80, 0x10, 1), ErrFormat},
		{"too many advances", message(&Advance{Heads: advances(EntriesMax + 1)}), ErrTooLarge},
		{"a head without author", content(kindHave, 0x0a, 1, 'a', 0x12, 0), ErrFormat},
		{"no author", content(kindGraft, 0x0a, 1, 'a'), ErrFormat},
		{"a short author", content(kindGraft, 0x0a, 1, 'a', 0x12, 1, 1), ErrFormat},
		{"a prefix longer than its depth", message(&TopicDigests{Nodes: []TopicDigest{{Prefix: 1, Depth: 15}}}), ErrFormat},
		{"a depth beyond the hash", message(&TopicDigests{Nodes: []TopicDigest{{Depth: 17}}}), ErrFormat},
		{"a refusal cut off", message(&Refuse{Topic: "a", Author: author})[:20], ErrFormat},
	} {
		if _, err := parseFrame(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func slicesOf(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

func TestMessagesAtTheLimitsAreAccepted(t *testing.T) {
	heads := make([]Head, EntriesMax)
	for _, m := range []Message{
		&Have{Topic: "a", Heads: heads},
		&Interest{Add: slicesOf("a.b", FiltersMax), Remove: slicesOf("a", FiltersMax)},
		&TopicDigests{Nodes: make([]TopicDigest, EntriesMax)},
	} {
		frame := AppendMessage(nil, m)
		if len(frame) > ControlFrameMaxBytes {
			t.Errorf("%T: frame of %d bytes", m, len(frame))
		}
		if _, err := parseFrame(frame); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
}

func TestAMessagesErrorSaysWhere(t *testing.T) {
	frame := AppendMessage(nil, &Served{ID: 1})
	frame = AppendMessage(frame, &Link{Topic: "a..b"})
	_, err := parseFrame(frame)
	want := `frame: message kind 4 at byte 4: field 1: wire: malformed: wire: invalid topic "a..b": empty token at byte 2`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func advances(n int) []AdvancedHead {
	heads := make([]AdvancedHead, n)
	for i := range heads {
		heads[i] = AdvancedHead{1, 1}
	}
	return heads
}

// drawMessage draws a message of any kind but Push.
func drawMessage(t *rapid.T) Message {
	token := rapid.StringMatching(`[a-zé0-9_-]{1,8}`)
	topic := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(token, 1, 4).Draw(t, "tokens"), ".")
	})
	author := rapid.Custom(func(t *rapid.T) (a Author) {
		binary.LittleEndian.PutUint64(a[8:], rapid.Uint64().Draw(t, "author"))
		return a
	})
	mark := rapid.Custom(func(t *rapid.T) Mark {
		return Mark{Epoch(rapid.Uint64().Draw(t, "epoch")), rapid.Uint64().Draw(t, "seq")}
	})
	instant := rapid.Map(rapid.Int64(), func(v int64) Time { return Time(v) })
	u32, u64, yes := rapid.Uint32(), rapid.Uint64(), rapid.Bool()
	name, a := topic.Draw(t, "topic"), author.Draw(t, "author")
	switch kind := rapid.SampledFrom(kinds()[1:]).Draw(t, "kind"); kind {
	case kindInterest:
		return &Interest{nonEmpty(rapid.SliceOf(topic).Draw(t, "add")), nonEmpty(rapid.SliceOf(topic).Draw(t, "remove"))}
	case kindTopics:
		m := &Topics{Remove: nonEmpty(rapid.SliceOf(topic).Draw(t, "remove"))}
		for _, s := range rapid.SliceOf(topic).Draw(t, "add") {
			m.Add = append(m.Add, TopicEntry{s, TopicScope(u32.Draw(t, "scope"))})
		}
		return m
	case kindLink:
		return &Link{name, yes.Draw(t, "up")}
	case kindHave:
		m := &Have{Topic: name}
		for _, v := range rapid.SliceOf(author).Draw(t, "heads") {
			m.Heads = append(m.Heads, Head{v, mark.Draw(t, "base"), mark.Draw(t, "head"), u32.Draw(t, "number")})
		}
		return m
	case kindAdvance:
		m := &Advance{}
		for _, seq := range rapid.SliceOfN(u64, 1, 20).Draw(t, "heads") {
			m.Heads = append(m.Heads, AdvancedHead{rapid.Uint32Min(1).Draw(t, "number"), seq})
		}
		return m
	case kindGraft:
		return &Graft{name, a}
	case kindPrune:
		return &Prune{name, a}
	case kindWant:
		return &Want{
			u32.Draw(t, "id"), name, a, mark.Draw(t, "after"), mark.Draw(t, "upto"), u32.Draw(t, "max"),
			drawResumes(t),
		}
	case kindWantIDs:
		return &WantIDs{
			u32.Draw(t, "id"), name, nonEmpty(rapid.SliceOf(shortIDs).Draw(t, "ids")), u32.Draw(t, "max"),
			drawResumes(t),
		}
	case kindServed:
		return &Served{u32.Draw(t, "id"), yes.Draw(t, "more")}
	case kindHeartbeat:
		return &Heartbeat{instant.Draw(t, "wall"), instant.Draw(t, "floor"), instant.Draw(t, "cut"), u64.Draw(t, "digest")}
	case kindTopicDigests:
		m := &TopicDigests{Floor: instant.Draw(t, "floor"), Cut: instant.Draw(t, "cut")}
		for _, v := range rapid.SliceOf(u64).Draw(t, "nodes") {
			depth := rapid.Uint32Range(0, 16).Draw(t, "depth")
			m.Nodes = append(m.Nodes, TopicDigest{v &^ (1<<(64-4*depth) - 1), depth, v, u32.Draw(t, "topics")})
		}
		return m
	case kindOffer:
		return &Offer{name, nonEmpty(rapid.SliceOf(shortIDs).Draw(t, "ids"))}
	case kindTrimmed:
		m := &Trimmed{Topic: name}
		for _, v := range rapid.SliceOf(author).Draw(t, "marks") {
			m.Marks = append(m.Marks, AuthorMark{v, mark.Draw(t, "mark")})
		}
		return m
	case kindShuffle:
		m := &Shuffle{Topic: name, Reply: yes.Draw(t, "reply"), Full: yes.Draw(t, "full")}
		for _, v := range rapid.SliceOfN(author, 0, RecordsMax).Draw(t, "records") {
			signed := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "signed")
			m.Records = append(m.Records, Record{Peer: v.PeerID(), Signed: signed})
		}
		return m
	case kindPresence:
		m := &Presence{Any: yes.Draw(t, "any"), Cut: instant.Draw(t, "cut"), Filters: u32.Draw(t, "filters")}
		for _, v := range rapid.SliceOfN(u32, 0, PresenceTopicsMax).Draw(t, "topics") {
			m.Topics = append(m.Topics, TopicTag{v, u32.Draw(t, "digest")})
		}
		m.Peers = nonEmpty(rapid.SliceOfN(u32, 0, PresencePeersMax).Draw(t, "peers"))
		return m
	case kindShortPush:
		h := drawHeader(t)
		h.Network, h.Topic, h.Epoch, h.Version = "", "", 0, u32.Draw(t, "version")
		return &ShortPush{
			rapid.Uint32Range(1, PushNumbersMax).Draw(t, "number"), h, bytes.Repeat(a[:], 2),
			rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
		}
	case kindPart:
		m := &Part{Batch: BatchID(a), Data: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "data")}
		m.Offset = rapid.Uint32Range(0, uint32(BatchMaxBytes-len(m.Data))).Draw(t, "offset")
		m.Size = rapid.Uint32Range(m.Offset+uint32(len(m.Data)), BatchMaxBytes).Draw(t, "size")
		return m
	case kindRefuse:
		return &Refuse{name, a, mark.Draw(t, "mark"), Reason(u32.Draw(t, "reason"))}
	case kindHello:
		return &Hello{u64.Draw(t, "mine"), u64.Draw(t, "yours")}
	case kindContact:
		return &Contact{name, yes.Draw(t, "pull"), drawRumors(t)}
	case kindRumors:
		return &Rumors{name, yes.Draw(t, "busy"), drawRumors(t)}
	case kindFeedback:
		m := &Feedback{Topic: name}
		for _, id := range rapid.SliceOf(shortIDs).Draw(t, "rumors") {
			m.Rumors = append(m.Rumors, RumorFeedback{
				id, yes.Draw(t, "known"), yes.Draw(t, "need"), rapid.Uint8().Draw(t, "counter"),
			})
		}
		return m
	case kindOpen, kindAnswer, kindCells, kindMore, kindResolve:
		return drawExchange(t, kind, name)
	default:
		panic(fmt.Sprintf("no generator for kind %d", kind))
	}
}

var shortIDs = rapid.Custom(func(t *rapid.T) (id ShortID) {
	binary.LittleEndian.PutUint64(id[5:], rapid.Uint64().Draw(t, "short ID"))
	return id
})

func drawRumors(t *rapid.T) (list []Rumor) {
	for _, id := range rapid.SliceOf(shortIDs).Draw(t, "rumors") {
		list = append(list, Rumor{id, rapid.Uint8().Draw(t, "counter")})
	}
	return list
}

func drawResumes(t *rapid.T) (list []Resume) {
	for _, id := range rapid.SliceOfN(shortIDs, 0, ResumesMax).Draw(t, "resume") {
		list = append(list, Resume{id, rapid.Uint32Range(0, BatchMaxBytes).Draw(t, "offset")})
	}
	return list
}

// nonEmpty returns nil for an empty list, which is how one comes back.
func nonEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func TestAnyMessageComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var frame []byte
		messages := make([]Message, rapid.IntRange(1, 3).Draw(t, "n"))
		for i := range messages {
			messages[i] = drawMessage(t)
			frame = AppendMessage(frame, messages[i])
		}
		got, err := parseFrame(frame)
		if err != nil || !reflect.DeepEqual(got, messages) {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, messages)
		}
	})
}
