package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestPrefixTellsOfTheWhole(t *testing.T) {
	for _, size := range []int{0, 1, 200, 70_000} {
		h := Header{Network: "test", Topic: "t", Epoch: 1, First: 1, Count: 1, Time: 1000}
		b, err := Seal(h, AppendEvent(nil, h.Time, &Event{Payload: make([]byte, size)}), testSigner())
		if err != nil {
			t.Fatal(err)
		}
		header := bytes.Index(b.Raw, b.HeaderBytes) + len(b.HeaderBytes)
		for n := range min(len(b.Raw), header+100) + 1 {
			p, ok, err := ParsePrefix(b.Raw[:n])
			if err != nil || ok != (n >= header) {
				t.Fatalf("%d of %d bytes: %v, %v", n, len(b.Raw), ok, err)
			}
			if ok && (p.ID != b.ID || p.Size != b.Size() || p.Header.End() != b.Header.End()) {
				t.Fatalf("%d of %d bytes: %+v", n, len(b.Raw), p)
			}
		}
	}
}

func TestPrefixThatIsFalseIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"another field":    {[]byte{batchBody<<3 | typeBytes}, ErrFormat},
		"a header too big": {[]byte{batchHeader<<3 | typeBytes, 0x81, 0x20}, ErrTooLarge},
		"an endless size":  {[]byte{batchHeader<<3 | typeBytes, 0x80, 0x80}, ErrFormat},
		"a header of none": {[]byte{batchHeader<<3 | typeBytes, 0}, ErrFormat},
	} {
		if _, ok, err := ParsePrefix(c.raw); ok || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, ok, err, c.want)
		}
	}
}

func FuzzParsePrefix(f *testing.F) {
	h := Header{Network: "test", Topic: "t", Epoch: 1, First: 1, Count: 1, Time: 1000}
	b, err := Seal(h, AppendEvent(nil, h.Time, &Event{Payload: []byte("x")}), testSigner())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBatch(raw)
		p, ok, perr := ParsePrefix(raw)
		if err == nil && (!ok || perr != nil || p.ID != b.ID || p.Size != len(raw)) {
			t.Errorf("a batch of %d bytes: %v, %v, %+v", len(raw), ok, perr, p)
		}
	})
}
