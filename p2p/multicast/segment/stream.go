package segment

import (
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// stream is what is known of another node's run.
type stream struct {
	id   datagram.StreamID
	from *datagram.Stream
	peer wire.PeerID
	up   bool // a member; else silent for long or gone, and remembered for its replay window alone
	left bool // it said farewell

	heard    Time          // its last datagram
	interval time.Duration // of its beacons
	beacon   uint64        // number of its newest beacon
	wall     time.Time     // of that
	text     []byte
	addrs    [][]byte

	out [carrier.Lanes]*flow // what is sent to it alone
	in  [2][carrier.Lanes]inflow

	held   int  // bytes of reassembly
	wakeAt Time // the first deadline of its blocks
	asks   bool // a request is due

	newest   uint64 // number of its newest datagram
	lossFrom uint64 // number after which the present measurement began
	lossAt   Time
	got      uint64  // datagrams since
	loss     float64 // smoothed; may be a little below zero
	measured float64 // datagrams that loss was measured on, the oldest forgotten
	active   Time    // when loss was last measured

	reported   uint8   // of our datagrams, how many it misses, in 255ths
	usual      float64 // share that it usually misses
	deviation  float64 // and the mean deviation from that
	reports    int
	reportedAt Time
	badSince   Time // since when it reports to lose so many that it may be excluded
}

const (
	toAll = iota
	toSelf
)

// flow returns what the stream sends to all or to us, or nil if it is to another.
func (s *stream) flow(e *Engine, to datagram.Tag, lane uint8) *inflow {
	switch to {
	case datagram.Tag{}:
		return &s.in[toAll][lane]
	case e.tag:
		return &s.in[toSelf][lane]
	default:
		return nil
	}
}

func (s *stream) member() Member {
	return Member{Peer: s.peer, Text: s.text, Addrs: s.addrs, Loss: max(s.loss, 0)}
}

const (
	lossWindow    = 128 // datagrams that a measurement of loss takes
	lossWindowMin = 32  // or so many, and lossTime
	lossTime      = 500 * time.Millisecond
	lossMemory    = 1024  // datagrams that loss is an average over, about
	lossKnown     = 256   // datagrams on which it is measured before it is told
	lossNoise     = 0.003 // is none: a datagram overtaken is soon taken for lost

	// awayMax is how many datagrams of a stream in a row may be missed before
	// asking for them would cost the others more than comparing histories costs us.
	awayMax = 256
)

// count notes that a datagram of the stream was heard.
func (s *stream) count(e *Engine, seq uint64) {
	s.heard = e.now
	if seq > s.newest {
		if seq-s.newest > awayMax {
			s.away(e)
			s.lossFrom, s.lossAt, s.got = seq-1, e.now, 0
		}
		s.newest = seq
	}
	s.got++
	span := s.newest - s.lossFrom
	if span < lossWindow && (span < lossWindowMin || e.now-s.lossAt < Time(lossTime)) {
		return
	}
	// Late ones count in the next measurement, which may so fall below zero.
	s.measured = min(s.measured+float64(span), lossMemory)
	s.loss += (1 - float64(s.got)/float64(span) - s.loss) * float64(span) / s.measured
	s.lossFrom, s.lossAt, s.got, s.active = s.newest, e.now, 0, e.now
}

// away gives up what was missed while this node did not listen.
func (s *stream) away(e *Engine) {
	e.stats.Away++
	for i := range s.in {
		for lane := range s.in[i] {
			f := &s.in[i][lane]
			if f.known {
				e.skip(s, f, f.end())
				f.known = false
			}
		}
	}
}

// lossByte is the loss in 255ths.
func (s *stream) lossByte() uint8 {
	switch {
	case s.measured < lossKnown:
		return datagram.LossUnknown
	case s.loss < lossNoise:
		return 0
	}
	return uint8(min(s.loss*255+0.5, datagram.LossUnknown-1))
}

// streamOf returns an admitted stream that is up, or nil.
func (e *Engine) streamOf(id datagram.StreamID) *stream {
	for _, s := range e.streams {
		if s.up && s.id == id {
			return s
		}
	}
	return nil
}

// dropFlows forgets all that is being put together.
func (s *stream) dropFlows(e *Engine) {
	for i := range s.in {
		for lane := range s.in[i] {
			f := &s.in[i][lane]
			for _, b := range f.ring {
				e.freeBlock(s, b)
				e.account(s, -inblockBytes)
			}
			e.account(s, -len(f.partial))
			*f = inflow{known: f.known, next: f.end()} // what was heard of is not handed on a second time
		}
	}
	s.wakeAt = Never
}

// account counts bytes of reassembly.
func (e *Engine) account(s *stream, bytes int) {
	s.held += bytes
	e.held += bytes
}
