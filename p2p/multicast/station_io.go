package multicast

import (
	"errors"
	"net"
	"slices"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// batches is how many batches a socket reads into: one while another is worked on.
const batches = 2

// readRetry is the pause after a socket could not be read.
const readRetry = 50 * time.Millisecond

// end is a socket of a station.
type end struct {
	endpoint
	reading bool // a reader was started; of who keeps the stations
}

// arrivals are datagrams from a socket to the loop, which gives the batch back.
type arrivals struct {
	socket.Batch
	family socket.Family
	free   chan<- *arrivals
}

// openSockets opens and closes sockets as the interface has addresses. The error
// says that none is open.
func (s *station) openSockets(i socket.Interface) error {
	var errs []error
	open := 0
	for f, can := range [socket.Families]bool{socket.IPv6: i.V6, socket.IPv4: i.V4} {
		family := socket.Family(f)
		old := s.sockets[f].Load()
		switch {
		case !can:
			s.closeSocket(family)
		case old != nil:
			old.Update(i)
			open++
		default:
			e, err := s.c.machine.open(i, family, s.c.group)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			s.sockets[f].Store(&end{endpoint: e})
			open++
		}
	}
	if open == 0 {
		return errors.Join(append(errs, errors.New("multicast: no socket on "+i.Name))...)
	}
	return nil
}

// lacksSocket reports whether a family that the interface has could not be opened
// as yet, which may have had a passing cause.
func (s *station) lacksSocket(i socket.Interface) bool {
	return i.V6 && s.sockets[socket.IPv6].Load() == nil || i.V4 && s.sockets[socket.IPv4].Load() == nil
}

// closeSocket closes a socket if it is open. What it counted is kept.
func (s *station) closeSocket(f socket.Family) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.sockets[f].Swap(nil)
	if e == nil {
		return
	}
	if err := e.Close(); err != nil {
		s.log.Debug("socket cannot be closed", "err", err)
	}
	s.closed[f].Add(e.Stats())
}

// unread reports whether datagrams are there that the loop was not given.
func (s *station) unread() bool {
	if s.brought.Load() > 0 {
		return true
	}
	for f := range s.sockets {
		if e := s.sockets[f].Load(); e != nil && e.Unread() {
			return true
		}
	}
	return false
}

// buffer returns the least receive buffer of the sockets.
func (s *station) buffer() int {
	least := 0
	for f := range s.sockets {
		if e := s.sockets[f].Load(); e != nil && (least == 0 || e.ReceiveBuffer() < least) {
			least = e.ReceiveBuffer()
		}
	}
	return least
}

// read starts the reader of a socket that has none.
func (s *station) read(f socket.Family) {
	e := s.sockets[f].Load()
	if e == nil || e.reading {
		return
	}
	e.reading = true
	free := make(chan *arrivals, batches)
	for range batches {
		free <- &arrivals{family: f, free: free}
	}
	s.readers.Go(func() {
		for {
			a := <-free
			switch err := e.Read(&a.Batch); {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				s.log.Debug("socket cannot be read", "family", f.String(), "err", err)
				free <- a
				select {
				case <-time.After(readRetry):
				case <-s.stop:
					return
				}
				continue
			}
			s.brought.Add(1)
			select {
			case s.received <- a:
			case <-s.left:
				return
			}
		}
	})
}

// receive gives datagrams to the engine.
func (s *station) receive(a *arrivals) {
	s.brought.Add(-1)
	now, wall := s.c.now(), time.Now()
	s.heardAt.Store(int64(now))
	both := s.sockets[socket.IPv6].Load() != nil && s.sockets[socket.IPv4].Load() != nil
	for _, d := range a.Datagrams {
		if both && a.family == socket.IPv4 && !s.gate.passes(now, d.Bytes) {
			continue
		}
		before := s.engine.Opened()
		s.engine.Receive(now, wall, d.From, d.Bytes)
		if both && s.engine.Opened() != before {
			s.gate.opened(now, a.family, d.Bytes)
		}
	}
	a.free <- a // never blocks: it holds all batches
}

// carryOut does what the engine wants done.
func (s *station) carryOut(out segment.Output) {
	if len(out.Datagrams) > 0 {
		s.write(out.Datagrams)
	}
	handed := 0
	for _, m := range out.Members {
		s.handOn(out.Frames[handed:m.After])
		handed = m.After
		s.memberChanged(m)
	}
	s.handOn(out.Frames[handed:])
	s.publishMembers()
	for _, id := range out.Siblings {
		s.sibling.heard(s, id)
	}
	for lane, room := range out.Room {
		if o := s.held[lane]; room && o != nil {
			s.offer(carrier.Lane(lane), o)
		}
	}
}

// handOn queues frames for the handler, behind the changes before them.
func (s *station) handOn(frames []segment.Frame) {
	if len(frames) == 0 {
		return
	}
	s.publishMembers()
	for _, f := range frames {
		if _, known := s.told[f.From]; !known {
			s.counts.refused.Add(1)
			continue
		}
		s.deliver.frame(f)
	}
}

// write sends datagrams: under IPv6 if the interface has it, under IPv4 if it has
// not or somebody may need it.
func (s *station) write(datagrams [][]byte) {
	six, four := s.sockets[socket.IPv6].Load(), s.sockets[socket.IPv4].Load()
	burst := s.burst()
	if burst > 1 {
		// Blocks that are sent in turns may have shards of different lengths, and only
		// datagrams of one length go as one. Within a burst the order does not matter.
		slices.SortStableFunc(datagrams, func(a, b []byte) int { return len(b) - len(a) })
	}
	var sent int
	var errs [socket.Families]error
	if six == nil && four == nil {
		errs[socket.IPv6] = errNoSocket
	}
	if six != nil {
		sent, errs[socket.IPv6] = six.Write(datagrams, burst)
	}
	if four != nil && (six == nil || errs[socket.IPv6] != nil || s.needIPv4()) {
		n, err := four.Write(datagrams, burst)
		sent, errs[socket.IPv4] = max(sent, n), err
	}
	failed := sent < len(datagrams)
	if failed {
		s.counts.sendFailed.Add(uint64(len(datagrams) - sent))
	}
	if failed != s.failing && !s.closing() { // a farewell that comes too late is no failure
		s.failing = failed
		if failed {
			s.log.Warn("sending fails", "err", errors.Join(errs[:]...))
		} else {
			s.log.Info("sending works again", "failed", s.counts.sendFailed.Load())
		}
	}
}

const (
	// burstMax is how many datagrams the system gets as one while nobody loses any.
	burstMax = 8
	// burstLoss is a member's loss above which each datagram goes by itself, for a
	// bridge or a packet filter on the way would drop eight at once.
	burstLoss = 0.004
)

// burst is how many datagrams the system may get as one.
func (s *station) burst() int {
	if s.engine.WorstLoss() > burstLoss {
		return 1
	}
	return burstMax
}

// needIPv4 reports whether, beside IPv6, datagrams are to leave under IPv4: while
// nobody is heard, who knows why, and while somebody is heard on IPv4 alone.
func (s *station) needIPv4() bool { return len(s.told) == 0 || s.c.now() < s.gate.until }
