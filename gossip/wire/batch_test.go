package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

const testBase = Time(1_700_000_000_000_000_000)

func testSigner() Signer {
	return NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
}

func testHeader(count uint32) Header {
	return Header{
		Network: "test", Topic: "orders.eu", Epoch: 0x18bcfe568000002a, First: 1, Count: count, Time: testBase,
	}
}

// testEvents returns n events with every field in use now and then.
func testEvents(n int) []Event {
	events := make([]Event, n)
	for i := range events {
		e := &events[i]
		e.Time = testBase + Time(i*1000)
		e.Payload = fmt.Appendf(nil, "payload %d", i)
		if i%3 == 1 {
			e.Key = fmt.Appendf(nil, "key-%d", i)
		}
		if i%3 == 2 {
			e.Key = []byte{}
			e.Headers = []EventHeader{{"content-type", []byte("text/plain")}, {"", nil}, {"größe", []byte{0, 1}}}
		}
	}
	return events
}

func appendEvents(events []Event) (body []byte) {
	for i := range events {
		body = AppendEvent(body, testBase, &events[i])
	}
	return body
}

func sealed(t testing.TB, h Header, body []byte) *Batch {
	t.Helper()
	b, err := Seal(h, body, testSigner())
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return b
}

func readEvents(t testing.TB, b *Batch) (events []Event, err error) {
	t.Helper()
	r, err := b.Events()
	if err != nil {
		return nil, err
	}
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		events = append(events, e)
	}
	return events, r.Err()
}

func sameEvent(a, b *Event) bool {
	same := a.Time == b.Time && (a.Key == nil) == (b.Key == nil) && bytes.Equal(a.Key, b.Key) &&
		bytes.Equal(a.Payload, b.Payload) && len(a.Headers) == len(b.Headers)
	for i := 0; same && i < len(a.Headers); i++ {
		same = a.Headers[i].Name == b.Headers[i].Name && bytes.Equal(a.Headers[i].Value, b.Headers[i].Value)
	}
	return same
}

func TestBatchComesBackAsItWasSealed(t *testing.T) {
	events := testEvents(10)
	s := sealed(t, testHeader(10), appendEvents(events))
	b, err := ParseBatch(bytes.Clone(s.Raw))
	if err != nil {
		t.Fatal(err)
	}
	if b.Header != s.Header || b.ID != s.ID || !bytes.Equal(b.Body, s.Body) ||
		!bytes.Equal(b.HeaderBytes, s.HeaderBytes) || !bytes.Equal(b.Signature, s.Signature) {
		t.Fatalf("parsed %+v\nsealed %+v", b, s)
	}
	if b.Header.Author != testSigner().Author() || b.Header.Version != VersionMax || b.Size() != len(s.Raw) {
		t.Errorf("header %+v", b.Header)
	}
	if err := b.Verify("test"); err != nil {
		t.Error(err)
	}
	got, err := readEvents(t, b)
	if err != nil || len(got) != len(events) {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for i := range got {
		if !sameEvent(&got[i], &events[i]) {
			t.Errorf("event %d: got %+v, want %+v", i, got[i], events[i])
		}
	}
}

func TestVerifyRefusesWhatWasAltered(t *testing.T) {
	s := sealed(t, testHeader(3), appendEvents(testEvents(3)))
	if err := s.Verify("other"); !errors.Is(err, ErrNetwork) {
		t.Errorf("other network: %v", err)
	}
	// A flip anywhere is refused by the parser or by Verify.
	for i := range s.Raw {
		raw := bytes.Clone(s.Raw)
		raw[i] ^= 0x10
		b, err := ParseBatch(raw)
		if err == nil {
			err = b.Verify("test")
		}
		if err == nil {
			t.Fatalf("byte %d of %d altered: accepted", i, len(raw))
		}
	}
}

func TestSealRefusesHeadersThatBreakRules(t *testing.T) {
	body := appendEvents(testEvents(2))
	prev := Prev{Mark{0x18bcfe568000002a, 4}, testBase - 1}
	for _, c := range []struct {
		name string
		want error
		set  func(h *Header)
	}{
		{"no network", ErrFormat, func(h *Header) { h.Network = "" }},
		{"long network", ErrFormat, func(h *Header) { h.Network = strings.Repeat("n", NetworkMax+1) }},
		{"topic", ErrTopic, func(h *Header) { h.Topic = "a..b" }},
		{"no epoch", ErrFormat, func(h *Header) { h.Epoch = 0 }},
		{"sequence 0", ErrFormat, func(h *Header) { h.First = 0 }},
		{"no events", ErrFormat, func(h *Header) { h.Count = 0 }},
		{"more events than fit", ErrFormat, func(h *Header) { h.Count = 1000 }},
		{"too many events", ErrTooLarge, func(h *Header) { h.Count = CountMax + 1 }},
		{"sequence overflows", ErrFormat, func(h *Header) { h.First, h.Prev = math.MaxUint64, prev }},
		{"no time", ErrFormat, func(h *Header) { h.Time = 0 }},
		{"first 2 without prev", ErrFormat, func(h *Header) { h.First = 2 }},
		{"prev leaves a gap", ErrFormat, func(h *Header) { h.First, h.Prev = 6, prev }},
		{"prev overlaps", ErrFormat, func(h *Header) { h.First, h.Prev = 4, prev }},
		{"prev in a later epoch", ErrFormat, func(h *Header) { h.Prev = prev; h.Prev.Epoch++ }},
		{"prev dated later", ErrFormat, func(h *Header) { h.First, h.Prev = 5, prev; h.Prev.Time = testBase + 1 }},
		{"prev without time", ErrFormat, func(h *Header) { h.First, h.Prev = 5, prev; h.Prev.Time = 0 }},
		{"prev without sequence", ErrFormat, func(h *Header) { h.Prev = prev; h.Prev.Epoch--; h.Prev.Seq = 0 }},
		{"new epoch not from 1", ErrFormat, func(h *Header) { h.First, h.Prev = 5, prev; h.Prev.Epoch-- }},
	} {
		h := testHeader(2)
		c.set(&h)
		if _, err := Seal(h, body, testSigner()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for name, set := range map[string]func(h *Header){
		"next batch of the epoch":      func(h *Header) { h.First, h.Prev = 5, prev },
		"first batch of another epoch": func(h *Header) { h.Prev = prev; h.Prev.Epoch-- },
	} {
		h := testHeader(2)
		set(&h)
		if _, err := Seal(h, body, testSigner()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
