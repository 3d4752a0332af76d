package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// Engine is one node on one segment. It is not safe for concurrent use. now is
// the caller's monotonic clock, the same for all calls, and must not go back; wall is its
// physical clock and may.
type Engine struct {
	cfg  Config // constant after New, but for Roots, Text and Addrs
	self [32]byte
	tag  datagram.Tag // of our own stream
	rng  *rand.Rand

	now  Time
	wall time.Time

	sealer *datagram.Sealer // made by the first call that tells the wall time, for keys depend on it
	opener *datagram.Opener

	sender    sender
	pacer     pacer
	repairer  repairer
	parity    parityPlan
	backoff   backoff
	outbox    outbox
	presence  presence
	streams   []*stream // by the time of their admission
	byPeer    map[wire.PeerID]*stream
	decoder   decoder
	spare     [][]byte // buffers of MaxBytes
	scratch   []byte   // into which datagrams are opened
	wakeAt    Time     // the first deadline of any stream
	reportAt  Time     // when the state of things is next looked at
	held      int      // bytes of reassembly
	asking    bool     // a stream may have a request that is due
	behind    bool     // datagrams wait to be received, as of the next Tick
	holds     int      // Ticks in a row that looked for no requests because of that
	passive   bool
	left      bool
	opening   budget // for keys of streams that are not admitted
	beaconing budget // for signatures of others' beacons
	owning    budget // and of those that claim to be this node's

	frames   []Frame
	changes  []MemberChange
	siblings []datagram.StreamID
	taken    bool // the output's slices were handed out
	stats    Stats

	heardSiblings []sibling // the newest first
}

// New returns an engine that says nothing before its first Tick. The error
// wraps ErrConfig.
func New(cfg Config) (*Engine, error) {
	author, ok := wire.AuthorOf(cfg.Self)
	if cfg.Rates == (Rates{}) {
		cfg.Rates = RatesOf(cfg.Kind)
	}
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	refuse(!ok, "Self is not the peer ID of an Ed25519 key")
	refuse(cfg.Sign == nil, "Sign is missing")
	refuse(cfg.Rand == nil, "Rand is missing")
	refuse(cfg.Stream.Tag() == datagram.Tag{}, "Stream is not random")
	refuse(cfg.Rates.Start < rateMin || cfg.Rates.Max < cfg.Rates.Start,
		"Rates are %d to %d bit/s, want %d at least", cfg.Rates.Start, cfg.Rates.Max, rateMin)
	refuse(len(cfg.Text) > AnnounceMaxBytes, "Text of %d bytes, want %d at most", len(cfg.Text), AnnounceMaxBytes)
	if err := checkRoots(cfg.Roots); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, self: author, tag: cfg.Stream.Tag(), rng: cfg.Rand,
		byPeer: map[wire.PeerID]*stream{}, wakeAt: Never, reportAt: Never,
	}
	e.cfg.Roots = append([]datagram.Root(nil), cfg.Roots...)
	e.cfg.Text = append([]byte(nil), cfg.Text...)
	e.SetAddrs(cfg.Addrs)
	e.sender.init()
	e.pacer = newPacer(cfg.Rates)
	e.presence.init()
	e.opening = budget{tokens: openBurst}
	e.beaconing, e.owning = budget{tokens: verifyBurst}, budget{tokens: verifyOwn}
	return e, nil
}

func checkRoots(roots []datagram.Root) error {
	if len(roots) == 0 || len(roots) > datagram.RootsMax {
		return fmt.Errorf("%w: %d roots, want 1 to %d", ErrConfig, len(roots), datagram.RootsMax)
	}
	return nil
}

// at moves the clocks on, and the keys with them.
func (e *Engine) at(now Time, wall time.Time) {
	e.now = max(e.now, now)
	if wall.IsZero() {
		return
	}
	e.wall = wall
	epoch := datagram.EpochAt(wall)
	if e.sealer == nil {
		e.sealer = datagram.NewSealer(e.cfg.Stream, e.cfg.Roots[0], epoch)
		e.opener = datagram.NewOpener(e.cfg.Stream, e.cfg.Roots, epoch)
		e.opener.LimitStrangers(func() bool { return e.opening.take(e.now, openRate, openBurst) })
		e.presence.start(e)
		return
	}
	e.sealer.SetKey(e.cfg.Roots[0], epoch)
	e.opener.SetEpoch(epoch)
}

