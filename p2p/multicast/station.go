package multicast

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// Reasons for which a segment's link goes down.
var (
	errGone    = errors.New("multicast: the interface is gone")
	errSibling = errors.New("multicast: another interface is on the same wire")
	errNoKey   = errors.New("multicast: there is no group key")
)

// errNoSocket is why nothing is sent while the interface has no address, or goes down.
var errNoSocket = errors.New("multicast: no socket is open")

// segmentPrefix begins a link's name; the interface's name ends it.
const segmentPrefix = "segment:"

// Bounds of a station.
const (
	outgoingMax = 8                      // frames of a lane between Send and the engine
	inputsMax   = 32                     // inputs taken before the outputs are carried out
	goodbyeMax  = 200 * time.Millisecond // for the last datagrams to leave
)

// station is this node on one interface.
type station struct {
	c      *Carrier
	name   wire.PeerID
	index  int
	kind   socket.Kind
	stream datagram.StreamID
	log    *slog.Logger

	sockets  [socket.Families]atomic.Pointer[end] // nil: none of that family
	lanes    [carrier.Lanes]chan *outgoing
	received chan *arrivals
	brought  atomic.Int32  // batches that were read and not received
	wake     chan struct{} // capacity 1: what is said, refused or open has changed
	stop     chan struct{} // closed by close
	left     chan struct{} // closed when the loop has ended
	readers  sync.WaitGroup
	deliver  *delivery

	up       atomic.Bool // the link
	backlogs [carrier.Lanes]backlog
	renew    atomic.Bool // the station is to be closed and opened again, as a new run
	members  atomic.Pointer[[]carrier.Member]
	heardAt  atomic.Int64 // when a datagram last came, in the engine's time

	mu       sync.Mutex // guards the fields below
	ifi      socket.Interface
	rejoined time.Time
	closed   [socket.Families]socket.Stats // of sockets that were closed
	shown    shown

	// Of the loop alone.
	engine  *segment.Engine
	said    said
	held    [carrier.Lanes]*outgoing       // found no room in the engine
	told    map[wire.PeerID]carrier.Member // members that the handler knows of
	gate    familyGate
	sibling sibling
	counts  stationCounts
	failing bool // sending fails; it was logged

	memberEvents []linkEvent // to be told once told is published
}

// stationCounts are counted by the loop.
type stationCounts struct {
	sendFailed atomic.Uint64 // datagrams that no socket took
	lost       atomic.Uint64 // frames that the engine refused after Send had taken them
	refused    atomic.Uint64 // frames of peers that are refused
}

// outgoing is a frame between Send and the engine.
type outgoing struct {
	to    wire.PeerID // a member, or nobody for all
	bytes []byte
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// openStation opens what can be opened on an interface: at least one socket.
func openStation(c *Carrier, i socket.Interface) (*station, error) {
	s := &station{
		c: c, name: wire.PeerID(segmentPrefix + i.Name), index: i.Index, kind: i.Kind, ifi: i,
		log:      c.log.With("segment", segmentPrefix+i.Name),
		received: make(chan *arrivals), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), left: make(chan struct{}), told: make(map[wire.PeerID]carrier.Member),
		rejoined: time.Now(), shown: shown{since: time.Now()},
	}
	for lane := range s.lanes {
		s.lanes[lane] = make(chan *outgoing, outgoingMax)
	}
	_, _ = rand.Read(s.stream[:]) // never fails
	engine, err := s.newEngine()
	if err != nil {
		return nil, err
	}
	s.engine = engine
	if err := s.openSockets(i); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *station) newEngine() (*segment.Engine, error) {
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	s.said = s.c.saying()
	key := s.c.cfg.Key
	return segment.New(segment.Config{
		Self:   s.c.self,
		Sign:   func(message []byte) ([]byte, error) { return ed25519.Sign(key, message), nil },
		Roots:  s.said.roots,
		Stream: s.stream,
		Rand:   mathrand.New(mathrand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:]))),
		Kind:   engineKind(s.kind),
		Rates:  s.c.cfg.Rates,
		Admit:  s.c.admits,
		Text:   s.said.text,
		Addrs:  s.said.addrs,
	})
}

