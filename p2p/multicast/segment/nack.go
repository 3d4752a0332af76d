package segment

import (
	"math"
	"time"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const (
	// graceTime is how much later than told the last shard of a burst may come.
	graceTime = 1500 * time.Microsecond
	roundsMax = 128 // times that a block is asked for within LiveWindow

	// A Tick that comes so late tells that the caller had no processor: what blocks lack may
	// have come and wait to be received.
	lateMin = 3 * time.Millisecond
	// lateMax bounds for how long a request is put off then.
	lateMax = 50 * time.Millisecond

	// Where datagrams wait to be received, one looks again after behindEvery whether requests
	// are due, and the behindMax-th time whatever waits: a flood would else stop all requests.
	behindEvery = time.Millisecond
	behindMax   = 24
)

// spread is the time over which the members' requests for one block spread.
func (e *Engine) spread() time.Duration {
	switch e.cfg.Kind {
	case Wired:
		return 10 * time.Millisecond
	case Wireless:
		return 40 * time.Millisecond
	default:
		return 20 * time.Millisecond
	}
}

// answerTime is how long a repair takes to come after it was asked for.
func (e *Engine) answerTime() time.Duration { return collectTime + e.spread()*4/5 }

// jitter draws how long to wait before asking, from a truncated exponential
// distribution: most wait long, so that few ask before they hear another ask.
func (e *Engine) jitter(f *inflow, s *stream) Time {
	if f == &s.in[toSelf][0] || f == &s.in[toSelf][1] {
		return 0 // nobody else asks
	}
	if n := max(len(e.byPeer), 1); n != e.backoff.members {
		lambda := math.Log(float64(n)) + 1
		e.backoff = backoff{n, lambda, math.Exp(lambda) - 1}
	}
	x := math.Log(e.rng.Float64()*e.backoff.top+1) / e.backoff.lambda
	return Time(x * float64(e.spread()))
}

// backoff holds what the distribution takes, for a number of members.
type backoff struct {
	members     int
	lambda, top float64
}

// arm sets when a block is asked for.
func (s *stream) arm(e *Engine, b *inblock, at Time) {
	b.deadline = at
	s.wakeAt = min(s.wakeAt, at)
	e.wakeAt = min(e.wakeAt, at)
}

// await sets when to ask for the rest of a block, of which a shard came.
func (e *Engine) await(s *stream, f *inflow, b *inblock, h *datagram.Shard) {
	b.heard, b.late = e.now.Add(time.Duration(h.Ends)*datagram.EndsUnit), false
	if int(h.UpTo) > b.upTo {
		b.upTo = int(h.UpTo)
		b.jitter = e.jitter(f, s)
	}
	if int(h.UpTo) == b.upTo {
		s.arm(e, b, e.now.Add(time.Duration(h.Ends)*datagram.EndsUnit+graceTime)+b.jitter)
	}
}

// Seeks reports whether a Tick at that time looks for what to ask for. Whoever knows
// that datagrams have come which Receive was not given yet, as they were not read in time,
// calls Behind first.
func (e *Engine) Seeks(now Time) bool { return !e.passive && now >= e.wakeAt }

// Behind has the next Tick ask for nothing, for what is missing may have come. It counts
// as an answer to [Engine.Seeks] alone.
func (e *Engine) Behind() { e.behind = true }

// holdsBack reports whether requests wait for what is to be received.
func (e *Engine) holdsBack() bool {
	behind := e.behind
	e.behind = false
	if e.holds++; !behind || e.holds >= behindMax {
		e.holds = 0
		return false
	}
	e.wakeAt = e.now.Add(behindEvery)
	return true
}

// wakeStreams does what is due on the streams' blocks.
func (e *Engine) wakeStreams() {
	late := time.Duration(e.now - e.wakeAt)
	e.wakeAt = Never
	for _, s := range e.streams {
		if s.wakeAt <= e.now {
			s.wake(e, late)
		}
		e.wakeAt = min(e.wakeAt, s.wakeAt)
	}
}

// wake finds out whether a request is due, gives up what has been missing for
// too long, and finds the next deadline. If that comes late, requests are put off, each once.
func (s *stream) wake(e *Engine, late time.Duration) {
	s.wakeAt = Never
	for i := range s.in {
		for lane := range s.in[i] {
			f := &s.in[i][lane]
			for len(f.ring) != 0 && f.ring[0].hopeless(e.now) {
				e.skip(s, f, f.next+1)
			}
			for _, b := range f.ring {
				switch {
				case b.complete:
				case b.deadline <= e.now && late >= lateMin && !b.late:
					b.late = true
					s.arm(e, b, e.now.Add(min(late, lateMax))+b.jitter)
				case b.deadline <= e.now:
					s.asks, e.asking = true, true
				default:
					s.wakeAt = min(s.wakeAt, b.deadline)
				}
			}
		}
	}
}

func (b *inblock) hopeless(now Time) bool {
	return !b.complete && (now-b.heard > Time(LiveWindow) || b.rounds >= roundsMax)
}

// nackDue is when a request may go.
func (e *Engine) nackDue() Time {
	if !e.asking {
		return Never
	}
	return e.pacer.nack.at
}

// sendNack asks for what is due of one stream, and for what is about to be.
func (e *Engine) sendNack() bool {
	if e.nackDue() > e.now {
		return false
	}
	for _, s := range e.streams {
		if !s.asks {
			continue
		}
		s.asks = false
		var list [datagram.WantsMax]datagram.Want
		wants := e.wants(s, list[:0])
		if len(wants) == 0 {
			continue
		}
		d := e.outbox.next()
		inner := datagram.AppendNack(d[:datagram.HeaderBytes], s.id, s.lossByte(), wants)[datagram.HeaderBytes:]
		d = e.sealer.Seal(d, datagram.TypeNack, inner)
		e.stats.Nacks++
		e.put(d)
		e.pacer.nack.pass(e.now, nackShare*e.pacer.takes(len(d)))
		return true
	}
	e.asking = false
	return false
}

// wants lists the blocks whose bursts are over, and sets when they are asked for again.
func (e *Engine) wants(s *stream, list []datagram.Want) []datagram.Want {
	for i := range s.in {
		for lane := range s.in[i] {
			f := &s.in[i][lane]
			jitter := e.jitter(f, s)
			for _, b := range f.ring {
				if b.complete || b.deadline-b.jitter > e.now {
					continue
				}
				if len(list) == cap(list) {
					s.asks = true
					return list
				}
				list = append(list, datagram.Want{
					Lane: uint8(lane), Addressed: i == toSelf,
					Block: b.number, UpTo: uint8(b.upTo), Need: uint8(max(b.lacks(), 0)),
				})
				b.rounds++
				e.again(s, b, jitter)
			}
		}
	}
	return list
}

// again sets when a block is asked for once more, if no repair comes.
func (e *Engine) again(s *stream, b *inblock, jitter Time) {
	b.jitter, b.late = jitter, false
	s.arm(e, b, e.now.Add(e.answerTime())+jitter)
}

// overhear notes that another member asked for a block: if for as much as we
// lack, then we need not ask.
func (e *Engine) overhear(s *stream, w datagram.Want) {
	f := &s.in[toAll][w.Lane]
	if w.Addressed || !f.known || w.Block < f.next || w.Block >= f.end() {
		return
	}
	b := f.ring[w.Block-f.next]
	if b.complete {
		return
	}
	covered := w.Need == 0 || b.k != 0 && int(w.UpTo)+int(w.Need) >= b.upTo+b.lacks()
	if covered && b.deadline-b.jitter <= e.now.Add(graceTime) {
		e.stats.NacksSuppressed++
		e.again(s, b, e.jitter(f, s))
	}
}

// receiveDigest learns how far a stream's flows went.
func (e *Engine) receiveDigest(s *stream, inner []byte) {
	d, err := datagram.ParseDigest(inner)
	if err != nil {
		e.refuse(err)
		return
	}
	for i := range d.Len() {
		flow := d.Flow(i)
		if f := s.flow(e, flow.To, flow.Lane); f != nil {
			e.heardEnd(s, f, &flow)
		}
	}
}

// heardEnd asks for the blocks of a flow's end that were lost whole.
func (e *Engine) heardEnd(s *stream, f *inflow, flow *datagram.Flow) {
	oldest := flow.Next - uint64(flow.Back)
	if !f.known {
		f.known, f.next = true, max(f.next, oldest)
		if flow.To == (datagram.Tag{}) {
			f.next = max(f.next, flow.Next)
		}
	}
	e.skip(s, f, oldest)
	if flow.Next > f.end() {
		e.extend(s, f, flow.Next-1)
	}
}
