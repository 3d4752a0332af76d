package segment

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// inflow is one flow of a stream, being put together.
type inflow struct {
	known   bool       // where it begins for us; for later blocks may be asked
	next    uint64     // the first block that was not handed on
	ring    []*inblock // from next on; nil where nothing was received
	partial []byte     // of a frame of several blocks
	broken  bool       // its rest is passed over, for a block of it was given up
}

// end is the number after the newest block that was heard of.
func (f *inflow) end() uint64 { return f.next + uint64(len(f.ring)) }

// inblock is a block of another's that is being put together.
type inblock struct {
	number   uint64
	k, size  int // 0 until a shard has arrived
	text     []byte
	have     [4]uint64 // shards that arrived
	count    int
	rows     []parityRow
	complete bool

	upTo     int  // shards sent when the last burst was, as far as told
	heard    Time // when it was last heard of, or when the burst ends of which a shard came
	deadline Time // when it is asked for, unless it is complete
	jitter   Time // drawn once for each burst
	rounds   int
	late     bool // the request was put off, for the deadline had been noticed late
}

// inblockBytes is what a block takes of which nothing has arrived: a member's word
// of one datagram makes many.
const inblockBytes = 256

// lacks is how many shards more it takes; 0 if nothing is known of the block.
func (b *inblock) lacks() int { return b.k - b.count }

func (e *Engine) receiveShard(s *stream, inner []byte) {
	h, err := datagram.ParseShard(inner)
	if err != nil {
		e.refuse(err)
		return
	}
	f := s.flow(e, h.To, h.Lane)
	if f == nil {
		return
	}
	if !f.known {
		f.known, f.next = true, max(f.next, h.Block-uint64(h.Back))
		if h.To == (datagram.Tag{}) { // we were away: history is not asked for
			f.next = max(f.next, h.Block)
		}
	}
	e.skip(s, f, h.Block-uint64(h.Back))
	if h.Block < f.next {
		e.stats.Duplicates++
		return
	}
	if !e.extend(s, f, h.Block) {
		return
	}
	b := f.ring[h.Block-f.next]
	if b.complete {
		e.stats.Duplicates++
		return
	}
	if b.k == 0 && !e.begin(s, f, b, &h) {
		return
	}
	if b.k != int(h.Data) || b.size != len(h.Bytes) {
		e.stats.BlocksPoisoned++ // two members' words on one block, and no telling which is true
		return
	}
	if !e.addShard(s, f, b, &h) {
		e.stats.Duplicates++
		return
	}
	if b.count < b.k {
		e.await(s, f, b, &h)
		return
	}
	e.complete(s, b)
	e.drain(s, f)
}

// extend makes room in the ring for a block. Those between are missing.
func (e *Engine) extend(s *stream, f *inflow, number uint64) bool {
	if number-f.next > datagram.BackMax {
		e.refuse(datagram.RefusedInner) // the sender itself keeps no more
		return false
	}
	if number-min(number, f.end()) > awayMax {
		e.stats.Away++
		e.skip(s, f, number) // as for datagrams: so much in a row is not asked for
	}
	at := e.now.Add(graceTime)
	jitter := e.jitter(f, s)
	for f.end() <= number {
		for s.held+inblockBytes > StreamMaxBytes && len(f.ring) != 0 {
			e.skip(s, f, f.next+1) // as room does
		}
		if s.held+inblockBytes > StreamMaxBytes || !e.fits(s, inblockBytes) {
			e.refuse(datagram.RefusedLimit)
			return false
		}
		b := &inblock{number: f.end(), heard: e.now, jitter: jitter}
		f.ring = append(f.ring, b)
		e.account(s, inblockBytes)
		s.arm(e, b, at+jitter)
	}
	return true
}

// room makes room for so many bytes of a block: what is oldest in its flow gives way.
func (e *Engine) room(s *stream, f *inflow, b *inblock, bytes int) bool {
	for s.held+bytes > StreamMaxBytes && b.number > f.next {
		e.skip(s, f, f.next+1)
	}
	if b.number < f.next || s.held+bytes > StreamMaxBytes || !e.fits(s, bytes) {
		e.refuse(datagram.RefusedLimit)
		return false
	}
	return true
}

// fits makes room for so many bytes of a stream within the bound of all: streams
// that hold more than it would give up what they hold, the greatest first. So what
// never ends, by mistake or on purpose, does not stop the others.
func (e *Engine) fits(s *stream, bytes int) bool {
	for e.held+bytes > ReassemblyMaxBytes {
		greatest := slices.MaxFunc(e.streams, func(a, b *stream) int { return a.held - b.held })
		if greatest.held <= s.held+bytes {
			return false
		}
		greatest.giveUp(e)
	}
	return true
}

// giveUp lets go of all that is being put together, and hands on what is complete.
func (s *stream) giveUp(e *Engine) {
	for i := range s.in {
		for lane := range s.in[i] {
			f := &s.in[i][lane]
			e.skip(s, f, f.end())
			e.breakFrame(s, f)
		}
	}
}

// begin takes memory for a block of which the first shard came.
func (e *Engine) begin(s *stream, f *inflow, b *inblock, h *datagram.Shard) bool {
	size := int(h.Data) * len(h.Bytes)
	if !e.room(s, f, b, size) {
		return false
	}
	b.k, b.size = int(h.Data), len(h.Bytes)
	b.text = make([]byte, size)
	e.account(s, size)
	return true
}

