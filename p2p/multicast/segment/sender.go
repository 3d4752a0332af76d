package segment

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// A block's text is a checksum and chunks, zeros to its end. A chunk is a word,
// its length and whether a frame starts and ends in it, and its bytes. A frame that
// fits into one block is in one; a larger one fills several.
//
//	crc32c 4 | starts 1 bit, ends 1 bit, length 30 bits | bytes | … | 0
const (
	checksumBytes = 4
	chunkBytes    = 4
	chunkStarts   = 1 << 31
	chunkEnds     = 1 << 30
	chunkLength   = chunkEnds - 1

	roomBytes = blockBytes - checksumBytes - chunkBytes // of the frame in a block of one chunk
)

// castagnoli's checksum shows that what was put together is what was sent. It is no
// proof against members, who can compute it: frames prove their own origin.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	gatherTime = 2 * time.Millisecond // frames wait so long for others to share a block with
	trainMax   = 4                    // blocks of one frame that are sent in turns, against bursts of loss
)

// flow is what is sent to one addressee, or all, on one lane.
type flow struct {
	lane uint8
	to   datagram.Tag
	open *block   // being gathered, numbered when it is closed; nil if nothing is
	kept []*block // closed, by number without gaps, and not yet beyond repair
	next uint64   // number of the next to be closed
	sent uint64   // number of the next to be sent

	member *stream // the addressee, nil if all
}

// oldest is the lowest number that can be asked for.
func (f *flow) oldest() uint64 { return f.next - uint64(len(f.kept)) }

// back is how many blocks before number can be asked for.
func (f *flow) back(number uint64) uint16 {
	return uint16(min(number-min(number, f.oldest()), datagram.BackMax))
}

// find returns a block that is kept, or nil.
func (f *flow) find(number uint64) *block {
	if o := f.oldest(); number >= o && number < f.next {
		return f.kept[number-o]
	}
	return nil
}

// block is a block of our own.
type block struct {
	flow    *flow
	number  uint64
	k, size int    // data shards and their length, once closed
	text    []byte // k*size bytes once closed
	frames  int    // bytes of frames in it
	since   Time   // when its first frame came, later when it was sent
	spans   bool   // its last frame goes on in the next

	next    int  // index of the next shard to be sent
	upTo    int  // shards sent when those being sent are
	wanted  int  // shards asked for in all
	pending bool // waits among the repairs
	lastAt  Time // when its last shard was sent
	holdsTo Time // requests for everything were answered until then
}

func (b *block) shard(i int) []byte { return b.text[i*b.size : (i+1)*b.size] }

// laneQueue is what waits on a lane.
type laneQueue struct {
	all       *flow
	addressed []*flow  // one for each addressee, by the time of the first frame
	gathering []*flow  // with an open block, the oldest first
	closed    []*block // in order
	queued    int      // bytes that wait to be sent
	base      uint64   // above all numbers of flows that were forgotten
	refused   bool     // a Send since room was last told of
}

// sender gathers frames into blocks and keeps them for repair.
type sender struct {
	lanes     [carrier.Lanes]laneQueue
	train     []*block // being sent
	parked    []*block // a train of Repair that News overtook
	turn      int
	live      []*block // sent, the oldest first
	liveBytes int
	free      [len(blockSizes)][][]byte
	dataAt    Time // when a shard of data was last sent

	digestAt   Time
	digestStep int
}

// blockSizes are those of buffers for blocks: a small block that is kept for
// repair must not hold the memory of a large one.
var blockSizes = [...]int{
	datagram.ShardMaxBytes, 4 * datagram.ShardMaxBytes, 12 * datagram.ShardMaxBytes, blockBytes,
}

func (s *sender) init() {
	s.digestAt, s.dataAt = Never, -Never
	for i := range s.lanes {
		s.lanes[i].base = 1
		s.lanes[i].all = &flow{lane: uint8(i), next: 1, sent: 1}
	}
}

