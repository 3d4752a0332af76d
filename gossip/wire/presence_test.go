package wire

import (
	"errors"
	"math"
	"testing"
)

func TestAPresenceAtItsLimitsFitsABeacon(t *testing.T) {
	m := &Presence{Any: true, Cut: 1, Filters: math.MaxUint32}
	for range PresenceTopicsMax {
		m.Topics = append(m.Topics, TopicTag{1, 1})
	}
	for range PresencePeersMax {
		m.Peers = append(m.Peers, 1)
	}
	text := AppendMessage(nil, m)
	if len(text) > PresenceMaxBytes {
		t.Errorf("%d bytes", len(text))
	}
	got, err := ParsePresence(text)
	if err != nil || len(got.Topics) != PresenceTopicsMax || len(got.Peers) != PresencePeersMax {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatIsNoPresenceIsRefused(t *testing.T) {
	content := func(num int, n int) []byte {
		return appendKind(nil, kindPresence, appendBytes(nil, num, make([]byte, n)))
	}
	twice := appendBytes(appendBytes(nil, 5, make([]byte, 40)), 5, make([]byte, 4))
	for _, c := range []struct {
		name string
		text []byte
		want error
	}{
		{"an empty one", AppendMessage(nil, &Presence{}), nil},
		{"topics", content(4, 64), nil},
		{"too many topics", content(4, 72), ErrFormat},
		{"half a topic", content(4, 4), ErrFormat},
		{"too many peers", content(5, 44), ErrFormat},
		{"peers twice", appendKind(nil, kindPresence, twice), ErrTooLarge},
		{"nothing", nil, ErrFormat},
		{"another message", AppendMessage(nil, &Served{ID: 1}), ErrFormat},
		{"too long", make([]byte, PresenceMaxBytes+1), ErrTooLarge},
	} {
		if _, err := ParsePresence(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
