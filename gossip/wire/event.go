package wire

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of a body, an event and an event's header.
const (
	bodyEvent = 1

	eventTime    = 1
	eventKey     = 2
	eventHeader  = 3
	eventPayload = 4

	eventHeaderName  = 1
	eventHeaderValue = 2
)

// eventMinBytes is what the smallest event takes in a body: tag and length.
const eventMinBytes = 2

// Event is one event of a batch. Its slices alias the batch's body when it
// comes from an [EventReader].
type Event struct {
	Time    Time
	Key     []byte // nil: no key; empty and non-nil: the empty key
	Headers []EventHeader
	Payload []byte
}

// EventHeader is a name (any UTF-8) and a value (any bytes). Names may repeat.
type EventHeader struct {
	Name  string
	Value []byte
}

// Size returns the bytes of key, headers and payload: what a limit on events
// such as [EventMaxBytes] counts.
func (e *Event) Size() int {
	n := len(e.Key) + len(e.Payload)
	for i := range e.Headers {
		n += len(e.Headers[i].Name) + len(e.Headers[i].Value)
	}
	return n
}

// Valid returns nil, or why the event cannot be published under a limit of
// maxBytes. The error wraps [ErrTooLarge] or [ErrFormat].
func (e *Event) Valid(maxBytes int) error {
	if n := e.Size(); n > maxBytes {
		return fmt.Errorf("%w: event of %d bytes, at most %d", ErrTooLarge, n, maxBytes)
	}
	if n := len(e.Headers); n > EventHeadersMax {
		return fmt.Errorf("%w: event with %d headers, at most %d", ErrTooLarge, n, EventHeadersMax)
	}
	for i := range e.Headers {
		if !utf8.ValidString(e.Headers[i].Name) {
			return fmt.Errorf("%w: event header %d: name %q is not UTF-8", ErrFormat, i, e.Headers[i].Name)
		}
	}
	return nil
}

// AppendEvent appends e in the body's form; base is the batch's time. An event
// without a time is dated as the batch is. e is as [Event.Valid] demands.
func AppendEvent(dst []byte, base Time, e *Event) []byte {
	offset := eventOffset(base, e)
	dst = append(dst, bodyEvent<<3|typeBytes)
	dst = protowire.AppendVarint(dst, uint64(eventContentSize(offset, e)))
	dst = appendUint(dst, eventTime, offset)
	if e.Key != nil {
		dst = appendBytes(dst, eventKey, e.Key)
	}
	for i := range e.Headers {
		h := &e.Headers[i]
		dst = append(dst, eventHeader<<3|typeBytes)
		dst = protowire.AppendVarint(dst, uint64(eventHeaderSize(h)))
		dst = appendString(dst, eventHeaderName, h.Name)
		if len(h.Value) != 0 {
			dst = appendBytes(dst, eventHeaderValue, h.Value)
		}
	}
	if len(e.Payload) != 0 {
		dst = appendBytes(dst, eventPayload, e.Payload)
	}
	return dst
}

// EventSize returns how many bytes [AppendEvent] appends.
func EventSize(base Time, e *Event) int {
	return 1 + protowire.SizeBytes(eventContentSize(eventOffset(base, e), e))
}

func eventOffset(base Time, e *Event) uint64 {
	if e.Time == 0 {
		return 0
	}
	return zigzag(int64(e.Time - base))
}

func eventContentSize(offset uint64, e *Event) int {
	n := 0
	if offset != 0 {
		n += 1 + protowire.SizeVarint(offset)
	}
	if e.Key != nil {
		n += 1 + protowire.SizeBytes(len(e.Key))
	}
	for i := range e.Headers {
		n += 1 + protowire.SizeBytes(eventHeaderSize(&e.Headers[i]))
	}
	if len(e.Payload) != 0 {
		n += 1 + protowire.SizeBytes(len(e.Payload))
	}
	return n
}

func eventHeaderSize(h *EventHeader) int {
	n := 0
	if h.Name != "" {
		n += 1 + protowire.SizeBytes(len(h.Name))
	}
	if len(h.Value) != 0 {
		n += 1 + protowire.SizeBytes(len(h.Value))
	}
	return n
}
