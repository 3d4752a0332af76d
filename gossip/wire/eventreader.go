package wire

import (
	"fmt"
	"unicode/utf8"
	"unsafe"
)

// EventReader reads the events of a batch, without copying: what it returns
// aliases the batch's body (or, if the body was compressed, its unpacked form).
//
//	events, err := batch.Events()
//	…
//	for e, ok := events.Next(); ok; e, ok = events.Next() { … }
//	if err := events.Err(); err != nil { … }
type EventReader struct {
	body []byte
	pos  int
	left uint32 // events still to come, by the header's count
	base Time
	err  error
}

// Events returns a reader at the batch's first event. It unpacks a compressed
// body once. The error wraps [ErrUnreadable], [ErrFormat] or [ErrTooLarge].
func (b *Batch) Events() (EventReader, error) {
	h := &b.Header
	if h.Unreadable {
		return EventReader{}, fmt.Errorf("%w: batch %v (kind %d, compression %d)", ErrUnreadable, b.ID, h.Kind, h.Compression)
	}
	body := b.Body
	if h.Compression == CompressionZstd {
		var err error
		if body, err = unpack(body); err != nil {
			return EventReader{}, fmt.Errorf("batch %v: %w", b.ID, err)
		}
		if uint64(len(body)) < uint64(h.Count)*eventMinBytes {
			return EventReader{}, fmt.Errorf("%w: batch %v: %d events in %d bytes", ErrFormat, b.ID, h.Count, len(body))
		}
	}
	return EventReader{body: body, left: h.Count, base: h.Time}, nil
}

// Err returns the mistake that ended the reading early, or nil. A body that
// holds fewer or more events than its header says is such a mistake.
// The error wraps [ErrFormat].
func (r *EventReader) Err() error { return r.err }

// Next returns the next event, or false after the last or at a mistake of
// form, see [EventReader.Err].
func (r *EventReader) Next() (e Event, ok bool) {
	for r.pos < len(r.body) && r.err == nil {
		if r.body[r.pos] != bodyEvent<<3|typeBytes {
			r.skip()
			continue
		}
		n, start := uvarint(r.body, r.pos+1)
		switch {
		case start < 0 || n > uint64(len(r.body)-start):
			r.fail("length", r.pos)
		case r.left == 0:
			r.fail("more events than the header says", r.pos)
		default:
			r.left--
			r.pos = start + int(n)
			if r.parse(&e, start, r.pos) {
				return e, true
			}
		}
		return Event{}, false
	}
	if r.left != 0 && r.err == nil {
		r.err = fmt.Errorf("%w: body: %d events fewer than the header says", ErrFormat, r.left)
	}
	return Event{}, false
}

// parse reads the event between start and end of the body into e.
func (r *EventReader) parse(e *Event, start, end int) bool {
	var offset uint64
	var seen uint8
	body := r.body[:end]
	for pos := start; pos < end; {
		tag := body[pos]
		if tag != eventTime<<3|typeVarint && tag != eventKey<<3|typeBytes &&
			tag != eventHeader<<3|typeBytes && tag != eventPayload<<3|typeBytes {
			var ok bool
			if pos, ok = r.skipField(body, pos); !ok {
				return false
			}
			continue
		}
		v, next := uvarint(body, pos+1)
		if next < 0 {
			return r.fail("event: number cut off", pos)
		}
		var data []byte
		if tag&7 == typeBytes {
			if v > uint64(end-next) {
				return r.fail("event: length", pos)
			}
			data = body[next : next+int(v) : next+int(v)]
		}
		bit := uint8(0)
		switch tag {
		case eventTime<<3 | typeVarint:
			bit, offset = 1<<eventTime, v
		case eventKey<<3 | typeBytes:
			bit, e.Key = 1<<eventKey, data
		case eventPayload<<3 | typeBytes:
			bit, e.Payload = 1<<eventPayload, data
		case eventHeader<<3 | typeBytes:
			if !r.parseHeader(e, data, pos, end) {
				return false
			}
		}
		if seen&bit != 0 {
			return r.fail("event: field twice", pos)
		}
		seen |= bit
		pos = next + len(data)
	}
	// Wrapping around is caught with what lies before 1970.
	if e.Time = r.base + Time(unzigzag(offset)); e.Time <= 0 {
		return r.fail("event: time", start)
	}
	return true
}

// parseHeader reads an event's header, the field at pos whose content is data,
// into e. At the first one it makes room for all of the event, which ends at end.
func (r *EventReader) parseHeader(e *Event, data []byte, pos, end int) bool {
	if e.Headers == nil {
		n := countHeaders(r.body[pos:end])
		if n > EventHeadersMax {
			return r.fail("event: too many headers", pos)
		}
		e.Headers = make([]EventHeader, 0, n)
	}
	var h EventHeader
	var f field
	fs := fields{buf: data}
	for fs.next(&f) {
		switch {
		case f.num == eventHeaderName && f.typ == typeBytes:
			if !utf8.Valid(f.data) {
				return r.fail("event: header name is not UTF-8", pos)
			}
			// The body is never modified, so a string may share its bytes.
			h.Name = unsafe.String(unsafe.SliceData(f.data), len(f.data))
		case f.num == eventHeaderValue && f.typ == typeBytes:
			h.Value = f.data
		case f.num <= eventHeaderValue:
			return r.fail("event: wire type in header", pos)
		}
	}
	if fs.err != nil {
		return r.fail("event: header", pos)
	}
	e.Headers = append(e.Headers, h)
	return true
}

// countHeaders counts the headers in an event's fields.
func countHeaders(b []byte) (n int) {
	var f field
	fs := fields{buf: b}
	for fs.next(&f) {
		if f.num == eventHeader {
			n++
		}
	}
	return n
}

// skip passes over a field of the body that is no event.
func (r *EventReader) skip() {
	fs := fields{buf: r.body, pos: r.pos}
	var f field
	if !fs.next(&f) || f.num == bodyEvent {
		r.fail("field", r.pos)
		return
	}
	r.pos = fs.pos
}

// skipField returns the place after an event's field at pos that this version
// does not know.
func (r *EventReader) skipField(event []byte, pos int) (int, bool) {
	fs := fields{buf: event, pos: pos}
	var f field
	if !fs.next(&f) || f.num <= eventPayload {
		return 0, r.fail("event: field", pos)
	}
	return fs.pos, true
}

// fail notes a mistake at byte pos of the body.
func (r *EventReader) fail(what string, pos int) bool {
	r.err = fmt.Errorf("%w: body: %s at byte %d", ErrFormat, what, pos)
	return false
}