// engineKind translates: the loopback interface is as quick as any wire.
func engineKind(k socket.Kind) segment.Kind {
	switch k {
	case socket.Wired, socket.Loopback:
		return segment.Wired
	case socket.Wireless:
		return segment.Wireless
	default:
		return segment.Unknown
	}
}

// haste orders stations for a member that several hear: the quicker kind first.
func (s *station) haste() int {
	switch s.kind {
	case socket.Wired, socket.Loopback:
		return 0
	case socket.Wireless:
		return 2
	default:
		return 1
	}
}

// start begins to read, to send, and to call the handler.
func (s *station) start() {
	if s.sibling.listen == 0 {
		s.goUp()
	}
	go s.run() // ends before close returns
	for f := range s.sockets {
		s.read(socket.Family(f))
	}
}

// goUp takes the link up.
func (s *station) goUp() {
	s.up.Store(true)
	s.deliver.event(linkEvent{kind: linkUp, link: s.link()})
	s.log.Info("segment up", "kind", s.kind.String(), "buffer", s.buffer())
}

func (s *station) link() carrier.Link { return carrier.Link{Peer: s.name, Path: carrier.PathMulticast} }

// close says goodbye, ends all that start began, and takes the link down.
func (s *station) close(reason error) {
	close(s.stop)
	select {
	case <-s.left:
	case <-time.After(goodbyeMax): // a socket that takes nothing is closed below
	}
	for f := range s.sockets {
		s.closeSocket(socket.Family(f))
	}
	<-s.left
	s.readers.Wait()
	s.forgetMembers()
	if s.up.Swap(false) {
		s.deliver.event(linkEvent{kind: linkDown, link: s.link(), reason: reason})
	}
	s.deliver.close()
}

// send hands a frame to the loop.
func (s *station) send(ctx context.Context, to wire.PeerID, lane carrier.Lane, length int, frame [][]byte) error {
	o := outgoings.Get().(*outgoing)
	o.to, o.bytes = to, slices.Grow(o.bytes[:0], length)
	for _, part := range frame {
		o.bytes = append(o.bytes, part...)
	}
	waiting := &s.backlogs[lane].waiting
	waiting.Add(int64(length))
	select {
	case s.lanes[lane] <- o:
		return nil
	case <-ctx.Done():
		waiting.Add(-int64(length))
		return context.Cause(ctx)
	case <-s.stop:
		return carrier.ErrNoLink
	}
}

// heard returns the members, in order of peer; not to be modified.
func (s *station) heard() []carrier.Member {
	if m := s.members.Load(); m != nil {
		return *m
	}
	return nil
}

func (s *station) hears(p wire.PeerID) bool {
	_, found := slices.BinarySearchFunc(s.heard(), p, func(m carrier.Member, p wire.PeerID) int {
		return cmpPeer(m.Peer, p)
	})
	return found
}

// isOn reports whether the station is on that interface.
func (s *station) isOn(i socket.Interface) bool {
	return i.Index == s.index && wire.PeerID(segmentPrefix+i.Name) == s.name
}

// update follows the interface's state, and reminds a switch that may have forgotten.
func (s *station) update(i socket.Interface) {
	s.mu.Lock()
	changed := !s.ifi.Equal(i)
	s.ifi = i
	s.mu.Unlock()
	if changed || s.lacksSocket(i) {
		if err := s.openSockets(i); err != nil {
			s.log.Debug("interface cannot be used", "err", err)
		}
		for f := range s.sockets {
			s.read(socket.Family(f))
		}
	}
	silent := s.c.now()-segment.Time(s.heardAt.Load()) > segment.Time(silenceMax)
	if !silent || time.Since(s.rejoined) < rejoinEvery {
		return
	}
	s.rejoined = time.Now()
	for f := range s.sockets {
		if e := s.sockets[f].Load(); e != nil {
			if err := e.Rejoin(); err != nil {
				s.log.Debug("group cannot be joined again", "err", err)
			}
		}
	}
}