// flowTo returns the flow to a member, which begins with its first frame.
func (s *sender) flowTo(m *stream, lane carrier.Lane) *flow {
	if m.out[lane] == nil {
		l := &s.lanes[lane]
		m.out[lane] = &flow{lane: uint8(lane), to: m.id.Tag(), member: m, next: l.base, sent: l.base}
		l.addressed = append(l.addressed, m.out[lane])
	}
	return m.out[lane]
}

// send copies a frame into the open block of a flow and into as many more as it fills.
func (s *sender) send(e *Engine, f *flow, frame [][]byte, size int) error {
	l := &s.lanes[f.lane]
	if l.queued+size > QueueMaxBytes {
		l.refused = true
		return ErrFull
	}
	l.queued += size
	e.stats.FramesSent++
	if f.open != nil && f.open.room() < size {
		s.close(f)
	}
	parts := parts{list: frame}
	for left := size; left > 0; {
		if f.open == nil {
			f.open = &block{flow: f, text: s.buffer(blockBytes)[:checksumBytes], since: e.now}
			l.gathering = append(l.gathering, f)
		}
		b := f.open
		n := min(left, b.room())
		word := uint32(n)
		if left == size {
			word |= chunkStarts
		}
		if n == left {
			word |= chunkEnds
		}
		b.text = parts.append(binary.BigEndian.AppendUint32(b.text, word), n)
		b.frames += n
		left -= n
		b.spans = left > 0
		if b.room() < 1 || size > roomBytes {
			s.close(f)
		}
	}
	e.startLooking()
	return nil
}

// room is the length of the longest chunk that an open block has room for.
func (b *block) room() int { return cap(b.text) - len(b.text) - chunkBytes }

// parts is a frame that is given in parts.
type parts struct {
	list [][]byte
	at   int // in the first
}

// append appends the next n bytes, of which there are that many.
func (p *parts) append(dst []byte, n int) []byte {
	for n > 0 {
		first := p.list[0][p.at:]
		c := min(n, len(first))
		dst = append(dst, first[:c]...)
		n -= c
		p.at += c
		if c == len(first) {
			p.list, p.at = p.list[1:], 0
		}
	}
	return dst
}

// close ends a block's gathering and puts it into its lane's queue.
func (s *sender) close(f *flow) {
	b, l := f.open, &s.lanes[f.lane]
	f.open = nil
	l.gathering = slices.DeleteFunc(l.gathering, func(g *flow) bool { return g == f })
	n := len(b.text)
	b.k = (n + datagram.ShardMaxBytes - 1) / datagram.ShardMaxBytes
	b.size = (n + b.k - 1) / b.k
	if c := s.class(b.k * b.size); blockSizes[c] < cap(b.text) {
		small := append(s.buffer(blockSizes[c]), b.text...)
		s.release(b.text)
		b.text = small
	}
	b.text = b.text[:b.k*b.size]
	clear(b.text[n:])
	binary.BigEndian.PutUint32(b.text, crc32.Checksum(b.text[checksumBytes:], castagnoli))
	b.number = f.next
	f.next++
	f.kept = append(f.kept, b)
	l.closed = append(l.closed, b)
}

// board puts the next blocks of a lane on the train: those that were closed, or
// what has been gathered for long enough. It reports whether there are any.
func (s *sender) board(e *Engine, lane carrier.Lane) bool {
	l := &s.lanes[lane]
	if e.now < s.boardsAt(lane) {
		return false
	}
	if len(l.closed) == 0 {
		s.close(l.gathering[0])
	}
	s.train, s.turn = s.train[:0], 0
	for len(l.closed) != 0 && len(s.train) < trainMax {
		b := l.closed[0]
		l.closed[0] = nil
		l.closed = l.closed[1:]
		b.upTo = b.k + e.parityFor(b)
		s.train = append(s.train, b)
		l.queued -= b.frames
		if !b.spans {
			break
		}
	}
	s.digestAt = Never
	return true
}

