package wire

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kinds of messages: the field numbers of a frame. They are on the wire:
// append only, never reorder, never reuse.
const (
	kindPush         = 1
	kindInterest     = 2
	kindTopics       = 3
	kindLink         = 4
	kindHave         = 5
	kindGraft        = 6
	kindPrune        = 7
	kindWant         = 8
	kindWantIDs      = 9
	kindServed       = 10
	kindHeartbeat    = 11
	kindTopicDigests = 12
	kindOpen         = 13
	kindAnswer       = 14
	kindOffer        = 15
	kindRefuse       = 16
	kindHello        = 17
	kindCells        = 18
	kindMore         = 19
	kindResolve      = 20
	kindPart         = 21
	kindTrimmed      = 22
	kindContact      = 23
	kindRumors       = 24
	kindFeedback     = 25
	kindShuffle      = 26
	kindAdvance      = 27
	kindPresence     = 28
	kindShortPush    = 29
)

// Fields of a Push. The batch is last, so that a sender can write what comes
// before it and the stored bytes themselves.
const (
	pushRepair = 1
	pushNumber = 3
	pushBatch  = 2
)

// AppendMessage appends m in a frame's form. It does not check the limits that
// [ParseFrame] demands: the sender keeps its lists within them and a frame of
// control messages within [ControlFrameMaxBytes].
func AppendMessage(dst []byte, m Message) []byte {
	switch p := m.(type) {
	case *Push:
		return append(pushPrefix(dst, p.Batch.Size(), p.Repair, p.Number), p.Batch.Raw...)
	case *ShortPush:
		return append(p.AppendPrefix(dst), p.Body...)
	}
	kind := kindOf(m)
	dst = beginNested(dst, kind)
	start := len(dst)
	dst = appendContent(dst, m)
	return endNested(dst, start)
}

// AppendPush appends a [Push] of a batch's raw bytes, without parsing them.
func AppendPush(dst []byte, raw []byte, repair bool) []byte {
	return append(PushPrefix(dst, len(raw), repair), raw...)
}

// PushPrefix appends what precedes the raw bytes of a batch in a [Push]. The
// prefix and then the raw bytes, as they are, make up the message; so a sender
// can write both without copying the batch.
func PushPrefix(dst []byte, rawLen int, repair bool) []byte {
	return pushPrefix(dst, rawLen, repair, 0)
}

// NumberedPushPrefix is [PushPrefix] for a push as news that gives the batch's
// run a number.
func NumberedPushPrefix(dst []byte, rawLen int, number uint32) []byte {
	return pushPrefix(dst, rawLen, false, number)
}

func pushPrefix(dst []byte, rawLen int, repair bool, number uint32) []byte {
	n := 1 + protowire.SizeBytes(rawLen)
	if repair {
		n += 2
	}
	if number != 0 {
		n += 1 + protowire.SizeVarint(uint64(number))
	}
	dst = append(dst, kindPush<<3|typeBytes)
	dst = protowire.AppendVarint(dst, uint64(n))
	dst = appendBool(dst, pushRepair, repair)
	dst = appendUint(dst, pushNumber, uint64(number))
	dst = append(dst, pushBatch<<3|typeBytes)
	return protowire.AppendVarint(dst, uint64(rawLen))
}

// ParseFrame yields the messages of a frame. The batch of a [Push], signature and
// body of a [ShortPush] and the data of a [Part] alias the frame, everything else is copied. It ends at the first
// mistake of form with an error that wraps [ErrFormat] or [ErrTooLarge]. Message
// kinds it does not know are skipped and yielded as nil, so that newer versions
// can add some.
func ParseFrame(frame []byte) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if len(frame) > FrameMaxBytes {
			yield(nil, fmt.Errorf("%w: frame of %d bytes, at most %d", ErrTooLarge, len(frame), FrameMaxBytes))
			return
		}
		var f field
		fs := fields{buf: frame}
		for at := 0; fs.next(&f); at = fs.pos {
			m, err := parseMessage(&f)
			if err != nil {
				yield(nil, fmt.Errorf("frame: message kind %d at byte %d: %w", f.num, at, err))
				return
			}
			if !yield(m, nil) {
				return
			}
		}
		if fs.err != nil {
			yield(nil, fmt.Errorf("frame: %w", fs.err))
		}
	}
}

