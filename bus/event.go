package bus

import (
	"fmt"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Event is one event as a subscription sees it. It is a plain value: it may be
// copied, kept and compared field by field. Its byte slices are the log's own
// memory and must not be modified.
type Event[T any] struct {
	Value   T
	ID      EventID
	Topic   string
	Offset  uint64    // its place in this node's topic; other nodes count differently
	Time    time.Time // when it was published, by its author's clock; UTC
	Key     []byte    // nil without a key; see HasKey
	HasKey  bool      // tells no key from an empty one
	Headers []EventHeader
	Payload []byte // Value before decoding
	Late    bool   // it arrived after a [GapError] reported it missing, so out of its author's order
}

// EventHeader is a name, any UTF-8, and a value, any bytes. Names may repeat.
type EventHeader struct {
	Name  string
	Value []byte
}

// Header returns the first header of that name, or false.
func (e *Event[T]) Header(name string) ([]byte, bool) {
	for _, h := range e.Headers {
		if h.Name == name {
			return h.Value, true
		}
	}
	return nil, false
}

// EventID names an event, the same on all nodes.
type EventID struct {
	Topic  string
	Author PeerID
	Epoch  uint64 // one run of the author; later runs have higher ones
	Seq    uint64 // the event's number in (topic, author, epoch), from 1
}

// String returns topic/author/epoch/sequence.
func (id EventID) String() string {
	return fmt.Sprintf("%s/%s/%d/%d", id.Topic, id.Author, id.Epoch, id.Seq)
}

// Mark is a place in what one author published on one topic.
type Mark struct {
	Epoch, Seq uint64
}

// String returns epoch/sequence.
func (m Mark) String() string { return fmt.Sprintf("%d/%d", m.Epoch, m.Seq) }

func markOf(m wire.Mark) Mark { return Mark{uint64(m.Epoch), m.Seq} }

// EventOption adds to an event that is published: see [Key] and [Header].
type EventOption struct {
	kind  eventOptionKind
	name  string
	value []byte
}

type eventOptionKind uint8

const (
	optionNone eventOptionKind = iota
	optionKey
	optionHeader
)

// Key gives the event a key. An empty key is a key.
func Key[K string | []byte](key K) EventOption {
	return EventOption{kind: optionKey, value: nonNil(key)}
}

// Header gives the event a header: a name, any UTF-8, and a value, any
// bytes. Names may repeat; headers keep their order.
func Header[V string | []byte](name string, value V) EventOption {
	return EventOption{kind: optionHeader, name: name, value: nonNil(value)}
}

func nonNil[V string | []byte](v V) []byte { return append([]byte{}, v...) }

// headersOf copies headers, for the reader that they come from uses their slice again.
func headersOf(hs []wire.EventHeader) []EventHeader {
	if len(hs) == 0 {
		return nil
	}
	out := make([]EventHeader, len(hs))
	for i, h := range hs {
		out[i] = EventHeader{h.Name, h.Value}
	}
	return out
}