// Send queues a frame for the members of the segment, or if to is not empty for
// that member alone. The frame, given in parts, is copied. What is sent leaves with
// the next Takes. The error wraps ErrTooLarge, ErrFull, ErrNoMember, ErrPassive or
// ErrClosed.
func (e *Engine) Send(now Time, to wire.PeerID, lane carrier.Lane, frame ...[]byte) error {
	e.at(now, time.Time{})
	size := 0
	for _, part := range frame {
		size += len(part)
	}
	switch {
	case e.left:
		return ErrClosed
	case e.passive:
		return ErrPassive
	case size == 0 || size > FrameMaxBytes:
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrTooLarge, size, FrameMaxBytes)
	case to == "":
		return e.sender.send(e, e.sender.lanes[lane].all, frame, size)
	}
	s := e.byPeer[to]
	if s == nil {
		return ErrNoMember
	}
	return e.sender.send(e, e.sender.flowTo(s, lane), frame, size)
}

// Room reports whether the lane has room for a frame of any size.
func (e *Engine) Room(lane carrier.Lane) bool {
	return e.sender.lanes[lane].queued+FrameMaxBytes <= QueueMaxBytes
}

// Announce sets what beacons say of this node beside its presence; the next
// one goes out soon. The error wraps ErrTooLarge beyond AnnounceMaxBytes.
func (e *Engine) Announce(text []byte) error {
	if len(text) > AnnounceMaxBytes {
		return fmt.Errorf("%w: announcement of %d bytes, want %d at most", ErrTooLarge, len(text), AnnounceMaxBytes)
	}
	if string(text) != string(e.cfg.Text) {
		e.cfg.Text = append([]byte(nil), text...)
		e.presence.soon(e)
	}
	return nil
}

// SetAddrs sets the listen addresses that beacons tell, as binary multiaddrs.
// The first that fit AddrsMaxBytes are told.
func (e *Engine) SetAddrs(addrs [][]byte) {
	var kept [][]byte
	room := AddrsMaxBytes
	for _, a := range addrs {
		if n := len(a) + 1; len(a) != 0 && n <= room && len(kept) < datagram.AddrsMax {
			kept = append(kept, append([]byte(nil), a...))
			room -= n
		}
	}
	if !sameTexts(kept, e.cfg.Addrs) {
		e.cfg.Addrs = kept
		e.presence.soon(e)
	}
}

func sameTexts(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if string(a[i]) != string(b[i]) {
			return false
		}
	}
	return true
}

// SetRoots replaces the group's keys: the first seals, all open. What is
// sealed under a key that is gone is not opened from then on. The error wraps ErrConfig.
func (e *Engine) SetRoots(roots []datagram.Root) error {
	if err := checkRoots(roots); err != nil {
		return err
	}
	e.cfg.Roots = append([]datagram.Root(nil), roots...)
	if e.sealer != nil {
		epoch := datagram.EpochAt(e.wall)
		e.sealer.SetKey(roots[0], epoch)
		e.opener.SetKeys(roots, epoch)
		e.presence.soon(e)
	}
	return nil
}

// SetPassive makes the engine silent, or ends that. A passive engine sends
// nothing, refuses Sends, drops what was queued, reports its members Down and
// hands on no frame; it goes on reporting Siblings.
func (e *Engine) SetPassive(passive bool) {
	if passive == e.passive {
		return
	}
	e.passive = passive
	if passive {
		e.sender.drop()
		e.repairer.drop()
		for _, s := range e.streams {
			e.memberDown(s)
			s.dropFlows(e)
		}
		return
	}
	e.presence.start(e)
}

// Leave queues a farewell for the next Take and refuses all Sends from then on.
func (e *Engine) Leave() {
	if !e.left {
		e.left = true
		e.presence.next = e.now
		e.sender.drop()
		e.repairer.drop()
	}
}

// Tick does what is due.
func (e *Engine) Tick(now Time, wall time.Time) {
	e.reset()
	e.at(now, wall)
	if e.passive {
		return
	}
	if e.now >= e.wakeAt && !e.holdsBack() {
		e.wakeStreams()
	}
	if e.now >= e.reportAt {
		e.look()
	}
}

