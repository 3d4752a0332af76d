package datagram

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var (
	testRoot   = RootOf("test", []byte("a key"))
	testStream = StreamID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	testEpoch  = EpochAt(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	testFrom   = netip.MustParseAddrPort("10.0.0.1:7447")
)

func testSigner() (ed25519.PublicKey, func([]byte) ([]byte, error)) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	return key.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil }
}

func testBeacon() *Beacon {
	public, _ := testSigner()
	return &Beacon{
		Wall: time.UnixMilli(1795435200123), Key: [32]byte(public), Interval: 3100 * time.Millisecond,
		Flows:   [Lanes]Flow{{Lane: 0, Next: 77, Back: 5}, {Lane: 1, Next: 1}},
		Reports: []Report{{Tag{1, 2, 3}, 12}, {Tag{4}, 0}},
		Text:    []byte("orders.>"),
		Addrs:   [][]byte{{4, 10, 0, 0, 1, 6, 0, 80}, {1}},
	}
}

// admitted returns an opener that has admitted the sealer's stream.
func admitted(t testing.TB, s *Sealer) *Opener {
	t.Helper()
	o := NewOpener(StreamID{9}, []Root{testRoot}, testEpoch)
	_, sign := testSigner()
	d, err := s.SealBeacon(nil, TypeBeacon, testBeacon(), sign)
	if err != nil {
		t.Fatal(err)
	}
	m, err := o.Open(nil, d, testFrom)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBeacon(m.Inner)
	if err != nil || !m.Signed(&b) {
		t.Fatalf("%v, signed %v", err, m.Signed(&b))
	}
	o.Admit(&m, testFrom)
	return o
}

func TestSealedOpensOnce(t *testing.T) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(t, s)
	buffer := make([]byte, InnerMaxBytes)
	for n := range InnerMaxBytes + 1 {
		inner := bytes.Repeat([]byte{byte(n)}, n)
		d := s.Seal(nil, TypeShard, inner)
		m, err := o.Open(buffer, d, testFrom)
		if err != nil || !bytes.Equal(m.Inner, inner) || m.Type != TypeShard || m.Stream != testStream || m.Seq != s.Seq() {
			t.Fatalf("%d bytes: %v, %+v", n, err, m)
		}
		if _, err := o.Open(buffer, d, testFrom); !errors.Is(err, RefusedReplay) {
			t.Fatalf("a second time: %v", err)
		}
	}
}

// TestSealInPlace has the inner text lie where it is sealed.
func TestSealInPlace(t *testing.T) {
	a, b := NewSealer(testStream, testRoot, testEpoch), NewSealer(testStream, testRoot, testEpoch)
	buffer := make([]byte, 0, MaxBytes)
	inner := append(buffer[:HeaderBytes], "some text"...)[HeaderBytes:]
	if !bytes.Equal(a.Seal(buffer, TypeNack, inner), b.Seal(nil, TypeNack, []byte("some text"))) {
		t.Error("sealed in place it is another")
	}
}