// run is the loop: it owns the engine.
func (s *station) run() {
	defer close(s.left)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.wait(timer.C) {
		for range inputsMax {
			if !s.another() {
				break
			}
		}
		s.tick()
		s.considerSibling()
		out := s.engine.Take()
		s.show() // before what may wait
		s.carryOut(out)
		s.measure()
		timer.Reset(s.pause())
	}
	s.engine.Leave()
	s.engine.Tick(s.c.now(), time.Now())
	s.carryOut(s.engine.Take())
	s.show()
}

// tick has the engine do what is due. It asks for nothing while something is there to
// be read: where many share few processors, a timer may be served before a socket.
func (s *station) tick() {
	now := s.c.now()
	if s.engine.Seeks(now) && s.unread() {
		s.engine.Behind()
	}
	s.engine.Tick(now, time.Now())
}

// pause is how long there is nothing to do without input.
func (s *station) pause() time.Duration {
	next := min(s.engine.NextDeadline(), s.sibling.deadline())
	if next == segment.Never {
		return time.Hour
	}
	return max(0, time.Duration(next-s.c.now()))
}

// wait waits for an input and gives it to the engine. It returns false when the
// station closes.
func (s *station) wait(timer <-chan time.Time) bool {
	select {
	case <-s.stop:
		return false
	case a := <-s.received:
		s.receive(a)
	case o := <-s.lane(carrier.News):
		s.offer(carrier.News, o)
	case o := <-s.lane(carrier.Repair):
		s.offer(carrier.Repair, o)
	case <-s.wake:
		s.apply()
	case <-timer:
	}
	return true
}

// another gives the engine one more input if there is one.
func (s *station) another() bool {
	select {
	case a := <-s.received:
		s.receive(a)
	case o := <-s.lane(carrier.News):
		s.offer(carrier.News, o)
	case o := <-s.lane(carrier.Repair):
		s.offer(carrier.Repair, o)
	default:
		return false
	}
	return true
}

// lane returns where a lane's frames come from, or nil while one finds no room.
func (s *station) lane(l carrier.Lane) <-chan *outgoing {
	if s.held[l] != nil {
		return nil
	}
	return s.lanes[l]
}

// offer gives a frame to the engine, or holds it until there is room.
func (s *station) offer(lane carrier.Lane, o *outgoing) {
	s.held[lane] = nil
	err := s.engine.Send(s.c.now(), o.to, lane, o.bytes)
	if errors.Is(err, segment.ErrFull) {
		s.held[lane] = o
		return
	}
	s.backlogs[lane].taken(len(o.bytes))
	if err != nil {
		s.counts.lost.Add(1) // its member or the link has gone since Send looked
	}
	outgoings.Put(o)
}

// apply follows what the node says, refuses and opens.
func (s *station) apply() {
	said := s.c.saying()
	if !slices.Equal(said.text, s.said.text) {
		s.report(s.engine.Announce(said.text))
	}
	if !slices.EqualFunc(said.addrs, s.said.addrs, slices.Equal[[]byte]) {
		s.engine.SetAddrs(said.addrs)
	}
	if !slices.Equal(said.roots, s.said.roots) && len(said.roots) > 0 {
		s.report(s.engine.SetRoots(said.roots))
	}
	s.said = said
	s.settleMembers()
}

// report logs what cannot happen unless the carrier and the engine disagree on a limit.
func (s *station) report(err error) {
	if err != nil {
		s.log.Error("engine refuses", "err", fmt.Errorf("multicast: %w", err))
	}
}
