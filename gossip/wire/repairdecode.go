package wire

import "fmt"

// The readers of the messages by which two nodes compare and repair.

func (r *messageReader) want() *Want {
	m := &Want{}
	author := false
	for r.next() {
		switch r.f.num {
		case 1:
			m.ID = r.uint32()
		case 2:
			m.Topic = r.topic()
		case 3:
			m.Author, author = r.author(), true
		case 4:
			m.After.Epoch = r.epoch()
		case 5:
			m.After.Seq = r.uint64()
		case 6:
			m.Upto.Epoch = r.epoch()
		case 7:
			m.Upto.Seq = r.uint64()
		case 8:
			m.MaxBytes = r.uint32()
		}
	}
	r.needTopic(m.Topic)
	r.needAuthor(author)
	return m
}

func (r *messageReader) wantIDs() *WantIDs {
	m := &WantIDs{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.ID = r.uint32()
		case 2:
			m.Topic = r.topic()
		case 3:
			m.Short = r.ids(ShortIDsMax)
		case 4:
			m.MaxBytes = r.uint32()
		}
	}
	r.needTopic(m.Topic)
	return m
}

func (r *messageReader) served() *Served {
	m := &Served{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.ID = r.uint32()
		case 2:
			m.More = r.boolean()
		}
	}
	return m
}

func (r *messageReader) heartbeat() *Heartbeat {
	m := &Heartbeat{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Wall = r.time()
		case 2:
			m.Floor = r.time()
		case 3:
			m.Cut = r.time()
		case 4:
			m.Digest = r.fixed()
		}
	}
	return m
}

func (r *messageReader) topicDigests() *TopicDigests {
	m := &TopicDigests{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Floor = r.time()
		case 2:
			m.Cut = r.time()
		case 3:
			if r.room(len(m.Nodes), EntriesMax) {
				m.Nodes = append(m.Nodes, r.topicDigest())
			}
		}
	}
	return m
}

// depthMax is the length of a topic's hash in hexadecimal digits.
const depthMax = 16

func (r *messageReader) topicDigest() (n TopicDigest) {
	in := r.nested()
	for in.next() {
		switch in.f.num {
		case 1:
			n.Prefix = in.fixed()
		case 2:
			n.Depth = in.uint32()
		case 3:
			n.Digest = in.fixed()
		case 4:
			n.Topics = in.uint32()
		}
	}
	// A shift by 64 leaves nothing, as it should.
	if in.err == nil && (n.Depth > depthMax || n.Prefix<<(4*n.Depth) != 0) {
		in.err = fmt.Errorf("%w: prefix %016x of %d digits", ErrFormat, n.Prefix, n.Depth)
	}
	r.join(&in)
	return n
}

func (r *messageReader) open() *Open {
	m := &Open{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Topic = r.topic()
		case 3:
			m.Nonce = r.fixed()
		case 4:
			m.Floor = r.time()
		case 5:
			m.Cut = r.time()
		case 6:
			if r.room(len(m.Ranges), RangesMax) {
				m.Ranges = append(m.Ranges, r.rangeDigest())
			}
		}
	}
	r.needTopic(m.Topic)
	r.checkRanges(m)
	return m
}

// checkRanges notes ranges that do not ascend from the floor.
func (r *messageReader) checkRanges(m *Open) {
	for i := range m.Ranges {
		low := m.Ranges[i].Low
		if i == 0 && low != m.Floor || i > 0 && low <= m.Ranges[i-1].Low {
			r.mistake(fmt.Errorf("%w: range %d starts at %d", ErrFormat, i, low))
			return
		}
	}
}

func (r *messageReader) rangeDigest() (d RangeDigest) {
	in := r.nested()
	for in.next() {
		switch in.f.num {
		case 1:
			d.Low = in.time()
		case 2:
			d.Count = in.uint32()
		case 3:
			d.Digest = in.fixed()
		}
	}
	r.join(&in)
	return d
}

func (r *messageReader) difference() *Difference {
	m := &Difference{}
	room := ShortIDsMax
	for r.next() {
		switch r.f.num {
		case 1:
			m.Session = r.uint32()
		case 2:
			m.Topic = r.topic()
		case 3:
			m.Nonce = r.fixed()
		case 4:
			if r.room(len(m.Ranges), RangesMax) {
				ids := r.rangeIDs(room)
				room -= len(ids.IDs)
				m.Ranges = append(m.Ranges, ids)
			}
		case 5:
			m.More = r.boolean()
		}
	}
	r.needTopic(m.Topic)
	return m
}

// rangeIDs reads a range of a Difference that may hold room IDs more.
func (r *messageReader) rangeIDs(room int) (ids RangeIDs) {
	in := r.nested()
	for in.next() {
		switch in.f.num {
		case 1:
			ids.Index = in.uint32()
		case 2:
			ids.IDs = in.ids(room)
		}
	}
	if in.err == nil && ids.Index >= RangesMax {
		in.err = fmt.Errorf("%w: range index %d", ErrFormat, ids.Index)
	}
	r.join(&in)
	return ids
}

func (r *messageReader) offer() *Offer {
	m := &Offer{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.Short = r.ids(ShortIDsMax)
		}
	}
	r.needTopic(m.Topic)
	return m
}