func TestRefusals(t *testing.T) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(t, s)
	good := s.Seal(nil, TypeShard, []byte("text"))
	change := func(i int, v byte) []byte {
		d := bytes.Clone(good)
		d[i] ^= v
		return d
	}
	own := NewSealer(StreamID{9}, testRoot, testEpoch)
	stranger := NewSealer(StreamID{8}, testRoot, testEpoch)
	old := NewSealer(testStream, testRoot, testEpoch-2)
	other := NewSealer(testStream, RootOf("test", []byte("another key")), testEpoch)
	for _, c := range []struct {
		name string
		d    []byte
		from netip.AddrPort
		want Refusal
	}{
		{"empty", nil, testFrom, RefusedLength},
		{"short", good[:OverheadBytes-1], testFrom, RefusedLength},
		{"long", append(bytes.Clone(good), make([]byte, MaxBytes)...), testFrom, RefusedLength},
		{"magic", change(0, 1), testFrom, RefusedFormat},
		{"version", change(2, 3), testFrom, RefusedFormat},
		{"own", own.Seal(nil, TypeShard, nil), testFrom, RefusedOwn},
		{"hint", change(4, 1), testFrom, RefusedKey},
		{"epoch", old.Seal(nil, TypeShard, nil), testFrom, RefusedKey},
		{"network", other.Seal(nil, TypeShard, nil), testFrom, RefusedKey},
		{"stranger", stranger.Seal(nil, TypeShard, nil), testFrom, RefusedStranger},
		{"stranger's farewell", stranger.Seal(nil, TypeBye, nil), testFrom, RefusedStranger},
		{"source", good, netip.MustParseAddrPort("10.0.0.2:7447"), RefusedSource},
		{"port", good, netip.MustParseAddrPort("10.0.0.1:7448"), RefusedSource},
		{"far", change(24, 1), testFrom, RefusedFar},
		{"type", change(3, 2), testFrom, RefusedSeal},
		{"number", change(31, 64), testFrom, RefusedSeal},
		{"text", change(HeaderBytes, 1), testFrom, RefusedSeal},
		{"tag", change(len(good)-1, 1), testFrom, RefusedSeal},
		{"cut", good[:len(good)-1], testFrom, RefusedSeal},
		{"forged beacon", append(change(3, byte(TypeShard^TypeBeacon)), 0), testFrom, RefusedSeal},
	} {
		if _, err := o.Open(nil, c.d, c.from); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := o.Open(nil, good, testFrom); err != nil {
		t.Errorf("the refused changed the window: %v", err)
	}
	o.Forget(testStream)
	if _, err := o.Open(nil, s.Seal(nil, TypeShard, nil), testFrom); !errors.Is(err, RefusedStranger) {
		t.Errorf("a forgotten stream: %v", err)
	}
}

// TestKeysChangeAndNumbersGoOn changes epoch, root and run of numbers.
func TestKeysChangeAndNumbersGoOn(t *testing.T) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(t, s)
	next := RootOf("test", []byte("the next key"))
	o.SetKeys([]Root{testRoot, next}, testEpoch)
	open := func() error {
		_, err := o.Open(nil, s.Seal(nil, TypeShard, []byte("text")), testFrom)
		return err
	}
	var hints [][4]byte
	for _, e := range []Epoch{testEpoch - 1, testEpoch, testEpoch + 1} {
		for _, r := range []Root{testRoot, next} {
			s.SetKey(r, e)
			hints = append(hints, s.key.hint)
			if err := open(); err != nil {
				t.Errorf("epoch %d: %v", e, err)
			}
		}
	}
	for i := range hints {
		for j := range i {
			if hints[i] == hints[j] {
				t.Error("two keys have one hint")
			}
		}
	}
	o.SetEpoch(testEpoch + 3)
	if err := open(); !errors.Is(err, RefusedKey) {
		t.Errorf("of two epochs before: %v", err)
	}
	s.SetKey(next, testEpoch+3)
	before := s.aead
	s.seq = 1<<32 - 3
	o.streams[testStream].window.newest = s.seq
	for range 5 {
		if err := open(); err != nil {
			t.Errorf("number %d: %v", s.Seq(), err)
		}
	}
	if s.run != 1 || s.aead == before {
		t.Error("2^32 numbers were used with one key and it goes on")
	}
}

func TestAddressesAreLearntFromBeaconsAlone(t *testing.T) {
	s := NewSealer(testStream, testRoot, testEpoch)
	o := admitted(t, s)
	_, sign := testSigner()
	address := func(i int) netip.AddrPort { return netip.AddrPortFrom(testFrom.Addr(), uint16(i)) }
	for i := range 10 {
		d, err := s.SealBeacon(nil, TypeBeacon, testBeacon(), sign)
		if err != nil {
			t.Fatal(err)
		}
		m, err := o.Open(nil, d, address(i))
		if err != nil {
			t.Fatal(err)
		}
		o.Admit(&m, address(i))
	}
	for i := range 10 {
		_, err := o.Open(nil, s.Seal(nil, TypeShard, nil), address(i))
		if want := i >= 10-sourcesMax; (err == nil) != want {
			t.Errorf("address %d: %v", i, err)
		}
	}
}

