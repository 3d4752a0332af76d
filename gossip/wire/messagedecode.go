package wire

import (
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

func (r *messageReader) author() Author { return Author(r.hash()) }

// hash returns 32 bytes: a key or a batch's ID.
func (r *messageReader) hash() (h [32]byte) {
	if b := r.bytes(); len(b) != len(h) {
		r.mistake(fmt.Errorf("%w: %d bytes, not %d", ErrFormat, len(b), len(h)))
	} else {
		h = [32]byte(b)
	}
	return h
}

func (r *messageReader) shortID() (id ShortID) {
	if b := r.bytes(); len(b) != len(id) {
		r.mistake(fmt.Errorf("%w: %d bytes, not %d", ErrFormat, len(b), len(id)))
	} else {
		id = ShortID(b)
	}
	return id
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

// makeRoom notes a list that has limit elements already, and allocates it for the
// first: for as many as the message has. What is shorter than least bytes is no
// element; so a list in memory stays in proportion to the message.
func makeRoom[T any](r *messageReader, list *[]T, limit, least int) bool {
	if *list != nil {
		return r.room(len(*list), limit)
	}
	n, f := 1, field{}
	for rest := (fields{buf: r.buf, pos: r.pos}); n < limit && rest.next(&f); {
		if f.num == r.f.num && len(f.data) >= least {
			n++
		}
	}
	*list = make([]T, 0, n)
	return true
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
			if makeRoom(r, &m.Add, FiltersMax, 1) {
				m.Add = append(m.Add, r.name(ValidFilter))
			}
		case 2:
			if makeRoom(r, &m.Remove, FiltersMax, 1) {
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
			if makeRoom(r, &m.Add, EntriesMax, 2) {
				m.Add = append(m.Add, r.topicEntry())
			}
		case 2:
			if makeRoom(r, &m.Remove, EntriesMax, 1) {
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
			if makeRoom(r, &m.Heads, EntriesMax, len(Author{})) {
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
		case 6:
			h.Number = in.uint32()
		}
	}
	in.needAuthor(author)
	r.join(&in)
	return h
}

func (r *messageReader) advance() *Advance {
	m := &Advance{}
	for r.next() {
		if r.f.num != 1 {
			continue
		}
		b := r.bytes()
		if m.Heads == nil && len(b) > 0 {
			m.Heads = make([]AdvancedHead, 0, min(len(b)/2, EntriesMax)) // a pair takes two bytes at least
		}
		for pos := 0; pos < len(b) && r.room(len(m.Heads), EntriesMax); {
			number, next := uvarint(b, pos)
			seq, end := uvarint(b, max(next, 0))
			if next <= pos || end <= next || number == 0 || number > math.MaxUint32 {
				r.mistake(fmt.Errorf("%w: advanced heads that are no pairs of number and sequence", ErrFormat))
				break
			}
			m.Heads = append(m.Heads, AdvancedHead{uint32(number), seq})
			pos = end
		}
	}
	return m
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
