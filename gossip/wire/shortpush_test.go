package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// testFollower returns a batch that is not its run's first.
func testFollower(t testing.TB, payload int) *Batch {
	h := testHeader(1)
	h.First, h.Prev, h.Time = 4, Prev{Mark{h.Epoch, 3}, testBase}, testBase+1_000_000
	return sealed(t, h, AppendEvent(nil, h.Time, &Event{Time: h.Time, Payload: make([]byte, payload)}))
}

func shorten(t testing.TB, b *Batch, number uint32) *ShortPush {
	t.Helper()
	p, ok := b.Shorten(number)
	if !ok {
		t.Fatalf("header %+v cannot be shortened", b.Header)
	}
	return &p
}

func TestAShortPushRestoresTheBatchByteForByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeader(t)
		h.Kind = Kind(rapid.SampledFrom([]uint32{0, 1, 77}).Draw(t, "kind"))
		h.Compression = Compression(rapid.SampledFrom([]uint32{0, 1, 5}).Draw(t, "compression"))
		body := rapid.SliceOfN(rapid.Byte(), int(h.Count*eventMinBytes), 300).Draw(t, "body")
		b, err := Seal(h, body, testSigner())
		if err != nil {
			t.Fatal(err)
		}
		p, ok := b.Shorten(rapid.Uint32Range(1, PushNumbersMax).Draw(t, "number"))
		if !ok {
			t.Fatal("our own header is not canonical")
		}
		frame := AppendMessage(nil, &p)
		if saved := len(AppendPush(nil, b.Raw, false)) - len(frame); saved < 64+len(b.Header.Topic)+len(b.Header.Network) {
			t.Fatalf("it saves %d bytes", saved)
		}
		messages, err := parseFrame(frame)
		if err != nil || len(messages) != 1 || !reflect.DeepEqual(messages[0], &p) {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, messages, &p)
		}
		again, err := messages[0].(*ShortPush).Restore(b.Header.Network, b.Header.Run())
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Verify(b.Header.Network); err != nil {
			t.Fatal(err)
		}
		again.summed = false
		if !reflect.DeepEqual(again, b) {
			t.Fatalf("got  %+v\nwant %+v", again, b)
		}
	})
}