// look does what is done now and then: members expire, the rate follows reports.
func (e *Engine) look() {
	e.reportAt = e.now.Add(lookEvery)
	e.expire()
	e.adjust()
	e.sender.trim(e)
	e.sender.sweep()
	if len(e.streams) == 0 && !e.sender.busy() {
		e.reportAt = Never
	}
}

// lookEvery is how often, while there is anybody or anything to look at.
const lookEvery = 250 * time.Millisecond

// NextDeadline is when Tick and Take have something to do if nothing comes in
// before; Never if they have not.
func (e *Engine) NextDeadline() Time {
	if e.sealer == nil {
		return e.now // the first Tick tells the time
	}
	if e.passive {
		return Never
	}
	return min(e.wakeAt, e.reportAt, e.nextSend())
}

// Take returns what has to be carried out.
func (e *Engine) Take() Output {
	e.reset()
	out := Output{Members: e.changes, Frames: e.frames, Siblings: e.siblings}
	if e.sealer != nil && !e.passive {
		out.Datagrams = e.transmit()
	}
	for lane := range out.Room {
		l := &e.sender.lanes[lane]
		if l.refused && e.Room(carrier.Lane(lane)) {
			l.refused, out.Room[lane] = false, true
		}
	}
	e.taken = true
	return out
}

// reset makes room for the next output once the last was carried out.
func (e *Engine) reset() {
	if !e.taken {
		return
	}
	e.taken = false
	clear(e.frames)
	e.frames, e.changes, e.siblings = e.frames[:0], e.changes[:0], e.siblings[:0]
}

// Members appends those who are heard now, in the order in which they came.
func (e *Engine) Members(dst []Member) []Member {
	for _, s := range e.streams {
		if s.up {
			dst = append(dst, s.member())
		}
	}
	return dst
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.RateBits = int(e.pacer.rate)
	s.WorstLoss = e.WorstLoss()
	s.Members = len(e.byPeer)
	s.Streams = len(e.streams)
	s.ReassemblyBytes = e.held
	s.LiveBytes = e.sender.liveBytes
	for i := range e.sender.lanes {
		s.QueuedBytes += e.sender.lanes[i].queued
	}
	return s
}

// Opened returns how many datagrams were authentic, new and from a member.
func (e *Engine) Opened() uint64 { return e.stats.Opened }

// Receive takes a datagram that came from the group, or claims so. It never
// fails: what is refused is counted, and answered by nothing. from is always
// written the same way for one source (see netip.Addr.Unmap). The bytes are not
// kept and not changed.
func (e *Engine) Receive(now Time, wall time.Time, from netip.AddrPort, b []byte) {
	e.reset()
	e.at(now, wall)
	if e.opener == nil {
		return
	}
	if e.scratch == nil {
		e.scratch = e.buffer()
	}
	m, err := e.opener.Open(e.scratch, b, from)
	if err != nil {
		e.refuse(err)
		return
	}
	if m.Type == datagram.TypeBeacon || m.Type == datagram.TypeBye {
		e.receiveBeacon(&m, from)
		return
	}
	s := e.streams[m.From.Slot]
	if e.passive || s.left || !s.up && e.byPeer[s.peer] != nil {
		return
	}
	if !s.up {
		if !e.admits(s.peer) {
			e.refuse(datagram.RefusedMember)
			return
		}
		e.memberUp(s) // its beacons were lost, and that is all
	}
	e.stats.Opened++
	s.count(e, m.Seq)
	switch m.Type {
	case datagram.TypeShard:
		e.receiveShard(s, m.Inner)
	case datagram.TypeNack:
		e.receiveNack(s, m.Inner)
	case datagram.TypeDigest:
		e.receiveDigest(s, m.Inner)
	default:
		e.refuse(datagram.RefusedInner) // of a later version
	}
}

// refuse counts a refusal.
func (e *Engine) refuse(err error) {
	if r, ok := errors.AsType[datagram.Refusal](err); ok {
		e.stats.Refused[r]++
	}
}

// buffer returns an empty buffer of a datagram's capacity.
func (e *Engine) buffer() []byte {
	if n := len(e.spare); n != 0 {
		b := e.spare[n-1]
		e.spare = e.spare[:n-1]
		return b
	}
	return make([]byte, 0, datagram.MaxBytes)
}

// release takes a buffer back.
func (e *Engine) release(b []byte) {
	if len(e.spare) < spareMax {
		e.spare = append(e.spare, b[:0])
	}
}

const spareMax = 256 // buffers, 300 kB
