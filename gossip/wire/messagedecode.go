package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// messageReader reads the fields of one message. A mistake ends the walk and
// stays in err; the setters then do nothing of harm, so that callers check once.
type messageReader struct {
	fields
	f field
}

func (r *messageReader) next() bool { return r.err == nil && r.fields.next(&r.f) }

// mistake notes err, unless there is an earlier one.
func (r *messageReader) mistake(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("field %d: %w", r.f.num, err)
	}
}

// is reports whether the field has the wire type typ, and notes it if not.
func (r *messageReader) is(typ uint8) bool {
	if r.f.typ != typ {
		r.mistake(fmt.Errorf("%w: wire type %d", ErrFormat, r.f.typ))
		return false
	}
	return true
}

func (r *messageReader) uint64() uint64 {
	r.is(typeVarint)
	return r.f.val
}

func (r *messageReader) uint32() uint32 {
	if r.is(typeVarint) && r.f.val > math.MaxUint32 {
		r.mistake(fmt.Errorf("%w: %d exceeds 32 bits", ErrFormat, r.f.val))
	}
	return uint32(r.f.val)
}

func (r *messageReader) boolean() bool { return r.uint64() != 0 }

func (r *messageReader) fixed() uint64 {
	r.is(typeFixed64)
	return r.f.val
}

func (r *messageReader) time() Time   { return Time(r.fixed()) }
func (r *messageReader) epoch() Epoch { return Epoch(r.uint64()) }

// bytes returns the field's content, which aliases the frame.
func (r *messageReader) bytes() []byte {
	r.is(typeBytes)
	return r.f.data
}

func (r *messageReader) author() (a Author) {
	if b := r.bytes(); len(b) != len(a) {
		r.mistake(fmt.Errorf("%w: key of %d bytes", ErrFormat, len(b)))
	} else {
		a = Author(b)
	}
	return a
}

// name returns a topic, or what else valid accepts.
func (r *messageReader) name(valid func(string) error) string {
	b := r.bytes()
	if len(b) > TopicMax {
		r.mistake(fmt.Errorf("%w: name of %d bytes, at most %d", ErrTooLarge, len(b), TopicMax))
		return ""
	}
	name := string(b)
	if err := valid(name); err != nil {
		r.mistake(fmt.Errorf("%w: %w", ErrFormat, err))
	}
	return name
}

func (r *messageReader) topic() string { return r.name(ValidTopic) }

// needTopic notes a message that lacks its topic.
func (r *messageReader) needTopic(topic string) {
	if topic == "" && r.err == nil {
		r.err = fmt.Errorf("%w: no topic", ErrFormat)
	}
}

// room notes a list that has n elements already and may not have more.
func (r *messageReader) room(n, limit int) bool {
	if n >= limit {
		r.mistake(fmt.Errorf("%w: over %d elements", ErrTooLarge, limit))
	}
	return n < limit
}

// ids unpacks short IDs, of which there may be room more.
func (r *messageReader) ids(room int) []uint64 {
	b := r.bytes()
	if len(b)%8 != 0 {
		r.mistake(fmt.Errorf("%w: short IDs of %d bytes", ErrFormat, len(b)))
		return nil
	}
	if len(b)/8 > room {
		r.mistake(fmt.Errorf("%w: over %d short IDs", ErrTooLarge, ShortIDsMax))
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	ids := make([]uint64, len(b)/8)
	for i := range ids {
		ids[i] = binary.BigEndian.Uint64(b[i*8:])
	}
	return ids
}

// nested returns a reader of the field's content.
func (r *messageReader) nested() messageReader {
	return messageReader{fields: fields{buf: r.bytes()}}
}

// join takes over the mistake of a nested reader.
func (r *messageReader) join(in *messageReader) {
	if in.err != nil {
		r.mistake(in.err)
	}
}

func (r *messageReader) interest() *Interest {
	m := &Interest{}
	for r.next() {
		switch r.f.num {
		case 1:
			if r.room(len(m.Add), FiltersMax) {
				m.Add = append(m.Add, r.name(ValidFilter))
			}
		case 2:
			if r.room(len(m.Remove), FiltersMax) {
				m.Remove = append(m.Remove, r.name(ValidFilter))
			}
		}
	}
	return m
}

func (r *messageReader) topics() *Topics {
	m := &Topics{}
	for r.next() {
		switch r.f.num {
		case 1:
			if r.room(len(m.Add), EntriesMax) {
				m.Add = append(m.Add, r.topicEntry())
			}
		case 2:
			if r.room(len(m.Remove), EntriesMax) {
				m.Remove = append(m.Remove, r.topic())
			}
		}
	}
	return m
}

func (r *messageReader) topicEntry() (e TopicEntry) {
	in := r.nested()
	for in.next() {
		switch in.f.num {
		case 1:
			e.Name = in.topic()
		case 2:
			e.Scope = TopicScope(in.uint32())
		}
	}
	in.needTopic(e.Name)
	r.join(&in)
	return e
}

func (r *messageReader) link() *Link {
	m := &Link{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Up = r.boolean()
		}
	}
	r.needTopic(m.Topic)
	return m
}

func (r *messageReader) have() *Have {
	m := &Have{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			if r.room(len(m.Heads), EntriesMax) {
				m.Heads = append(m.Heads, r.head())
			}
		}
	}
	r.needTopic(m.Topic)
	return m
}

func (r *messageReader) head() (h Head) {
	in := r.nested()
	author := false
	for in.next() {
		switch in.f.num {
		case 1:
			h.Author, author = in.author(), true
		case 2:
			h.Base.Epoch = in.epoch()
		case 3:
			h.Base.Seq = in.uint64()
		case 4:
			h.Head.Epoch = in.epoch()
		case 5:
			h.Head.Seq = in.uint64()
		}
	}
	in.needAuthor(author)
	r.join(&in)
	return h
}

// needAuthor notes a message that lacks its author.
func (r *messageReader) needAuthor(seen bool) {
	if !seen && r.err == nil {
		r.err = fmt.Errorf("%w: no author", ErrFormat)
	}
}

// graft reads a Graft, whose form is also that of a Prune.
func (r *messageReader) graft() *Graft {
	m := &Graft{}
	author := false
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Author, author = r.author(), true
		}
	}
	r.needTopic(m.Topic)
	r.needAuthor(author)
	return m
}

func (r *messageReader) refuse() *Refuse {
	m := &Refuse{}
	author := false
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Author, author = r.author(), true
		case 3:
			m.Mark.Epoch = r.epoch()
		case 4:
			m.Mark.Seq = r.uint64()
		case 5:
			m.Reason = Reason(r.uint32())
		}
	}
	r.needTopic(m.Topic)
	r.needAuthor(author)
	return m
}

func (r *messageReader) hello() *Hello {
	m := &Hello{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Mine = r.fixed()
		case 2:
			m.Yours = r.fixed()
		}
	}
	return m
}