// TestWindowAgreesWithASet compares with remembering all.
func TestWindowAgreesWithASet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var w window
		seen := map[uint64]bool{}
		newest := uint64(0)
		for range 20_000 {
			var seq uint64
			switch r.IntN(20) {
			case 0:
				seq = newest + uint64(r.IntN(10_000))
			case 1:
				seq = uint64(r.Int64N(int64(newest + 1)))
			default:
				seq = max(newest+40, 5000) - uint64(r.IntN(5000))
			}
			want := seq != 0 && !seen[seq] && seq+windowBits > newest
			if got := w.check(seq) == nil; got != want {
				t.Fatalf("number %d after %d: %v, want %v", seq, newest, got, want)
			}
			if want {
				w.add(seq)
				seen[seq], newest = true, max(newest, seq)
			}
		}
	}
}

func TestBeaconsSignatureCoversItsPlace(t *testing.T) {
	public, sign := testSigner()
	s := NewSealer(testStream, testRoot, testEpoch)
	for range 3 {
		s.Seal(nil, TypeShard, nil)
	}
	d, err := s.SealBeacon(nil, TypeBeacon, testBeacon(), sign)
	if err != nil {
		t.Fatal(err)
	}
	o := NewOpener(StreamID{9}, []Root{testRoot}, testEpoch)
	m, err := o.Open(nil, d, testFrom)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBeacon(m.Inner)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Signed(&b) || b.Key != [32]byte(public) {
		t.Fatal("a good beacon is not signed")
	}
	for name, change := range map[string]func(*Message){
		"type":    func(m *Message) { m.Type = TypeBye },
		"stream":  func(m *Message) { m.Stream[3]++ },
		"number":  func(m *Message) { m.Seq++ },
		"text":    func(m *Message) { m.Inner = bytes.Clone(m.Inner); m.Inner[7]++ },
		"network": func(m *Message) { m.key = newEpochKey(OpenRootOf("test"), testEpoch) },
	} {
		c := m
		change(&c)
		if c.Signed(&b) {
			t.Errorf("another %s passes", name)
		}
	}
}

func TestBeaconsThatAreTooLongAreRefused(t *testing.T) {
	_, sign := testSigner()
	s := NewSealer(testStream, testRoot, testEpoch)
	for name, change := range map[string]func(*Beacon){
		"text":      func(b *Beacon) { b.Text = make([]byte, TextMax+1) },
		"addresses": func(b *Beacon) { b.Addrs = make([][]byte, AddrsMax+1) },
		"address":   func(b *Beacon) { b.Addrs = [][]byte{{}} },
		"bytes":     func(b *Beacon) { b.Addrs = [][]byte{make([]byte, 200), make([]byte, 200)} },
		"reports":   func(b *Beacon) { b.Reports = make([]Report, ReportsMax+1) },
	} {
		b := testBeacon()
		change(b)
		if _, err := s.SealBeacon(nil, TypeBeacon, b, sign); !errors.Is(err, RefusedLength) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("no key")
	fails := func([]byte) ([]byte, error) { return nil, broken }
	if _, err := s.SealBeacon(nil, TypeBeacon, testBeacon(), fails); !errors.Is(err, broken) {
		t.Errorf("a signer's error: %v", err)
	}
	if s.Seq() != 0 {
		t.Error("numbers were used for what was not sealed")
	}
	full := testBeacon()
	full.Text, full.Addrs = make([]byte, TextMax), [][]byte{make([]byte, 255)}
	if _, err := s.SealBeacon(nil, TypeBeacon, full, sign); err != nil {
		t.Errorf("a full beacon: %v", err)
	}
}

func TestRefusalsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for r := range Refusal(Refusals) {
		if w := r.String(); w == "" || w == "unknown" || seen[w] {
			t.Errorf("refusal %d is %q", r, w)
		}
		seen[r.String()] = true
	}
	if Refusal(Refusals).String() != "unknown" {
		t.Error("an unknown refusal has a word")
	}
}
