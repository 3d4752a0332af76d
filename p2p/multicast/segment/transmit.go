package segment

import (
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const (
	fullBytes    = datagram.MaxBytes
	outboxMax    = 64 // datagrams of one Take
	digestsSteps = 3
)

// digestAfter is how long after the last data a digest tells how far it went.
var digestAfter = [digestsSteps]time.Duration{4 * time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond}

// outbox holds the datagrams of one Take, in buffers that are used again.
type outbox struct {
	list    [][]byte
	buffers [][]byte
	used    int
}

// next returns an empty buffer, valid until the next Take.
func (o *outbox) next() []byte {
	if o.used == len(o.buffers) {
		o.buffers = append(o.buffers, make([]byte, 0, datagram.MaxBytes))
	}
	o.used++
	return o.buffers[o.used-1][:0]
}

// put counts a datagram that was sealed into a buffer of next.
func (e *Engine) put(d []byte) {
	e.outbox.list = append(e.outbox.list, d)
	e.stats.SentBytes += uint64(len(d))
	e.pacer.all.pass(e.now, e.pacer.takes(len(d)))
}

// transmit seals what may go now, by importance: presence, requests, repairs,
// data of News, data of Repair.
func (e *Engine) transmit() [][]byte {
	o := &e.outbox
	o.list, o.used = o.list[:0], 0
	if e.left {
		if !e.presence.bye {
			e.sendPresence() // there is no later: the rate does not hold it back
		}
		return o.list
	}
	burst := e.pacer.burst()
	for len(o.list) < outboxMax && e.pacer.all.free(burst) <= e.now {
		if !e.sendPresence() && !e.sendNack() && !e.sendRepair() && !e.sendData() && !e.sendDigest() {
			return o.list
		}
	}
	e.pacer.limited = e.pacer.limited || e.dataAt() <= e.now || len(e.repairer.due) != 0
	return o.list
}

// nextSend is when transmit has something that may go.
func (e *Engine) nextSend() Time {
	if e.presence.bye {
		return Never
	}
	at := min(e.presence.next, e.nackDue(), e.repairDue(), e.dataAt(), e.sender.digestAt)
	if at == Never {
		return Never
	}
	return max(at, e.pacer.ready())
}

// dataAt is when there is data to send and its lane's share allows it. Before
// the first beacon nobody would take it.
func (e *Engine) dataAt() Time {
	s := &e.sender
	if e.left {
		return Never
	}
	at := s.boardsAt(carrier.News)
	repair := s.boardsAt(carrier.Repair)
	if len(s.train) != 0 {
		if s.train[0].flow.lane == uint8(carrier.News) {
			return -Never
		}
		repair = -Never
	}
	if repair != Never {
		at = min(at, max(repair, e.pacer.lane.at))
	}
	if e.presence.sent == 0 && at != Never {
		at = max(at, e.presence.next)
	}
	return at
}

// sendData sends the next shard of the train, or of the next one. News waits at
// most for one shard of Repair's: a train of Repair's is left standing for it.
func (e *Engine) sendData() bool {
	s := &e.sender
	if e.dataAt() > e.now {
		return false
	}
	if len(s.train) != 0 && s.train[0].flow.lane == uint8(carrier.Repair) && s.boardsAt(carrier.News) <= e.now {
		s.train, s.parked, s.turn = s.parked[:0], s.train, 0
	}
	if len(s.train) == 0 && !s.board(e, carrier.News) {
		s.board(e, carrier.Repair)
	}
	left := 0
	for _, b := range s.train {
		left += b.upTo - b.next
	}
	for s.train[s.turn].next == s.train[s.turn].upTo {
		s.turn = (s.turn + 1) % len(s.train)
	}
	b := s.train[s.turn]
	count := &e.stats.Data
	if b.next >= b.k {
		count = &e.stats.Parity
	}
	*count++
	d := e.sealShard(b, left-len(s.train))
	s.turn = (s.turn + 1) % len(s.train)
	if b.flow.lane == uint8(carrier.Repair) {
		e.pacer.lane.pass(e.now, laneShare*e.pacer.takes(len(d)))
	}
	s.dataAt = e.now
	if left == 1 {
		for _, b := range s.train {
			s.arrive(e, b)
		}
		s.train, s.parked, s.turn = s.parked, s.train[:0], 0
		s.digestStep, s.digestAt = 0, e.now.Add(digestAfter[0])
	}
	return true
}

// sealShard sends the next shard of a block, of which so many more follow now.
func (e *Engine) sealShard(b *block, follow int) []byte {
	i := b.next
	b.next++
	b.lastAt = e.now
	h := datagram.Shard{
		To: b.flow.to, Block: b.number, Back: b.flow.back(b.number),
		Ends:  uint16(min(max(follow, 0)*int(e.pacer.takes(fullBytes))/datagram.EndsUnit, 1<<16-1)),
		Index: uint8(i), Data: uint8(b.k), UpTo: uint8(b.upTo), Lane: b.flow.lane,
	}
	d := e.outbox.next()
	inner := h.AppendHeader(d[:datagram.HeaderBytes])[datagram.HeaderBytes:]
	if i < b.k {
		inner = append(inner, b.shard(i)...)
	} else {
		inner = inner[:datagram.ShardHeaderBytes+b.size]
		encode(inner[datagram.ShardHeaderBytes:], b.text, b.k, i-b.k)
	}
	d = e.sealer.Seal(d, datagram.TypeShard, inner)
	e.put(d)
	return d
}

// sendDigest tells how far the flows are whose last block may have been lost whole.
func (e *Engine) sendDigest() bool {
	s := &e.sender
	if e.now < s.digestAt {
		return false
	}
	s.digestStep++
	if s.digestAt = Never; s.digestStep < digestsSteps {
		s.digestAt = s.dataAt.Add(digestAfter[s.digestStep])
	}
	var list [datagram.FlowsMax]datagram.Flow
	flows := list[:0]
	for i := len(s.live) - 1; i >= 0 && e.now-s.live[i].since < Time(digestAfter[digestsSteps-1])*2; i-- {
		f := s.live[i].flow
		if s.live[i].number+1 == f.sent && len(flows) < len(list) {
			flows = append(flows, f.state())
		}
	}
	if len(flows) == 0 {
		s.digestAt = Never // requests held it back for so long that nobody asks any more
		return false
	}
	d := e.outbox.next()
	inner := datagram.AppendDigest(d[:datagram.HeaderBytes], flows)[datagram.HeaderBytes:]
	e.stats.Digests++
	e.put(e.sealer.Seal(d, datagram.TypeDigest, inner))
	return true
}

// state is what digests and beacons tell of a flow.
func (f *flow) state() datagram.Flow {
	return datagram.Flow{Lane: f.lane, To: f.to, Next: f.sent, Back: f.back(f.sent)}
}
