package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAppendEvent(t *testing.T) {
	e := &Event{
		Topic: "a.b", Author: "12D3", Epoch: 1 << 63, Seq: 7, Offset: 9, Time: time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC),
		Key: []byte{}, Headers: []Header{{"x", []byte("1")}, {"y", []byte{0xff}}, {"x", []byte("2")}},
		Payload: []byte("say \"hi\"\\\n\t\x01é\u2028"), Late: true,
	}
	want := `{"topic":"a.b","author":"12D3","epoch":"9223372036854775808","seq":7,"offset":9,` +
		`"time":"2026-01-02T03:04:05.000000060Z","key":"","headers":{"x":["1","2"],"y":{"base64":"/w=="}},` +
		`"payload":"say \"hi\"\\\n\t\u0001é` + "\u2028" + `","late":true}` + "\n"
	if got := string(AppendEvent(nil, e)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	e = &Event{Payload: []byte{0xff}, Key: []byte{0xfe}}
	got := string(AppendEvent(nil, e))
	for _, part := range []string{`"payload_base64":"/w=="`, `"key":null,"key_base64":"/g=="`, `"headers":{}`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s has no %s", got, part)
		}
	}
}

var (
	contents = rapid.OneOf(
		rapid.SliceOf(rapid.Byte()),
		rapid.Just([]byte(`x","late":true}`)),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
	)
	keys = rapid.OneOf(contents, rapid.Just[[]byte](nil))
)

// drawHeaders draws headers of which those of a name stand together, as an
// object gives them back.
func drawHeaders(t *rapid.T) []Header {
	var hs []Header
	for _, name := range []string{"payload", "b\"", "late"} {
		for range rapid.IntRange(0, 2).Draw(t, "values") {
			hs = append(hs, Header{name, contents.Draw(t, "value")})
		}
	}
	return hs
}

// same compares events, for which an empty payload and none are alike.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func TestEventLinesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Event{
			Topic: rapid.String().Draw(t, "topic"), Author: "12D3", Epoch: rapid.Uint64().Draw(t, "epoch"),
			Seq: rapid.Uint64().Draw(t, "seq"), Offset: rapid.Uint64().Draw(t, "offset"),
			Time: time.Unix(0, rapid.Int64Min(0).Draw(t, "time")).UTC(), Key: keys.Draw(t, "key"),
			Headers: drawHeaders(t), Payload: append([]byte{}, contents.Draw(t, "payload")...),
			Late: rapid.Bool().Draw(t, "late"),
		}
		line := AppendEvent(nil, e)
		if strings.Count(string(line), "\n") != 1 {
			t.Fatalf("more than a line: %q", line)
		}
		got, err := ParseLine(line)
		if err != nil || got.Event == nil || !same(got.Event, e) {
			t.Fatalf("got %+v, %v from %q", got.Event, err, line)
		}
		if (got.Event.Key == nil) != (e.Key == nil) {
			t.Fatalf("key %v came back as %v", e.Key, got.Event.Key)
		}
		if p, err := Payload(line); err != nil || !bytes.Equal(p, e.Payload) {
			t.Fatalf("payload %q, %v from %q", p, err, line)
		}
	})
}

func TestPublicationLinesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Publication{Key: keys.Draw(t, "key"), Headers: drawHeaders(t), Payload: contents.Draw(t, "payload")}
		line := AppendPublication(nil, p)
		got, err := ParsePublication(line[:len(line)-1])
		if err != nil || !same(got, *p) && string(got.Payload) != string(p.Payload) {
			t.Fatalf("got %+v, %v from %q", got, err, line)
		}
		if (got.Key == nil) != (p.Key == nil) {
			t.Fatalf("key %v came back as %v", p.Key, got.Key)
		}
	})
}

func TestParsePublicationRefuses(t *testing.T) {
	for _, line := range []string{
		`{`, `[]`, `{"payload":7}`, `{"pay":"x"}`, `{"payload":"a","payload":"b`, `{"payload_base64":"%"}`,
	} {
		if p, err := ParsePublication([]byte(line)); err == nil {
			t.Errorf("%s was read as %+v", line, p)
		}
	}
}

func TestParseLineOfGap(t *testing.T) {
	want := &Gap{Topic: "t", Author: "a", From: &Mark{1, 2}, To: &Mark{3, 4}, Reason: "lost", Lost: 5}
	line := appendGap(nil, want)
	got, err := ParseLine(line)
	if err != nil || !reflect.DeepEqual(got.Gap, want) || !IsGap(line) {
		t.Errorf("got %+v, %v from %s", got, err, line)
	}
}

func TestIDLine(t *testing.T) {
	want := EventID{Topic: "t\"", Author: "a", Epoch: 1 << 60, Seq: 3}
	var got EventID
	if err := json.Unmarshal(AppendID(nil, want), &got); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	e := &Event{
		Topic: "orders.eu", Author: "12D3KooWGRUvHBXrpYzXGDvBq2yVzmGxcvLQk7QFqtaBgfSF2Ns5", Epoch: 116_000_000_000_000_000,
		Seq: 1_000_000, Offset: 1_000_000, Time: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), Payload: make([]byte, 128),
	}
	for i := range e.Payload {
		e.Payload[i] = 'x'
	}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendEvent(buf[:0], e)
	}
}
