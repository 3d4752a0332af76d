package segment

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

const (
	beaconsRate  = 16   // beacons a second that a segment's members send in all
	beaconsBytes = 4400 // and their bytes a second, headers included: 35 kbit/s
	intervalMin  = time.Second
	intervalMax  = 5 * time.Minute

	// expireAfter is how many intervals without a word end a membership. With 3.5 of
	// them 50 nodes that lose a fifth of all beacons would declare six members a second gone.
	expireAfter = 5.5

	// forgetAfter is how long a stream's replay window is kept after its last
	// word: twice the tolerance for beacons' times, and some. Then all its beacons are too old.
	forgetAfter = 2*datagram.TimeTolerance + 15*time.Second

	// beginsMax is how many blocks a stream may have sent for those who hear of it to
	// ask for its beginning: its first beacon may have been lost.
	beginsMax = 32

	// runsMax is how many streams of one peer are remembered: it started so often within
	// forgetAfter.
	runsMax = 16

	// openRate and openBurst are for how many beacons a second of streams that are not
	// admitted a key is made, which takes 2 µs each. A newcomer's beacon competes with
	// forged ones only where there are more.
	openRate  = 4000
	openBurst = 400

	verifyRate  = 100 // signatures of beacons that are checked a second
	verifyBurst = 200
	verifyOwn   = 20 // the same of beacons in this node's name, and their burst
)

// firstBeacons are the times of the first ones after the start.
var firstBeacons = [...]time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond}

// presence tells the others of this node.
type presence struct {
	next Time // when the next beacon goes; Never before the start
	last Time
	sent int // since the start
	from Time
	bye  bool // was said

	greets  budget // for beacons brought forward by newcomers
	changes budget // the same by what this node says anew
	size    int    // bytes of the last beacon
}

func (p *presence) init() {
	p.next, p.last, p.size = Never, -Never/2, 256
	p.greets, p.changes = budget{tokens: greetsBurst}, budget{tokens: changesBurst}
}

// start begins with the first beacons.
func (p *presence) start(e *Engine) {
	p.from, p.sent = e.now, 0
	p.next = e.now.Add(e.randomDuration(10 * time.Millisecond))
}

// interval is the time between beacons that keeps all members' within their bounds.
func (e *Engine) interval() time.Duration {
	members := time.Duration(len(e.byPeer) + 1)
	byCount := members * time.Second / beaconsRate
	byBytes := members * time.Duration(e.presence.size+headersBytes) * time.Second / beaconsBytes
	return min(max(intervalMin, byCount, byBytes), intervalMax)
}

// soon brings the next beacon forward, as far as the interval lets it. What changes all
// the time waits for the next that is due: the rate of all members would else grow with their number.
func (p *presence) soon(e *Engine) {
	i := e.interval()
	soonest := max(p.last.Add(i/4), e.now)
	if p.next == Never || p.next <= soonest.Add(i/8) {
		return
	}
	if p.changes.take(e.now, 1/(changesEach*i.Seconds()), changesBurst) {
		p.next = soonest.Add(e.randomDuration(i / 8))
	}
}

const (
	changesEach  = 16 // intervals for each beacon brought forward
	changesBurst = 3
)

// greet answers a newcomer's first beacon. Many answer over a whole interval, and
// newcomers without end, whom a member can invent, are not all answered.
func (p *presence) greet(e *Engine) {
	members := time.Duration(len(e.byPeer))
	at := e.now.Add(e.randomDuration(members * time.Second / beaconsRate))
	if at < p.next && p.greets.take(e.now, 1/e.interval().Seconds(), greetsBurst) {
		p.next = at
	}
}

const greetsBurst = 8

func (e *Engine) randomDuration(limit time.Duration) time.Duration {
	return time.Duration(e.rng.Float64() * float64(limit))
}

// sendPresence sends a beacon or the farewell, if one is due.
func (e *Engine) sendPresence() bool {
	p := &e.presence
	kind := datagram.TypeBeacon
	if e.left {
		p.bye = true
		kind = datagram.TypeBye
	} else if e.now < p.next {
		return false
	}
	p.schedule(e)
	b := datagram.Beacon{Wall: e.wall, Key: e.self, Interval: e.interval(), Text: e.cfg.Text, Addrs: e.cfg.Addrs}
	for lane := range b.Flows {
		b.Flows[lane] = e.sender.lanes[lane].all.state()
	}
	b.Reports = e.reports()
	d, err := e.sealer.SealBeacon(e.outbox.next(), kind, &b, e.cfg.Sign)
	if err != nil {
		e.stats.Unsigned++
		return false
	}
	p.size = len(d)
	e.stats.Beacons++
	e.put(d)
	return true
}

