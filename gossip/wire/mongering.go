package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The writers and readers of the messages of rumor mongering. Their lists are
// packed, each in one field of bytes:
//
//	rumors:   short ID (16), counter (1)
//	feedback: short ID (16), flags (1), counter (1)

const (
	rumorBytes    = len(ShortID{}) + 1
	feedbackBytes = len(ShortID{}) + 2
)

// Flags of a [RumorFeedback]. Others are left to later versions and not read.
const (
	feedbackKnown = 1 << 0
	feedbackNeed  = 1 << 1
)

func appendContact(dst []byte, m *Contact) []byte {
	dst = appendString(dst, 1, m.Topic)
	dst = appendBool(dst, 2, m.Pull)
	return appendRumors(dst, 3, m.Rumors)
}

func appendRumorsMessage(dst []byte, m *Rumors) []byte {
	dst = appendString(dst, 1, m.Topic)
	dst = appendBool(dst, 2, m.Busy)
	return appendRumors(dst, 3, m.Rumors)
}

func appendRumors(dst []byte, num int, rumors []Rumor) []byte {
	if len(rumors) == 0 {
		return dst
	}
	dst = append(dst, byte(num<<3|typeBytes))
	dst = protowire.AppendVarint(dst, uint64(len(rumors)*rumorBytes))
	for i := range rumors {
		dst = append(append(dst, rumors[i].ID[:]...), rumors[i].Counter)
	}
	return dst
}

func appendFeedback(dst []byte, m *Feedback) []byte {
	dst = appendString(dst, 1, m.Topic)
	if len(m.Rumors) == 0 {
		return dst
	}
	dst = append(dst, 2<<3|typeBytes)
	dst = protowire.AppendVarint(dst, uint64(len(m.Rumors)*feedbackBytes))
	for i := range m.Rumors {
		f, flags := &m.Rumors[i], byte(0)
		if f.Known {
			flags |= feedbackKnown
		}
		if f.Need {
			flags |= feedbackNeed
		}
		dst = append(append(dst, f.ID[:]...), flags, f.Counter)
	}
	return dst
}

func (r *messageReader) contact() *Contact {
	m := &Contact{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Pull = r.boolean()
		case 3:
			m.Rumors = r.rumorList()
		}
	}
	r.needTopic(m.Topic)
	return m
}

func (r *messageReader) rumors() *Rumors {
	m := &Rumors{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Busy = r.boolean()
		case 3:
			m.Rumors = r.rumorList()
		}
	}
	r.needTopic(m.Topic)
	return m
}

func (r *messageReader) feedback() *Feedback {
	m := &Feedback{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Rumors = r.feedbackList()
		}
	}
	r.needTopic(m.Topic)
	return m
}

// elements returns the content of a list of at most EntriesMax elements of size
// bytes each.
func (r *messageReader) elements(size int) []byte {
	b := r.bytes()
	if len(b)%size != 0 {
		r.mistake(fmt.Errorf("%w: elements of %d bytes in %d", ErrFormat, size, len(b)))
		return nil
	}
	if len(b)/size > EntriesMax {
		r.mistake(fmt.Errorf("%w: %d elements, at most %d", ErrTooLarge, len(b)/size, EntriesMax))
		return nil
	}
	return b
}

func (r *messageReader) rumorList() []Rumor {
	b := r.elements(rumorBytes)
	if len(b) == 0 {
		return nil
	}
	list := make([]Rumor, len(b)/rumorBytes)
	for i := range list {
		e := b[i*rumorBytes:]
		list[i] = Rumor{ID: ShortID(e), Counter: e[rumorBytes-1]}
	}
	return list
}

func (r *messageReader) feedbackList() []RumorFeedback {
	b := r.elements(feedbackBytes)
	if len(b) == 0 {
		return nil
	}
	list := make([]RumorFeedback, len(b)/feedbackBytes)
	for i := range list {
		e := b[i*feedbackBytes:]
		flags := e[feedbackBytes-2]
		list[i] = RumorFeedback{
			ID: ShortID(e), Known: flags&feedbackKnown != 0, Need: flags&feedbackNeed != 0, Counter: e[feedbackBytes-1],
		}
	}
	return list
}