// addShard keeps a shard unless it is there. It may take the buffer that datagrams are opened into.
func (e *Engine) addShard(s *stream, f *inflow, b *inblock, h *datagram.Shard) bool {
	word, bit := h.Index/64, uint64(1)<<(h.Index%64)
	if b.have[word]&bit != 0 {
		return false
	}
	i := int(h.Index)
	switch {
	case i < b.k:
		copy(b.text[i*b.size:], h.Bytes)
	case i-b.k >= parityMax || !e.room(s, f, b, datagram.MaxBytes):
		return false
	default:
		b.rows = append(b.rows, parityRow{i - b.k, h.Bytes, e.scratch})
		e.account(s, datagram.MaxBytes)
		e.scratch = e.buffer()
	}
	b.have[word] |= bit
	b.count++
	return true
}

// complete restores a block that has as many shards as it takes.
func (e *Engine) complete(s *stream, b *inblock) {
	b.complete, b.deadline = true, Never
	e.stats.BlocksReceived++
	if data := bits.OnesCount64(b.have[0] & (1<<b.k - 1)); data < b.k {
		e.stats.BlocksDecoded++
		e.decoder.decode(b.text, b.k, b.size, &b.have, b.rows[:b.k-data])
	}
	e.freeRows(s, b)
	if !checks(b.text) {
		e.stats.BlocksPoisoned++
		e.account(s, -len(b.text))
		b.text = nil
	}
}

// checks reports whether a block's text, of any length, bears its checksum.
func checks(text []byte) bool {
	return len(text) >= checksumBytes+chunkBytes &&
		crc32.Checksum(text[checksumBytes:], castagnoli) == binary.BigEndian.Uint32(text)
}

func (e *Engine) freeRows(s *stream, b *inblock) {
	for _, r := range b.rows {
		e.release(r.buffer)
	}
	e.account(s, -len(b.rows)*datagram.MaxBytes)
	b.rows = nil
}

// freeBlock gives back what a block holds.
func (e *Engine) freeBlock(s *stream, b *inblock) {
	e.freeRows(s, b)
	e.account(s, -len(b.text))
	b.text = nil
}

// drain hands on the frames of the complete blocks that are next.
func (e *Engine) drain(s *stream, f *inflow) {
	for len(f.ring) != 0 && f.ring[0].complete {
		b := f.ring[0]
		e.pop(s, f)
		if b.text == nil {
			e.breakFrame(s, f)
			continue
		}
		e.account(s, -len(b.text))
		before := len(e.frames)
		if !readChunks(b.text, func(starts, ends bool, chunk []byte) { e.chunk(s, f, starts, ends, chunk) }) {
			e.stats.BlocksPoisoned++
			e.breakFrame(s, f)
		}
		noteSpare(e.frames[before:], len(b.text))
	}
}

// noteSpare counts what nobody hands on of a block against the last of its frames: a member
// could else have frames of one byte each keep a block.
func noteSpare(frames []Frame, bytes int) {
	for i := range frames {
		bytes -= len(frames[i].Bytes)
	}
	if n := len(frames); n > 0 {
		frames[n-1].Spare = max(0, bytes)
	}
}

// pop passes on to the next block.
func (e *Engine) pop(s *stream, f *inflow) {
	e.account(s, -inblockBytes)
	f.ring[0] = nil
	f.next++
	if f.ring = f.ring[1:]; len(f.ring) == 0 {
		f.ring = nil
	}
}

// chunk hands on a frame, or adds to one of several blocks.
func (e *Engine) chunk(s *stream, f *inflow, starts, ends bool, chunk []byte) {
	if starts {
		e.breakFrame(s, f)
		f.broken = false
		if ends {
			e.frame(s, f, chunk)
			return
		}
	}
	if f.broken || !starts && f.partial == nil {
		return // its start came before us
	}
	if len(f.partial)+len(chunk) > FrameMaxBytes {
		e.breakFrame(s, f)
		return
	}
	f.partial = append(f.partial, chunk...)
	e.account(s, len(chunk))
	if ends {
		whole := f.partial
		e.account(s, -len(whole))
		f.partial = nil
		e.frame(s, f, whole)
	}
}

// breakFrame gives up a frame that was begun.
func (e *Engine) breakFrame(s *stream, f *inflow) {
	f.broken = true
	if f.partial != nil {
		e.stats.FramesGivenUp++
		e.account(s, -len(f.partial))
		f.partial = nil
	}
}

func (e *Engine) frame(s *stream, f *inflow, b []byte) {
	e.stats.FramesReceived++
	lane, addressed := carrier.News, false
	for i := range s.in {
		for l := range s.in[i] {
			if f == &s.in[i][l] {
				lane, addressed = carrier.Lane(l), i == toSelf
			}
		}
	}
	e.frames = append(e.frames, Frame{From: s.peer, Lane: lane, Addressed: addressed, Bytes: b})
}

// skip gives up all incomplete blocks below number and hands on the complete ones.
func (e *Engine) skip(s *stream, f *inflow, number uint64) {
	for f.next < number {
		if len(f.ring) == 0 { // never heard of the rest
			e.stats.BlocksGivenUp += number - f.next
			f.next = number
			e.breakFrame(s, f)
			return
		}
		if b := f.ring[0]; !b.complete {
			e.stats.BlocksGivenUp++
			e.freeBlock(s, b)
			e.pop(s, f)
			e.breakFrame(s, f)
		}
		e.drain(s, f)
	}
}
