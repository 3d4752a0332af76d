package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// signHeader returns a batch whose header is given as bytes, signed as Seal does.
func signHeader(header, body []byte) []byte {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	signature := ed25519.Sign(key, append([]byte("busnode batch v1\x00test\x00"), header...))
	raw := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), header)
	raw = protowire.AppendBytes(protowire.AppendTag(raw, 2, protowire.BytesType), signature)
	return protowire.AppendBytes(protowire.AppendTag(raw, 3, protowire.BytesType), body)
}

func TestAHeaderOfANewerVersionIsVerifiedAndKept(t *testing.T) {
	body := appendEvents(testEvents(2))
	plain := sealed(t, testHeader(2), body)
	for _, c := range []struct {
		name       string
		add        func(h []byte) []byte
		unreadable bool
	}{
		{"ignorable field", func(h []byte) []byte {
			return protowire.AppendVarint(protowire.AppendTag(h, 63, protowire.VarintType), 5)
		}, false},
		{"critical field", func(h []byte) []byte {
			return protowire.AppendBytes(protowire.AppendTag(h, 64, protowire.BytesType), []byte("x"))
		}, true},
		{"critical field of a high number", func(h []byte) []byte {
			return protowire.AppendFixed32(protowire.AppendTag(h, protowire.MaxValidNumber, protowire.Fixed32Type), 1)
		}, true},
		{"unknown kind", func(h []byte) []byte { return appendUint(h, headerKind, 77) }, true},
		{"unknown compression", func(h []byte) []byte { return appendUint(h, headerCompression, 77) }, true},
	} {
		header := c.add(bytes.Clone(plain.HeaderBytes))
		b, err := ParseBatch(signHeader(header, body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := b.Verify("test"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if b.Header.Unreadable != c.unreadable || b.ID != sha256.Sum256(header) {
			t.Errorf("%s: unreadable %v, ID %v", c.name, b.Header.Unreadable, b.ID)
		}
		if _, err := readEvents(t, b); errors.Is(err, ErrUnreadable) != c.unreadable {
			t.Errorf("%s: events: %v", c.name, err)
		}
	}
}

func TestAForeignBatchIsKeptUnread(t *testing.T) {
	h := testHeader(1)
	h.Kind = KindForeign
	b := sealed(t, h, []byte("as it came"))
	if _, err := b.Events(); !b.Header.Unreadable || !errors.Is(err, ErrUnreadable) {
		t.Errorf("unreadable %v, %v", b.Header.Unreadable, err)
	}
}

func TestParseBatchRefuses(t *testing.T) {
	body := appendEvents(testEvents(2))
	s := sealed(t, testHeader(2), body)
	edit := func(f func(h []byte) []byte) []byte { return signHeader(f(bytes.Clone(s.HeaderBytes)), body) }
	varint := func(num int, v uint64) func([]byte) []byte {
		return func(h []byte) []byte { return appendUint(h, num, v) }
	}
	if s.Raw[1] >= 0x80 {
		t.Fatal("the header's length is expected to take one byte")
	}
	padded := append([]byte{s.Raw[0], s.Raw[1] | 0x80, 0}, s.Raw[2:]...)
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, ErrFormat},
		{"over the limit", make([]byte, BatchMaxBytes+1), ErrTooLarge},
		{"a header over the limit", signHeader(make([]byte, HeaderMaxBytes+1), body), ErrTooLarge},
		{"cut off", s.Raw[:len(s.Raw)-1], ErrFormat},
		{"cut off after the header", s.Raw[:2+len(s.HeaderBytes)], ErrFormat},
		{"bytes after the body", append(bytes.Clone(s.Raw), 0), ErrFormat},
		{"a length that is not minimal", padded, ErrFormat},
		{"a field before the header", append([]byte{0x20, 1}, s.Raw...), ErrFormat},
		{"another body length", signHeader(s.HeaderBytes, body[:len(body)-1]), ErrFormat},
		{"a field twice", edit(varint(headerEpoch, 5)), ErrFormat},
		{"a wrong wire type", edit(varint(headerTime, 5)), ErrFormat},
		{"a count over 32 bits", signHeader(varint(headerCount, 1<<33)(nil), body), ErrFormat},
		{"a short author", signHeader(appendBytes(nil, headerAuthor, []byte{1}), body), ErrFormat},
		{"no author", signHeader(s.HeaderBytes[:8], body), ErrFormat},
		{"a header cut off", signHeader(s.HeaderBytes[:len(s.HeaderBytes)-1], body), ErrFormat},
		{"a malformed prev", edit(func(h []byte) []byte { return appendBytes(h, headerPrev, []byte{0x0a, 0}) }), ErrFormat},
		{"a prev cut off", edit(func(h []byte) []byte { return appendBytes(h, headerPrev, []byte{0x08}) }), ErrFormat},
	} {
		if _, err := ParseBatch(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

type failingSigner struct {
	Signer
	signature []byte
	err       error
}

func (s failingSigner) Sign([]byte) ([]byte, error) { return s.signature, s.err }

func TestSealReportsItsSigner(t *testing.T) {
	body := appendEvents(testEvents(1))
	broken := errors.New("the token was pulled out")
	if _, err := Seal(testHeader(1), body, failingSigner{testSigner(), nil, broken}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := Seal(testHeader(1), body, failingSigner{testSigner(), []byte{1}, nil}); !errors.Is(err, ErrSignature) {
		t.Errorf("%v", err)
	}
	if _, err := Seal(testHeader(1), make([]byte, BodyMaxBytes+1), testSigner()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// drawHeader draws a header that keeps the rules of the format.
func drawHeader(t *rapid.T) Header {
	h := Header{
		Version: rapid.Uint32Range(1, 9).Draw(t, "version"),
		Network: rapid.StringMatching(`[a-z ]{1,64}`).Draw(t, "network"),
		Topic:   rapid.StringMatching(`[a-z]{1,20}(\.[a-z]{1,20}){0,5}`).Draw(t, "topic"),
		Epoch:   Epoch(rapid.Uint64Min(1).Draw(t, "epoch")),
		First:   rapid.Uint64Range(1, 1<<63).Draw(t, "first"),
		Count:   rapid.Uint32Range(1, 20).Draw(t, "count"),
		Time:    Time(rapid.Int64Min(1).Draw(t, "time")),
	}
	switch {
	case h.First > 1:
		h.Prev = Prev{Mark{h.Epoch, h.First - 1}, Time(rapid.Int64Range(1, int64(h.Time)).Draw(t, "prev time"))}
	case h.Epoch > 1 && rapid.Bool().Draw(t, "older epoch"):
		h.Prev.Epoch = Epoch(rapid.Uint64Range(1, uint64(h.Epoch)-1).Draw(t, "prev epoch"))
		h.Prev.Seq = rapid.Uint64Min(1).Draw(t, "prev seq")
		h.Prev.Time = 1
	}
	return h
}

func TestAnyHeaderComesBack(t *testing.T) {
	body := make([]byte, 40)
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeader(t)
		s, err := Seal(h, body, testSigner())
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseBatch(s.Raw)
		if err != nil || b.Header != s.Header || b.ID != s.ID {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, b, s)
		}
		h.Author, h.BodyLen, h.BodySum = s.Header.Author, s.Header.BodyLen, s.Header.BodySum
		if b.Header != h {
			t.Fatalf("got  %+v\nwant %+v", b.Header, h)
		}
		if err := b.Verify(h.Network); err != nil {
			t.Fatal(err)
		}
		if h.Start() != (Mark{h.Epoch, h.First}) || h.End().Seq != h.First+uint64(h.Count)-1 || h.Last() != h.End().Seq {
			t.Fatalf("marks %v to %v", h.Start(), h.End())
		}
	})
}

func TestParseBatchAllocatesTheBatchAndItsNames(t *testing.T) {
	raw := sealed(t, testHeader(10), appendEvents(testEvents(10))).Raw
	n := testing.AllocsPerRun(100, func() {
		if _, err := ParseBatch(raw); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations, want at most 2", n)
	}
}
