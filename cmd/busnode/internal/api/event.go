package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event is an event as a line of a subscription shows it.
type Event struct {
	Topic   string
	Author  string // peer ID
	Epoch   uint64
	Seq     uint64
	Offset  uint64
	Time    time.Time
	Key     []byte // nil: no key
	Headers []Header
	Payload []byte
	Late    bool
}

// Header is a name and a value of an event. Names may repeat.
type Header struct {
	Name  string
	Value []byte
}

// EventID names an event, as a line of JSON does.
type EventID struct {
	Topic  string `json:"topic"`
	Author string `json:"author"`
	Epoch  uint64 `json:"epoch,string"`
	Seq    uint64 `json:"seq"`
}

// Mark is a place among the events of one author.
type Mark struct {
	Epoch uint64 `json:"epoch,string"`
	Seq   uint64 `json:"seq"`
}

// Gap is a stretch of events that a subscription could not be given.
type Gap struct {
	Topic  string `json:"topic"`
	Author string `json:"author"` // empty if events of several authors are concerned
	From   *Mark  `json:"from"`
	To     *Mark  `json:"to"`
	Reason string `json:"reason"`
	Lost   uint64 `json:"lost,omitempty"` // events, if known
}

// timeLayout is RFC 3339 with all nine digits, so that lines align and sort.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// AppendEvent appends the event's line, with its newline, to dst.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, e.Topic)
	dst = append(dst, `,"author":`...)
	dst = appendString(dst, e.Author)
	dst = append(dst, `,"epoch":"`...)
	dst = strconv.AppendUint(dst, e.Epoch, 10)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendUint(dst, e.Offset, 10)
	dst = append(dst, `,"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, `","key":`...)
	dst = appendKey(dst, e.Key)
	dst = append(dst, `,"headers":`...)
	dst = appendHeaders(dst, e.Headers)
	dst = append(dst, ',')
	dst = appendPayload(dst, e.Payload)
	if e.Late {
		dst = append(dst, `,"late":true`...)
	}
	return append(dst, "}\n"...)
}

// appendKey appends a key's value. A key that is no text follows in a field of
// its own, as payloads do, so that "key" is a string or null whatever it holds.
func appendKey(dst, key []byte) []byte {
	switch {
	case key == nil:
		return append(dst, "null"...)
	case utf8.Valid(key):
		return appendString(dst, key)
	}
	dst = append(dst, `null,"key_base64":`...)
	return appendBase64(dst, key)
}

// appendHeaders appends an object of headers. The values of a name that repeats
// become a list, for JSON objects with repeated names lose some of them on reading.
func appendHeaders(dst []byte, hs []Header) []byte {
	dst = append(dst, '{')
	first := true
	for i := range hs {
		if named(hs[:i], hs[i].Name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, hs[i].Name)
		dst = append(dst, ':')
		if !named(hs[i+1:], hs[i].Name) {
			dst = appendHeaderValue(dst, hs[i].Value)
			continue
		}
		dst = append(dst, '[')
		dst = appendHeaderValue(dst, hs[i].Value)
		for _, h := range hs[i+1:] {
			if h.Name == hs[i].Name {
				dst = append(dst, ',')
				dst = appendHeaderValue(dst, h.Value)
			}
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func named(hs []Header, name string) bool {
	for i := range hs {
		if hs[i].Name == name {
			return true
		}
	}
	return false
}

func appendHeaderValue(dst, v []byte) []byte {
	if utf8.Valid(v) {
		return appendString(dst, v)
	}
	dst = append(dst, `{"base64":`...)
	dst = appendBase64(dst, v)
	return append(dst, '}')
}

func appendPayload(dst, p []byte) []byte {
	if utf8.Valid(p) {
		dst = append(dst, `"payload":`...)
		return appendString(dst, p)
	}
	dst = append(dst, `"payload_base64":`...)
	return appendBase64(dst, p)
}

func appendBase64(dst, p []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, p)
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. It escapes what JSON demands and
// DEL, nothing else; s must be valid UTF-8.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// AppendID appends the ID's line, with its newline, to dst.
func AppendID(dst []byte, id EventID) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, id.Topic)
	dst = append(dst, `,"author":`...)
	dst = appendString(dst, id.Author)
	dst = append(dst, `,"epoch":"`...)
	dst = strconv.AppendUint(dst, id.Epoch, 10)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, id.Seq, 10)
	return append(dst, "}\n"...)
}

