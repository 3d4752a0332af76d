package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPeerIDOfAnAuthor(t *testing.T) {
	author := testSigner().Author()
	p := author.PeerID()
	if back, ok := AuthorOf(p); !ok || back != author {
		t.Errorf("AuthorOf(%v) = %x, %v", p, back, ok)
	}
	// The text that libp2p's own code gives for the key.
	if text := p.String(); text != "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7" {
		t.Errorf("text %s", text)
	}
	if back, err := ParsePeerID(p.String()); err != nil || back != p {
		t.Errorf("ParsePeerID(%v) = %v, %v", p, back, err)
	}
	for _, other := range []PeerID{"", "segment", p[:37], p + "x", "\x12\x20" + PeerID(author[:])} {
		if _, ok := AuthorOf(other); ok {
			t.Errorf("AuthorOf(%q)", string(other))
		}
	}
}

func TestPeerIDText(t *testing.T) {
	for _, text := range []string{
		"QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
		"12D3KooWRm8J3iL796zPFi2EtGGtUJn58AG67gcqzMFHZnnsTzqD",
	} {
		if p, err := ParsePeerID(text); err != nil || p.String() != text {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{
		"", "0OIl", "abc", strings.Repeat("1", 129), "12D3KooWRm8J3iL796zPFi2EtGGtUJn58AG67gcqzMFHZnnsTzq",
	} {
		if p, err := ParsePeerID(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %q, %v", text, string(p), err)
		}
	}
	if s := PeerID("segment:eth0").String(); s != "segment:eth0" {
		t.Errorf("name of a segment: %s", s)
	}
}

func TestTimesAndEpochs(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	if got := TimeOf(at).Std(); !got.Equal(at) {
		t.Errorf("time %v", got)
	}
	if got := TimeOf(at).Add(time.Second).Std(); !got.Equal(at.Add(time.Second)) {
		t.Errorf("time plus a second %v", got)
	}
	epoch := Epoch(at.UnixMilli()<<16 | 0xffff)
	if got := epoch.Time().Std(); !got.Equal(at) {
		t.Errorf("epoch's time %v", got)
	}
	low, high := Mark{epoch, 9}, Mark{epoch + 1, 1}
	if low.Compare(high) >= 0 || high.Compare(low) <= 0 || low.Compare(low) != 0 || low.Compare(Mark{epoch, 8}) <= 0 {
		t.Error("Compare")
	}
	id := BatchID{0, 1, 2, 3, 4, 5, 6, 7, 8}
	id[15], id[16] = 15, 16
	if id.Short() != (ShortID{0, 1, 2, 3, 4, 5, 6, 7, 8, 15: 15}) || id.String() != "0001020304050607" {
		t.Errorf("short ID %x, text %v", id.Short(), id)
	}
}

func TestNegotiateTakesTheHighestCommonVersion(t *testing.T) {
	for _, c := range []struct{ ourMin, ourMax, theirMin, theirMax, want uint32 }{
		{1, 1, 1, 1, 1},
		{1, 1, 1, 9, 1},
		{1, 3, 2, 9, 3},
		{2, 4, 1, 3, 3},
		{2, 4, 5, 9, 0},
		{2, 4, 1, 1, 0},
		{1, 4, 3, 2, 0},
		{1, 1, 0, 0, 0},
	} {
		got, err := negotiate(c.ourMin, c.ourMax, c.theirMin, c.theirMax)
		if got != c.want || (c.want == 0) != errors.Is(err, ErrVersion) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
	if v, err := Negotiate(VersionMin, VersionMax+5); v != VersionMax || err != nil {
		t.Errorf("Negotiate = %d, %v", v, err)
	}
}