// boardsAt is when the lane has something to send. Frames go at once if nothing
// was sent a moment ago.
func (s *sender) boardsAt(lane carrier.Lane) Time {
	l := &s.lanes[lane]
	switch {
	case len(l.closed) != 0:
		return -Never
	case len(l.gathering) == 0:
		return Never
	}
	return min(s.dataAt, l.gathering[0].open.since).Add(gatherTime)
}

// readChunks calls f for the chunks of a block's text. It reports whether the text has the right form.
func readChunks(text []byte, f func(starts, ends bool, chunk []byte)) bool {
	for rest := text[checksumBytes:]; len(rest) > chunkBytes; {
		word := binary.BigEndian.Uint32(rest)
		n := int(word & chunkLength)
		if n == 0 {
			return word == 0
		}
		if n > len(rest)-chunkBytes {
			return false
		}
		f(word&chunkStarts != 0, word&chunkEnds != 0, rest[chunkBytes:chunkBytes+n:chunkBytes+n])
		rest = rest[chunkBytes+n:]
	}
	return true
}

// arrive moves a block from the train to those kept for repair.
func (s *sender) arrive(e *Engine, b *block) {
	b.since, b.flow.sent = e.now, b.number+1
	s.live = append(s.live, b)
	s.liveBytes += cap(b.text)
	e.stats.BlocksSent++
	s.trim(e)
}

// trim forgets blocks that have become too old or too many.
func (s *sender) trim(e *Engine) {
	n := 0
	for n < len(s.live) {
		b := s.live[n]
		young := e.now-b.since < Time(LiveWindow)
		if young && s.liveBytes <= LiveMaxBytes && len(b.flow.kept) <= datagram.BackMax {
			break
		}
		s.liveBytes -= cap(b.text)
		b.flow.kept = b.flow.kept[1:] // live blocks of a flow are in its order
		if len(b.flow.kept) == 0 {
			b.flow.kept = nil
		}
		e.repairer.forget(b)
		s.release(b.text)
		s.live[n] = nil
		n++
	}
	if s.live = s.live[n:]; len(s.live) == 0 {
		s.live = nil
	}
}

// sweep ends the flows to members that are gone, once nothing of them is kept.
func (s *sender) sweep() {
	for i := range s.lanes {
		l := &s.lanes[i]
		l.addressed = slices.DeleteFunc(l.addressed, func(f *flow) bool {
			if f.member.up || f.open != nil || len(f.kept) != 0 {
				return false
			}
			l.base = max(l.base, f.next)
			f.member.out[i] = nil
			return true
		})
	}
}

// busy reports whether anything waits, is being sent or is kept.
func (s *sender) busy() bool {
	return len(s.train) != 0 || len(s.live) != 0 || s.waits(carrier.News) || s.waits(carrier.Repair)
}

func (s *sender) waits(lane carrier.Lane) bool {
	l := &s.lanes[lane]
	return len(l.closed) != 0 || len(l.gathering) != 0
}

// drop forgets all that waits and all that is kept. Numbers go on.
func (s *sender) drop() {
	for i := range s.lanes {
		l := &s.lanes[i]
		for _, f := range append([]*flow{l.all}, l.addressed...) {
			f.open, f.kept, f.sent = nil, nil, f.next
		}
		l.closed, l.gathering, l.queued = nil, nil, 0
	}
	s.train, s.parked, s.live, s.liveBytes, s.digestAt = nil, nil, nil, 0, Never
}

func (s *sender) class(size int) int {
	for c, n := range blockSizes {
		if size <= n {
			return c
		}
	}
	panic("segment: a block above the largest")
}

// buffer returns an empty buffer for a block.
func (s *sender) buffer(size int) []byte {
	c := s.class(size)
	if n := len(s.free[c]); n != 0 {
		b := s.free[c][n-1]
		s.free[c] = s.free[c][:n-1]
		return b
	}
	return make([]byte, 0, blockSizes[c])
}

func (s *sender) release(b []byte) {
	if c := s.class(cap(b)); len(s.free[c]) < freeMax {
		s.free[c] = append(s.free[c], b[:0])
	}
}

const freeMax = 64 // buffers of each size
