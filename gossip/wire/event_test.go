package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// batchOf returns a batch that claims count events in body, of any form.
func batchOf(t testing.TB, count uint32, body []byte) *Batch {
	t.Helper()
	h := testHeader(count)
	if need := int(count) * eventMinBytes; len(body) < need {
		body = append(bytes.Clone(body), bytes.Repeat([]byte{0x10, 0}, need)...) // unknown fields
	}
	return sealed(t, h, body)
}

func TestEventsOfAnyBodyThatBreaksRules(t *testing.T) {
	event := func(content ...byte) []byte { return appendBytes(nil, bodyEvent, content) }
	headers := AppendEvent(nil, testBase, &Event{Headers: make([]EventHeader, EventHeadersMax+1)})
	for _, c := range []struct {
		name  string
		count uint32
		body  []byte
	}{
		{"fewer events than claimed", 3, appendEvents(testEvents(2))},
		{"more events than claimed", 1, appendEvents(testEvents(2))},
		{"an event that is a number", 1, []byte{0x08, 1}},
		{"a length beyond the body", 1, []byte{0x0a, 9}},
		{"a length cut off", 1, []byte{0x0a, 0xff}},
		{"an unknown field cut off", 1, []byte{0x12, 9}},
		{"a time cut off", 1, event(0x08, 0xff)},
		{"a time as bytes", 1, event(0x0a, 0)},
		{"a payload as number", 1, event(0x20, 0)},
		{"a key beyond the event", 1, append(event(0x12, 2, 'k'), 'x', 'x')},
		{"a key twice", 1, event(0x12, 0, 0x12, 0)},
		{"a payload twice", 1, event(0x22, 0, 0x22, 0)},
		{"a known field with a padded number", 1, event(0xa2, 0x00, 0)},
		{"an unknown field of the event cut off", 1, event(0x2a, 9)},
		{"a group", 1, event(0x2b, 0x2c)},
		{"a header cut off", 1, event(0x1a, 2, 0x0a, 9)},
		{"a header's name as number", 1, event(0x1a, 2, 0x08, 9)},
		{"a header's name that is not UTF-8", 1, event(0x1a, 3, 0x0a, 1, 0xff)},
		{"too many headers", 1, headers},
		{"a time before 1970", 1, AppendEvent(nil, testBase, &Event{Time: -5})},
		{"a time that overflows", 1, appendBytes(nil, bodyEvent, appendUint(nil, eventTime, zigzag(math.MaxInt64)))},
	} {
		if _, err := readEvents(t, batchOf(t, c.count, c.body)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestUnknownFieldsOfBodyAndEventAreSkipped(t *testing.T) {
	content := protowire.AppendFixed64(protowire.AppendTag(nil, 5, protowire.Fixed64Type), math.MaxUint64)
	content = protowire.AppendFixed32(protowire.AppendTag(content, 999, protowire.Fixed32Type), math.MaxUint32)
	content = appendBytes(content, eventPayload, []byte("hello"))
	content = appendBytes(content, eventHeader, appendUint(appendElement(nil, eventHeaderName, "n"), 3, 1))
	body := appendUint(nil, 2, 7)
	body = appendBytes(body, bodyEvent, content)
	body = appendBytes(body, 15, []byte("later"))
	got, err := readEvents(t, batchOf(t, 1, body))
	want := Event{Time: testBase, Payload: []byte("hello"), Headers: []EventHeader{{Name: "n"}}}
	if err != nil || len(got) != 1 || !sameEvent(&got[0], &want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestValidEvent(t *testing.T) {
	e := Event{Key: []byte("k"), Payload: []byte("123"), Headers: []EventHeader{{"n", []byte("v")}}}
	if err := e.Valid(6); err != nil || e.Size() != 6 {
		t.Errorf("size %d: %v", e.Size(), err)
	}
	if err := e.Valid(5); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	e.Headers = make([]EventHeader, EventHeadersMax+1)
	if err := e.Valid(100); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	e.Headers = []EventHeader{{Name: "\xff"}}
	if err := e.Valid(100); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func TestAnEventWithoutTimeIsDatedAsItsBatch(t *testing.T) {
	got, err := readEvents(t, batchOf(t, 1, AppendEvent(nil, testBase, &Event{Payload: []byte("x")})))
	if err != nil || got[0].Time != testBase {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnyEventsComeBack(t *testing.T) {
	data := rapid.SliceOfN(rapid.Byte(), 0, 200)
	rapid.Check(t, func(t *rapid.T) {
		events := make([]Event, rapid.IntRange(1, 5).Draw(t, "n"))
		var body []byte
		for i := range events {
			e := &events[i]
			e.Time = Time(rapid.Int64Min(1).Draw(t, "time"))
			e.Payload = data.Draw(t, "payload")
			if rapid.Bool().Draw(t, "has key") {
				e.Key = data.Draw(t, "key")
			}
			for range rapid.IntRange(0, 4).Draw(t, "headers") {
				e.Headers = append(e.Headers, EventHeader{rapid.String().Draw(t, "name"), data.Draw(t, "value")})
			}
			if err := e.Valid(1 << 20); err != nil {
				t.Fatal(err)
			}
			before := len(body)
			body = AppendEvent(body, testBase, e)
			if n := len(body) - before; n != EventSize(testBase, e) {
				t.Fatalf("EventSize %d, appended %d", EventSize(testBase, e), n)
			}
		}
		b, err := Seal(testHeader(uint32(len(events))), body, testSigner())
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Events()
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			if e, ok := r.Next(); !ok || !sameEvent(&e, &events[i]) {
				t.Fatalf("event %d: %v\ngot  %+v\nwant %+v", i, r.Err(), e, events[i])
			}
		}
		if _, ok := r.Next(); ok || r.Err() != nil {
			t.Fatalf("after the last: %v, %v", ok, r.Err())
		}
	})
}

func TestEventsAreWrittenAndReadWithoutAllocating(t *testing.T) {
	event := Event{Time: testBase + 5, Key: []byte("key"), Payload: make([]byte, 128)}
	body := make([]byte, 0, 1000*EventSize(testBase, &event))
	n := testing.AllocsPerRun(10, func() {
		body = body[:0]
		for range 1000 {
			body = AppendEvent(body, testBase, &event)
		}
	})
	if n != 0 {
		t.Errorf("AppendEvent: %v allocations for 1000 events", n)
	}
	b := batchOf(t, 1000, body)
	n = testing.AllocsPerRun(10, func() {
		r, err := b.Events()
		if err != nil {
			t.Fatal(err)
		}
		for _, ok := r.Next(); ok; _, ok = r.Next() {
		}
	})
	if n > 1 {
		t.Errorf("EventReader: %v allocations for 1000 events", n)
	}
}

func TestACompressedBodyIsUnpacked(t *testing.T) {
	events := testEvents(500)
	body := appendEvents(events)
	packed, ok := Compress(body)
	if !ok || len(packed) >= len(body) {
		t.Fatalf("Compress: %v, %d of %d bytes", ok, len(packed), len(body))
	}
	h := testHeader(500)
	h.Compression = CompressionZstd
	b, err := ParseBatch(sealed(t, h, packed).Raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify("test"); err != nil {
		t.Fatal(err)
	}
	got, err := readEvents(t, b)
	if err != nil || len(got) != len(events) {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for i := range got {
		if !sameEvent(&got[i], &events[i]) {
			t.Fatalf("event %d: %+v", i, got[i])
		}
	}
}

func TestCompressLeavesWhatDoesNotPay(t *testing.T) {
	noise := make([]byte, 4096)
	state := uint64(1)
	for i := range noise {
		state = state*6364136223846793005 + 1442695040888963407
		noise[i] = byte(state >> 56)
	}
	for _, body := range [][]byte{nil, []byte("short"), noise} {
		if _, ok := Compress(body); ok {
			t.Errorf("%d bytes: compressed", len(body))
		}
	}
}

func TestACompressedBodyThatBreaksRules(t *testing.T) {
	bomb, err := packers()
	if err != nil {
		t.Fatal(err)
	}
	small := bomb.EncodeAll([]byte{0x0a, 0}, nil)
	for _, c := range []struct {
		name  string
		count uint32
		body  []byte
		want  error
	}{
		{"no zstd", 1, []byte("nonsense"), ErrFormat},
		{"over the limit unpacked", 1, bomb.EncodeAll(make([]byte, BodyMaxBytes+1), nil), ErrTooLarge},
		{"more events than fit", 9, small, ErrFormat},
	} {
		h := testHeader(c.count)
		h.Compression = CompressionZstd
		if _, err := sealed(t, h, c.body).Events(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	event := Event{Time: testBase + 12345, Payload: make([]byte, 128)}
	body := make([]byte, 0, BatchTargetBytes)
	b.ReportAllocs()
	b.SetBytes(int64(EventSize(testBase, &event)))
	for b.Loop() {
		if len(body) > BatchTargetBytes-1024 {
			body = body[:0]
		}
		body = AppendEvent(body, testBase, &event)
	}
}

func BenchmarkEventReader(b *testing.B) {
	for _, bench := range []struct {
		name  string
		event Event
	}{
		{"payload", Event{Time: testBase + 12345, Payload: make([]byte, 128)}},
		{"key+headers", Event{
			Time: testBase + 12345, Key: []byte("key"), Payload: make([]byte, 128),
			Headers: []EventHeader{{"content-type", []byte("text/plain")}, {"trace", []byte("0123456789")}},
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var body []byte
			for range 1000 {
				body = AppendEvent(body, testBase, &bench.event)
			}
			batch := batchOf(b, 1000, body)
			b.ReportAllocs()
			for n := 0; n < b.N; n += 1000 {
				r, err := batch.Events()
				if err != nil {
					b.Fatal(err)
				}
				for _, ok := r.Next(); ok; _, ok = r.Next() {
				}
			}
		})
	}
}

func BenchmarkParseBatch(b *testing.B) {
	raw := sealed(b, testHeader(10), appendEvents(testEvents(10))).Raw
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseBatch(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealAndVerify(b *testing.B) {
	for _, events := range []int{1, 1000} {
		body := appendEvents(testEvents(events))
		s := sealed(b, testHeader(uint32(events)), body)
		signer := testSigner()
		b.Run(fmt.Sprintf("Seal/events=%d", events), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Seal(s.Header, body, signer); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Verify/events=%d", events), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Verify("test"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