// kindOf returns the field number of a message other than a Push or ShortPush.
func kindOf(m Message) int {
	switch m.(type) {
	case *Interest:
		return kindInterest
	case *Topics:
		return kindTopics
	case *Link:
		return kindLink
	case *Have:
		return kindHave
	case *Advance:
		return kindAdvance
	case *Graft:
		return kindGraft
	case *Prune:
		return kindPrune
	case *Want:
		return kindWant
	case *WantIDs:
		return kindWantIDs
	case *Served:
		return kindServed
	case *Heartbeat:
		return kindHeartbeat
	case *TopicDigests:
		return kindTopicDigests
	case *Open:
		return kindOpen
	case *Answer:
		return kindAnswer
	case *Offer:
		return kindOffer
	case *Refuse:
		return kindRefuse
	case *Hello:
		return kindHello
	case *Cells:
		return kindCells
	case *More:
		return kindMore
	case *Resolve:
		return kindResolve
	case *Part:
		return kindPart
	case *Trimmed:
		return kindTrimmed
	case *Contact:
		return kindContact
	case *Rumors:
		return kindRumors
	case *Feedback:
		return kindFeedback
	case *Shuffle:
		return kindShuffle
	case *Presence:
		return kindPresence
	}
	panic(fmt.Sprintf("wire: message of unknown type %T", m)) // the interface is closed
}

// parseMessage parses the message in a frame's field; nil if its kind is unknown.
func parseMessage(f *field) (Message, error) {
	if f.typ != typeBytes {
		return nil, fmt.Errorf("%w: wire type %d", ErrFormat, f.typ)
	}
	if f.num == kindPush {
		return parsePush(f.data)
	}
	if len(f.data) > ControlFrameMaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(f.data), ControlFrameMaxBytes)
	}
	r := messageReader{fields: fields{buf: f.data}}
	switch f.num {
	case kindInterest:
		return finish(&r, r.interest())
	case kindTopics:
		return finish(&r, r.topics())
	case kindLink:
		return finish(&r, r.link())
	case kindHave:
		return finish(&r, r.have())
	case kindAdvance:
		return finish(&r, r.advance())
	case kindGraft:
		return finish(&r, r.graft())
	case kindPrune:
		p := Prune(*r.graft())
		return finish(&r, &p)
	case kindWant:
		return finish(&r, r.want())
	case kindWantIDs:
		return finish(&r, r.wantIDs())
	case kindServed:
		return finish(&r, r.served())
	case kindHeartbeat:
		return finish(&r, r.heartbeat())
	case kindTopicDigests:
		return finish(&r, r.topicDigests())
	case kindOpen:
		return finish(&r, r.open())
	case kindAnswer:
		return finish(&r, r.answer())
	case kindOffer:
		return finish(&r, r.offer())
	case kindRefuse:
		return finish(&r, r.refuse())
	case kindHello:
		return finish(&r, r.hello())
	case kindCells:
		return finish(&r, r.cells())
	case kindMore:
		return finish(&r, r.more())
	case kindResolve:
		return finish(&r, r.resolve())
	case kindPart:
		return finish(&r, r.part())
	case kindTrimmed:
		return finish(&r, r.trimmed())
	case kindContact:
		return finish(&r, r.contact())
	case kindRumors:
		return finish(&r, r.rumors())
	case kindFeedback:
		return finish(&r, r.feedback())
	case kindShuffle:
		return finish(&r, r.shuffle())
	case kindPresence:
		return finish(&r, r.presence())
	case kindShortPush:
		return finish(&r, r.shortPush())
	}
	return nil, nil
}

// finish returns m if the reader met no mistake.
func finish[M Message](r *messageReader, m M) (Message, error) {
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func parsePush(b []byte) (Message, error) {
	r := messageReader{fields: fields{buf: b}}
	p := &Push{}
	for r.next() {
		switch r.f.num {
		case pushRepair:
			p.Repair = r.boolean()
		case pushNumber:
			p.Number = r.pushNumber()
		case pushBatch:
			if p.Batch != nil {
				return nil, fmt.Errorf("%w: push with two batches", ErrFormat)
			}
			if !r.is(typeBytes) {
				return nil, r.err
			}
			var err error
			if p.Batch, err = ParseBatch(r.f.data); err != nil {
				return nil, err
			}
		}
	}
	if r.err == nil && p.Batch == nil {
		return nil, fmt.Errorf("%w: push without batch", ErrFormat)
	}
	return finish(&r, p)
}
