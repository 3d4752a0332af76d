package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func FuzzParseBatch(f *testing.F) {
	body := appendEvents(testEvents(3))
	s := sealed(f, testHeader(3), body)
	f.Add(s.Raw)
	f.Add(signHeader(appendUint(bytes.Clone(s.HeaderBytes), headerKind, 9), body))
	h := testHeader(3)
	h.First, h.Prev = 5, Prev{Mark{h.Epoch, 4}, testBase - 1}
	f.Add(sealed(f, h, body).Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBatch(raw)
		if err != nil {
			return
		}
		var again Batch
		again.join(b.HeaderBytes, b.Signature, b.Body)
		if !bytes.Equal(again.Raw, raw) {
			t.Fatalf("parts make up %x", again.Raw)
		}
		var header Header
		if err := parseHeader(&header, appendHeader(nil, &b.Header)); err != nil {
			t.Fatalf("header %+v: %v", b.Header, err)
		}
		header.Unreadable = b.Header.Unreadable // critical fields are not written again
		if header != b.Header {
			t.Fatalf("got  %+v\nwant %+v", header, b.Header)
		}
		if b.Verify(b.Header.Network) == nil {
			readAll(t, b)
		}
	})
}

// readAll reads a batch's events and checks the counts.
func readAll(t *testing.T, b *Batch) (events []Event) {
	r, err := b.Events()
	if err != nil {
		return nil
	}
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		events = append(events, e)
	}
	if r.Err() == nil && len(events) != int(b.Header.Count) {
		t.Fatalf("%d events of %d and no error", len(events), b.Header.Count)
	}
	if _, ok := r.Next(); ok {
		t.Fatal("an event after the end")
	}
	if r.Err() != nil {
		return nil
	}
	return events
}

func FuzzEvents(f *testing.F) {
	f.Add(uint8(4), false, appendEvents(testEvents(4)))
	f.Add(uint8(1), false, []byte{0x10, 5, 0x0a, 4, 0x2a, 0, 0x12, 0})
	if packed, ok := Compress(appendEvents(testEvents(200))); ok {
		f.Add(uint8(200), true, packed)
	}
	f.Fuzz(func(t *testing.T, count uint8, packed bool, body []byte) {
		b := &Batch{Header: testHeader(uint32(count)), Body: body}
		if packed {
			b.Header.Compression = CompressionZstd
		}
		events := readAll(t, b)
		again := &Batch{Header: b.Header}
		again.Header.Compression = CompressionNone
		again.Body = appendEvents(events)
		for i, e := range readAll(t, again) {
			if !sameEvent(&e, &events[i]) {
				t.Fatalf("event %d: got %+v, want %+v", i, e, events[i])
			}
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	seedFrames(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		checkAllocation(t, frame)
		messages, _ := parseFrame(frame)
		for _, m := range messages {
			if m == nil {
				continue
			}
			again, err := parseFrame(AppendMessage(nil, m))
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], m) {
				t.Fatalf("%v\ngot  %+v\nwant %+v", err, again, m)
			}
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add("a.*.>", "a.b.c")
	f.Add(">", "größe")
	f.Add("a..b", ".")
	f.Add("a.>.b", "a\xff")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		filterErr, topicErr := ValidFilter(filter), ValidTopic(topic)
		if topicErr == nil && (ValidFilter(topic) != nil || !Match(topic, topic) || IsPattern(topic)) {
			t.Fatalf("topic %q is no filter of itself", topic)
		}
		if filterErr != nil || topicErr != nil {
			return
		}
		want := matchTokens(strings.Split(filter, "."), strings.Split(topic, "."))
		if got := Match(filter, topic); got != want {
			t.Fatalf("Match(%q, %q) = %v", filter, topic, got)
		}
	})
}

func FuzzParsePeerID(f *testing.F) {
	f.Add("12D3KooWRm8J3iL796zPFi2EtGGtUJn58AG67gcqzMFHZnnsTzqD")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePeerID(text); err == nil && p.String() != text {
			t.Fatalf("%q came back as %q", text, p.String())
		}
	})
}
