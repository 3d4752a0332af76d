package wire

import "fmt"

// The readers of the messages by which nodes ask for batches and send them,
// and compare topics.

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
		case 9:
			r.resume(&m.Resume)
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
			m.IDs = r.ids()
		case 4:
			m.MaxBytes = r.uint32()
		case 5:
			r.resume(&m.Resume)
		}
	}
	r.needTopic(m.Topic)
	return m
}

// resume reads an element of a request's list.
func (r *messageReader) resume(list *[]Resume) {
	if !makeRoom(r, list, ResumesMax, len(ShortID{})) {
		return
	}
	in, e := r.nested(), Resume{}
	named := false
	for in.next() {
		switch in.f.num {
		case 1:
			e.ID, named = in.shortID(), true
		case 2:
			e.Offset = in.uint32()
		}
	}
	switch {
	case in.err != nil:
	case !named:
		in.err = fmt.Errorf("%w: no ID", ErrFormat)
	case e.Offset > BatchMaxBytes:
		in.err = fmt.Errorf("%w: offset %d, at most %d", ErrTooLarge, e.Offset, BatchMaxBytes)
	}
	r.join(&in)
	*list = append(*list, e)
}

func (r *messageReader) part() *Part {
	m := &Part{}
	named := false
	for r.next() {
		switch r.f.num {
		case 1:
			m.Batch, named = BatchID(r.hash()), true
		case 2:
			m.Size = r.uint32()
		case 3:
			m.Offset = r.uint32()
		case 4:
			m.Data = r.bytes()
		}
	}
	if !named && r.err == nil {
		r.err = fmt.Errorf("%w: no ID", ErrFormat)
	}
	r.checkPart(m)
	return m
}

// checkPart notes a stretch that is none of a batch.
func (r *messageReader) checkPart(m *Part) {
	n := uint64(len(m.Data))
	switch {
	case r.err != nil:
	case n == 0:
		r.err = fmt.Errorf("%w: part without data", ErrFormat)
	case n > PartMaxBytes:
		r.err = fmt.Errorf("%w: part of %d bytes, at most %d", ErrTooLarge, n, PartMaxBytes)
	case m.Size > BatchMaxBytes:
		r.err = fmt.Errorf("%w: part of a batch of %d bytes, at most %d", ErrTooLarge, m.Size, BatchMaxBytes)
	case uint64(m.Offset)+n > uint64(m.Size):
		r.err = fmt.Errorf("%w: part from %d to %d of %d bytes", ErrFormat, m.Offset, uint64(m.Offset)+n, m.Size)
	}
}

func (r *messageReader) trimmed() *Trimmed {
	m := &Trimmed{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			if makeRoom(r, &m.Marks, EntriesMax, len(Author{})) {
				m.Marks = append(m.Marks, r.authorMark())
			}
		}
	}
	r.needTopic(m.Topic)
	return m
}

func (r *messageReader) authorMark() (a AuthorMark) {
	in := r.nested()
	author := false
	for in.next() {
		switch in.f.num {
		case 1:
			a.Author, author = in.author(), true
		case 2:
			a.Mark.Epoch = in.epoch()
		case 3:
			a.Mark.Seq = in.uint64()
		}
	}
	in.needAuthor(author)
	r.join(&in)
	return a
}

func (r *messageReader) offer() *Offer {
	m := &Offer{}
	for r.next() {
		switch r.f.num {
		case 1:
			m.Topic = r.topic()
		case 2:
			m.IDs = r.ids()
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
			if makeRoom(r, &m.Nodes, EntriesMax, 0) {
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
