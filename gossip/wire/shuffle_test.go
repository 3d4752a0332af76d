package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestRecordsThatNameNobodyAreRefused(t *testing.T) {
	peer := testSigner().Author().PeerID()
	shuffle := func(r Record) []byte { return AppendMessage(nil, &Shuffle{Topic: "a", Records: []Record{r}}) }
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"a record", shuffle(Record{Peer: peer, Signed: []byte{1}}), nil},
		{"the longest", shuffle(Record{Peer: peer, Signed: make([]byte, RecordMaxBytes)}), nil},
		{"too long", shuffle(Record{Peer: peer, Signed: make([]byte, RecordMaxBytes+1)}), ErrTooLarge},
		{"no signature", shuffle(Record{Peer: peer}), ErrFormat},
		{"no peer", shuffle(Record{Signed: []byte{1}}), ErrFormat},
		{"a peer that is no multihash", shuffle(Record{Peer: "segment", Signed: []byte{1}}), ErrFormat},
		{"a peer with a letter after it", shuffle(Record{Peer: peer + "x", Signed: []byte{1}}), ErrFormat},
		{"no topic", AppendMessage(nil, &Shuffle{Reply: true}), ErrFormat},
		{"no topic, and full", AppendMessage(nil, &Shuffle{Full: true}), nil},
	} {
		if _, err := parseFrame(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestARecordOutlivesItsFrame(t *testing.T) {
	r := Record{Peer: testSigner().Author().PeerID(), Signed: []byte("envelope")}
	frame := AppendMessage(nil, &Shuffle{Topic: "a", Records: []Record{r}})
	messages, err := parseFrame(frame)
	if err != nil {
		t.Fatal(err)
	}
	clear(frame)
	if got := messages[0].(*Shuffle).Records[0]; got.Peer != r.Peer || !bytes.Equal(got.Signed, r.Signed) {
		t.Errorf("%q %q after the frame was overwritten", got.Peer, got.Signed)
	}
}