// jsonHeaders is an object of headers. Decoding keeps their order, which a map would lose.
type jsonHeaders []Header

// UnmarshalJSON implements [json.Unmarshaler].
func (hs *jsonHeaders) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	open, err := dec.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('{') {
		return errors.New("headers are no object")
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		values, err := headerValues(raw)
		if err != nil {
			return err
		}
		for _, v := range values {
			*hs = append(*hs, Header{Name: name.(string), Value: v}) // an object's names are strings
		}
	}
	return nil
}

// headerValues reads a header's value, or the list of those of a repeated name.
func headerValues(b json.RawMessage) ([][]byte, error) {
	var list []json.RawMessage
	if b[0] != '[' {
		list = []json.RawMessage{b}
	} else if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	values := make([][]byte, len(list))
	for i, raw := range list {
		var text string
		var o struct {
			Base64 []byte `json:"base64"`
		}
		var err error
		if raw[0] == '"' {
			err = json.Unmarshal(raw, &text)
			values[i] = []byte(text)
		} else {
			err = json.Unmarshal(raw, &o)
			values[i] = o.Base64
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

// jsonContent is what a line in either direction says about an event's content.
type jsonContent struct {
	Key           *string     `json:"key"`
	KeyBase64     []byte      `json:"key_base64"`
	Headers       jsonHeaders `json:"headers"`
	Payload       *string     `json:"payload"`
	PayloadBase64 []byte      `json:"payload_base64"`
}

func (c *jsonContent) key() []byte {
	if c.Key != nil {
		return []byte(*c.Key)
	}
	return c.KeyBase64
}

func (c *jsonContent) payload() []byte {
	if c.Payload != nil {
		return []byte(*c.Payload)
	}
	return c.PayloadBase64
}

// Line is what a subscription's line holds: one of the three is not nil.
type Line struct {
	Event *Event
	Gap   *Gap
	Err   *Error
}

// ParseLine reads a line of a subscription.
func ParseLine(b []byte) (Line, error) {
	var l struct {
		Topic  string    `json:"topic"`
		Author string    `json:"author"`
		Epoch  uint64    `json:"epoch,string"`
		Seq    uint64    `json:"seq"`
		Offset uint64    `json:"offset"`
		Time   time.Time `json:"time"`
		Late   bool      `json:"late"`
		Gap    *Gap      `json:"gap"`
		Err    *Error    `json:"error"`
		jsonContent
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Line{}, fmt.Errorf("line of a subscription: %w", err)
	}
	if l.Gap != nil || l.Err != nil {
		return Line{Gap: l.Gap, Err: l.Err}, nil
	}
	return Line{Event: &Event{
		Topic: l.Topic, Author: l.Author, Epoch: l.Epoch, Seq: l.Seq, Offset: l.Offset, Time: l.Time,
		Key: l.key(), Headers: l.Headers, Payload: l.payload(), Late: l.Late,
	}}, nil
}

var (
	payloadField = []byte(`,"payload":"`)
	lateField    = []byte(`,"late":true`)
)

// Payload returns the payload of an event's line, which it may alias. Of text
// without escapes it finds the place and parses nothing: no string within the line
// can hold an unescaped quote, and no field with text follows the payload.
func Payload(line []byte) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if i := bytes.LastIndex(line, payloadField); i >= 0 {
		text := bytes.TrimSuffix(line[i+len(payloadField):], []byte("}"))
		text, ok := bytes.CutSuffix(bytes.TrimSuffix(text, lateField), []byte{'"'})
		if ok && bytes.IndexByte(text, '\\') < 0 && bytes.IndexByte(text, '"') < 0 {
			return text, nil
		}
	}
	l, err := ParseLine(line)
	if err != nil || l.Event == nil {
		return nil, cmp.Or(err, errNoEvent)
	}
	return l.Event.Payload, nil
}

var errNoEvent = errors.New("line of a subscription: no event")