// schedule sets when the next beacon goes.
func (p *presence) schedule(e *Engine) {
	p.last = e.now
	p.sent++
	if e.left {
		p.next = Never
		return
	}
	i := e.interval()
	p.next = e.now.Add(i*3/4 + e.randomDuration(i/2))
	if p.sent < len(firstBeacons) {
		p.next = min(p.next, p.from.Add(firstBeacons[p.sent]+e.randomDuration(100*time.Millisecond)))
	}
}

// reports lists what this node lately missed of the streams that it hears most of.
func (e *Engine) reports() (list []datagram.Report) {
	for i := range e.streams {
		s := e.streams[(i+e.presence.sent)%len(e.streams)]
		if s.up && s.measured >= lossKnown && e.now-s.active < Time(2*e.interval()) && len(list) < datagram.ReportsMax {
			list = append(list, datagram.Report{Of: s.id.Tag(), Loss: s.lossByte()})
		}
	}
	return list
}

// budget is a token bucket for what is dear and can be asked for by others.
type budget struct {
	tokens float64
	at     Time
}

func (b *budget) take(now Time, rate, burst float64) bool {
	b.tokens = min(burst, b.tokens+rate*time.Duration(now-b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// receiveBeacon admits a stream, hears that a member is still there, or that it left.
func (e *Engine) receiveBeacon(m *datagram.Message, from netip.AddrPort) {
	b, err := datagram.ParseBeacon(m.Inner)
	if err != nil {
		e.refuse(err)
		return
	}
	peer := wire.Author(b.Key).PeerID()
	known := m.From != nil
	switch off := b.Wall.Sub(e.wall).Abs(); {
	case off > datagram.TimeTolerance:
		e.refuse(datagram.RefusedTime)
		return
	case known && e.streams[m.From.Slot].peer != peer:
		e.refuse(datagram.RefusedSignature)
		return
	case peer != e.cfg.Self && !e.admits(peer):
		e.refuse(datagram.RefusedMember)
		return
	case e.passive && peer != e.cfg.Self:
		return
	case !known && peer != e.cfg.Self && !e.mayBegin(peer, &b):
		return
	case peer == e.cfg.Self && e.siblingReplayed(m):
		e.refuse(datagram.RefusedReplay)
		return
	case !e.verifying(peer):
		e.refuse(datagram.RefusedLimit)
		return
	case !m.Signed(&b):
		e.refuse(datagram.RefusedSignature)
		return
	case peer == e.cfg.Self:
		e.heardSibling(m)
		return
	}
	s := e.admit(m, &b, peer, from)
	if s == nil {
		return
	}
	if m.Type == datagram.TypeBye {
		s.left = true
		e.memberDown(s)
		return
	}
	e.heardBeacon(s, m.Seq, &b)
}

// admits reports whether a peer may be a member now.
func (e *Engine) admits(p wire.PeerID) bool { return e.cfg.Admit == nil || e.cfg.Admit(p) }

// verifying takes from the budget for signatures. What this node itself said
// before it was started anew can be played without end, and has a budget of its own.
func (e *Engine) verifying(p wire.PeerID) bool {
	if p == e.cfg.Self {
		return e.owning.take(e.now, verifyOwn, verifyOwn)
	}
	return e.beaconing.take(e.now, verifyRate, verifyBurst)
}

// mayBegin reports whether there is room for a new stream of the peer, and its first
// beacon is newer than what is known of the peer: whoever plays an old one again and
// again must not use up the budget for signatures.
func (e *Engine) mayBegin(p wire.PeerID, b *datagram.Beacon) bool {
	if old := e.byPeer[p]; old != nil && !b.Wall.After(old.wall) {
		e.refuse(datagram.RefusedReplay)
		return false
	}
	if len(e.streams) >= StreamsMax || e.runs(p) >= runsMax {
		e.refuse(datagram.RefusedLimit)
		return false
	}
	return true
}

// runs returns how many streams of a peer are remembered.
func (e *Engine) runs(p wire.PeerID) (n int) {
	for _, s := range e.streams {
		if s.peer == p {
			n++
		}
	}
	return n
}

// admit returns the stream of a good beacon, which mayBegin let pass if it is new, or
// nil if it is refused.
func (e *Engine) admit(m *datagram.Message, b *datagram.Beacon, peer wire.PeerID, from netip.AddrPort) *stream {
	old := e.byPeer[peer]
	if m.From != nil {
		s := e.streams[m.From.Slot]
		if s.left || old != nil && old != s && e.now-old.heard < Time(old.interval*3/2) {
			e.refuse(datagram.RefusedMember) // a peer is heard on one stream at a time
			return nil
		}
		if old != nil && old != s {
			e.memberDown(old)
		}
		e.opener.Admit(m, from)
		return s
	}
	if old != nil {
		e.memberDown(old) // it started anew and could not say so
	}
	s := &stream{id: m.Stream, peer: peer, wakeAt: Never, newest: m.Seq, lossFrom: m.Seq, lossAt: e.now}
	s.from = e.opener.Admit(m, from)
	s.from.Slot = len(e.streams)
	e.streams = append(e.streams, s)
	for lane := range s.in[toAll] {
		f := &b.Flows[lane]
		s.in[toAll][lane] = inflow{known: true, next: f.Next}
		if oldest := f.Next - uint64(f.Back); oldest == 1 && f.Back <= beginsMax {
			s.in[toAll][lane].next = oldest // it has only just begun
		}
	}
	return s
}

// heardBeacon takes what a member says of itself.
func (e *Engine) heardBeacon(s *stream, seq uint64, b *datagram.Beacon) {
	e.stats.Opened++
	s.count(e, seq)
	if seq <= s.beacon {
		return // overtaken by a newer one
	}
	s.beacon, s.wall, s.interval = seq, b.Wall, min(max(b.Interval, intervalMin), intervalMax)
	changed := !bytes.Equal(s.text, b.Text) || !sameTexts(s.addrs, b.Addrs)
	if changed {
		s.text, s.addrs = bytes.Clone(b.Text), nil
		for _, a := range b.Addrs {
			s.addrs = append(s.addrs, bytes.Clone(a))
		}
	}
	for _, r := range b.Reports {
		if r.Of == e.tag {
			s.report(e, r.Loss)
		}
	}
	switch {
	case !s.up:
		e.memberUp(s)
		e.presence.greet(e)
	case changed:
		e.change(Changed, s)
	}
	for lane := range b.Flows {
		e.heardEnd(s, &s.in[toAll][lane], &b.Flows[lane])
	}
}

func (e *Engine) memberUp(s *stream) {
	s.up = true
	e.byPeer[s.peer] = s
	e.parity.fresh = false
	e.change(Up, s)
	e.startLooking()
}

// change tells of a change, and where among the frames it belongs.
func (e *Engine) change(kind ChangeKind, s *stream) {
	e.changes = append(e.changes, MemberChange{kind, s.member(), len(e.frames)})
}

// startLooking has look called from now on.
func (e *Engine) startLooking() {
	if e.reportAt == Never {
		e.reportAt = e.now.Add(lookEvery)
	}
}

// memberDown ends a membership. The stream is remembered, for its replay window.
func (e *Engine) memberDown(s *stream) {
	if !s.up {
		return
	}
	s.up, s.asks = false, false
	delete(e.byPeer, s.peer)
	e.parity.fresh = false
	e.change(Down, s)
	s.dropFlows(e)
}

// expire ends the memberships of those who fell silent or may no longer be
// members, and forgets those silent for long.
func (e *Engine) expire() {
	for _, s := range e.streams {
		if s.up && (e.now-s.heard > Time(expireAfter*float64(s.interval)) || !e.admits(s.peer)) {
			e.memberDown(s)
		}
	}
	kept := len(e.streams)
	e.streams = slices.DeleteFunc(e.streams, func(s *stream) bool {
		if s.up || e.now-s.heard <= Time(max(forgetAfter, time.Duration(expireAfter*float64(s.interval)))) {
			return false
		}
		e.opener.Forget(s.id)
		return true
	})
	if len(e.streams) != kept {
		for i, s := range e.streams {
			s.from.Slot = i
		}
	}
}