func TestABatchThatWouldNotBeRestoredIsNotShortened(t *testing.T) {
	body := appendEvents(testEvents(2))
	plain := sealed(t, testHeader(2), body)
	version := appendUint(nil, headerVersion, 1)
	for name, header := range map[string][]byte{
		"an ignorable field": withField(plain.HeaderBytes, 63, 5),
		"a critical field":   withField(plain.HeaderBytes, 64, 5),
		"fields in another order": append(bytes.Clone(plain.HeaderBytes[len(version):]),
			version...),
		"a zero that is written": withField(plain.HeaderBytes, headerKind, 0),
	} {
		b, err := ParseBatch(signHeader(header, body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, ok := b.Shorten(1); ok {
			t.Errorf("%s: it was shortened", name)
		}
	}
	if _, ok := plain.Shorten(1); !ok {
		t.Error("the batch that they are made of was not shortened")
	}
}

func TestWhatIsRestoredByAFalseTaleIsNotAuthentic(t *testing.T) {
	b := testFollower(t, 100)
	run := b.Header.Run()
	for name, change := range map[string]func(p *ShortPush, r *Run){
		"topic":     func(_ *ShortPush, r *Run) { r.Topic = "orders.us" },
		"author":    func(_ *ShortPush, r *Run) { r.Author[0] ^= 1 },
		"epoch":     func(_ *ShortPush, r *Run) { r.Epoch++ },
		"body":      func(p *ShortPush, _ *Run) { p.Body = flip(p.Body, len(p.Body)-1) },
		"longer":    func(p *ShortPush, _ *Run) { p.Body = append(bytes.Clone(p.Body), 0) },
		"time":      func(p *ShortPush, _ *Run) { p.Header.Time++ },
		"first":     func(p *ShortPush, _ *Run) { p.Header.First++ },
		"prev":      func(p *ShortPush, _ *Run) { p.Header.Prev.Time-- },
		"signature": func(p *ShortPush, _ *Run) { p.Signature = flip(p.Signature, 0) },
	} {
		p, r := *shorten(t, b, 1), run
		change(&p, &r)
		again, err := p.Restore("test", r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := again.Verify("test"); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := shorten(t, b, 1).Restore("other", run); err != nil || !errors.Is(again.Verify("test"), ErrNetwork) {
		t.Errorf("another network: %v", err)
	}
}

func TestRestoringRefusesWhatNoBatchMayBe(t *testing.T) {
	for name, change := range map[string]func(p *ShortPush, r *Run){
		"no version":           func(p *ShortPush, _ *Run) { p.Header.Version = 0 },
		"no first":             func(p *ShortPush, _ *Run) { p.Header.First = 0 },
		"no count":             func(p *ShortPush, _ *Run) { p.Header.Count = 0 },
		"no time":              func(p *ShortPush, _ *Run) { p.Header.Time = 0 },
		"no epoch":             func(_ *ShortPush, r *Run) { r.Epoch = 0 },
		"no topic":             func(_ *ShortPush, r *Run) { r.Topic = "" },
		"prev after it":        func(p *ShortPush, _ *Run) { p.Header.Prev.Time = p.Header.Time + 1 },
		"prev without time":    func(p *ShortPush, _ *Run) { p.Header.Prev = Prev{Mark: Mark{Seq: 3}} },
		"prev of a first":      func(p *ShortPush, _ *Run) { p.Header.First = 1 },
		"more events than fit": func(p *ShortPush, _ *Run) { p.Header.Count = 1000 },
	} {
		b := testFollower(t, 100)
		p, r := *shorten(t, b, 1), b.Header.Run()
		change(&p, &r)
		if again, err := p.Restore("test", r); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTopic) {
			t.Errorf("%s: %v, %v", name, again, err)
		}
	}
}

func TestParseFrameRefusesShortPushesOfAnotherForm(t *testing.T) {
	p := shorten(t, testFollower(t, 10), PushNumbersMax)
	header := appendShortHeader(nil, &p.Header)
	number := appendUint(nil, shortNumber, 1)
	signature := appendBytes(nil, shortSignature, p.Signature)
	body := appendBytes(nil, shortBody, p.Body)
	with := func(header []byte) []byte { return appendBytes(nil, shortHeader, header) }
	short := with(header)
	key := bytes.Repeat([]byte{1}, ed25519.PublicKeySize)
	add := func(field []byte) []byte { return with(append(bytes.Clone(header), field...)) }
	for name, parts := range map[string][][]byte{
		"nothing":                nil,
		"no number":              {short, signature, body},
		"no header":              {number, signature, body},
		"no signature":           {number, short, body},
		"no body":                {number, short, signature},
		"number 0":               {{shortNumber << 3, 0}, short, signature, body},
		"a number above all":     {appendUint(nil, shortNumber, PushNumbersMax+1), short, signature, body},
		"a number of 33 bits":    {appendUint(nil, shortNumber, 1<<32+1), short, signature, body},
		"a number that is bytes": {appendBytes(nil, shortNumber, []byte{1}), short, signature, body},
		"two numbers":            {number, number, short, signature, body},
		"two headers":            {number, short, short, signature, body},
		"two bodies":             {number, short, signature, body, body},
		"63 bytes of signature":  {number, short, appendBytes(nil, shortSignature, p.Signature[1:]), body},
		"a header that is none":  {number, with([]byte{0xff}), signature, body},
		"version twice":          {number, add(appendUint(nil, headerVersion, 1)), signature, body},
		"a network":              {number, add(appendString(nil, headerNetwork, "test")), signature, body},
		"a topic":                {number, add(appendString(nil, headerTopic, "orders.eu")), signature, body},
		"an author":              {number, add(appendBytes(nil, headerAuthor, key)), signature, body},
		"an epoch":               {number, add(appendUint(nil, headerEpoch, 1)), signature, body},
		"a body length":          {number, add(appendUint(nil, headerBodyLen, 12)), signature, body},
		"a body hash":            {number, add(appendBytes(nil, headerBodySum, key)), signature, body},
		"an ignorable field":     {number, with(withField(header, 63, 1)), signature, body},
		"a critical field":       {number, with(withField(header, 64, 1)), signature, body},
	} {
		frame := appendKind(nil, kindShortPush, bytes.Join(parts, nil))
		if m, err := parseFrame(frame); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	later := protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), []byte("later"))
	frame := appendKind(nil, kindShortPush, bytes.Join([][]byte{later, body, signature, short, number}, nil))
	if m, err := parseFrame(frame); err != nil || m[0].(*ShortPush).Number != 1 {
		t.Errorf("any order and a field of a later version: %v, %v", m, err)
	}
	p.Body = make([]byte, ControlFrameMaxBytes)
	if _, err := parseFrame(AppendMessage(nil, p)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a body of %d bytes: %v", len(p.Body), err)
	}
}

func TestANumberedPushCanBeWrittenInTwoParts(t *testing.T) {
	for _, size := range []int{1, 100, 200, 20_000} {
		b := testFollower(t, size)
		whole := AppendMessage(nil, &Push{Batch: b, Number: PushNumbersMax})
		if parts := append(NumberedPushPrefix(nil, b.Size(), PushNumbersMax), b.Raw...); !bytes.Equal(parts, whole) {
			t.Errorf("payload %d: parts differ from the whole", size)
		}
		messages, err := parseFrame(whole)
		if err != nil || !reflect.DeepEqual(messages, []Message{&Push{Batch: b, Number: PushNumbersMax}}) {
			t.Errorf("payload %d: %v, %v", size, messages, err)
		}
		if size > 200 {
			continue // more than a short push may be is not what this is about
		}
		p := shorten(t, b, 300)
		if parts := append(p.AppendPrefix(nil), b.Body...); !bytes.Equal(parts, AppendMessage(nil, p)) {
			t.Errorf("payload %d: parts differ from the whole short push", size)
		}
	}
	for _, number := range []uint64{0, PushNumbersMax + 1} {
		content := appendBytes([]byte{}, pushBatch, testFollower(t, 1).Raw)
		content = protowire.AppendVarint(append(content, pushNumber<<3), number)
		if _, err := parseFrame(appendKind(nil, kindPush, content)); !errors.Is(err, ErrFormat) {
			t.Errorf("a push of number %d: %v", number, err)
		}
	}
}

func FuzzShortPush(f *testing.F) {
	for _, b := range []*Batch{testFollower(f, 20), sealed(f, testHeader(3), appendEvents(testEvents(3)))} {
		p := shorten(f, b, 2)
		frame := AppendMessage(nil, p)
		f.Add("test", "orders.eu", uint64(b.Header.Epoch), frame)
		f.Add("test", strings.Repeat("a", TopicMax), uint64(1), frame)
		p.Header.Prev = Prev{Mark{b.Header.Epoch, p.Header.First - 1}, testBase} // at greater length than need be
		f.Add("test", "a", uint64(b.Header.Epoch), AppendMessage(nil, p))
	}
	f.Fuzz(func(t *testing.T, network, topic string, epoch uint64, frame []byte) {
		messages, _ := parseFrame(frame)
		for _, m := range messages {
			p, ok := m.(*ShortPush)
			if !ok {
				continue
			}
			b, err := p.Restore(network, Run{Topic: topic, Author: testSigner().Author(), Epoch: Epoch(epoch)})
			if err != nil {
				continue
			}
			b.summed = false
			if parsed, err := ParseBatch(b.Raw); err != nil || !reflect.DeepEqual(parsed, b) {
				t.Fatalf("%v\nrestored %+v\nparsed   %+v", err, b, parsed)
			}
			again, ok := b.Shorten(p.Number)
			if !ok {
				t.Fatalf("what was restored cannot be shortened: %+v", b.Header)
			}
			if c, err := again.Restore(network, b.Header.Run()); err != nil || !bytes.Equal(c.Raw, b.Raw) {
				t.Fatalf("%v: not the same a second time", err)
			}
		}
	})
}
