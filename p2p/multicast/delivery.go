package multicast

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/segment"
)

// undeliveredMaxBytes bounds the frames of one lane that wait for the handler.
// What comes while it is reached is lost, as it would be on the wire.
const undeliveredMaxBytes = 8 << 20

// pendingBytes is what a frame that waits takes beside its bytes: a member may send
// frames of one byte.
const pendingBytes = 128

// takesOf is how much a frame that waits takes of what there is for them.
func takesOf(f *segment.Frame) int { return pendingBytes + len(f.Bytes) + f.Spare }

// delivery calls the handler about one link: events in order, the frames of a
// lane in order, and no frame before the events that came before it. A handler that
// blocks on one lane stops neither the other one nor the station.
type delivery struct {
	handler carrier.Handler
	name    wire.PeerID            // of the link
	members carrier.MemberHandler  // nil: the handler does not care
	frames  carrier.SegmentHandler // likewise
	wg      sync.WaitGroup
	done    chan struct{} // closed by close

	wake     chan struct{}                // capacity 1: there are events
	wakeLane [carrier.Lanes]chan struct{} // capacity 1: there are frames
	// turn holds a token while somebody calls the handler about events. A lane's
	// holds one while its frames are handed on; who has turn may take it, not the
	// other way round.
	turn     chan struct{}
	laneTurn [carrier.Lanes]chan struct{}
	told     atomic.Uint64 // number of the newest event that the handler was told

	mu      sync.Mutex // guards the fields below
	events  []linkEvent
	added   uint64 // number of the newest event ever
	called  uint64 // number of the newest one that the handler is or was called about
	framed  uint64 // number of the newest event that a frame was queued behind
	lanes   [carrier.Lanes]laneQueue
	dropped uint64 // frames that found no room
}

// linkEvent is a call about the link or a member.
type linkEvent struct {
	kind   eventKind
	link   carrier.Link
	member carrier.Member
	anew   bool // of memberUp: it was no member before
	reason error
	number uint64 // in the order of all events
}

// ofLink reports whether the event is about the link.
func (e *linkEvent) ofLink() bool { return e.kind == linkUp || e.kind == linkDown }

type eventKind uint8

const (
	linkUp eventKind = iota
	linkDown
	memberUp
	memberDown
)

type laneQueue struct {
	frames []pendingFrame
	bytes  int
}

type pendingFrame struct {
	segment.Frame
	after uint64 // number of the event that comes before it
}

func newDelivery(h carrier.Handler, name wire.PeerID) *delivery {
	d := &delivery{
		handler: h, name: name,
		done: make(chan struct{}), wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
	d.members, _ = h.(carrier.MemberHandler)
	d.frames, _ = h.(carrier.SegmentHandler)
	d.wg.Go(d.tellEvents)
	for lane := range d.lanes {
		d.wakeLane[lane], d.laneTurn[lane] = make(chan struct{}, 1), make(chan struct{}, 1)
		d.wg.Go(func() { d.handOn(carrier.Lane(lane)) })
	}
	return d
}

// event queues a call. Frames that wait when the link goes down are dropped.
//
// While the handler blocks, what it was not told and what does not hold any more is taken
// back, unless a frame was queued behind it. So at most two events of a member wait, that it is
// gone and that it is back, beside those that frames are between, which are bounded.
func (d *delivery) event(e linkEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.kind {
	case linkUp:
	case linkDown:
		d.lanes = [carrier.Lanes]laneQueue{}
		if up := d.pending(linkUp, ""); up >= 0 {
			d.takeBack(up, len(d.events)) // with all that came over the link
			return
		}
	default:
		if up := d.pending(memberUp, e.member.Peer); up >= 0 {
			anew := d.events[up].anew
			d.takeBack(up, up+1)
			if anew && e.kind == memberDown {
				return // it came and went
			}
			e.anew = anew
		}
	}
	d.added++
	e.number = d.added
	d.events = append(d.events, e)
	signal(d.wake)
}

// pending returns the newest event about the link or the member, if it is of that kind and
// may be taken back, or else -1.
func (d *delivery) pending(kind eventKind, member wire.PeerID) int {
	for i := len(d.events) - 1; i >= 0; i-- {
		switch e := &d.events[i]; {
		case e.ofLink() && kind == e.kind:
			return i
		case e.ofLink(), kind != linkUp && e.number <= d.framed:
			return -1
		case kind != linkUp && e.member.Peer == member:
			if e.kind != kind {
				return -1
			}
			return i
		}
	}
	return -1
}

// takeBack removes events that the handler was not told.
func (d *delivery) takeBack(from, to int) { d.events = slices.Delete(d.events, from, to) }

// newest returns the number of the newest event that the handler was or is to be told.
func (d *delivery) newest() uint64 {
	if n := len(d.events); n > 0 {
		return d.events[n-1].number
	}
	return d.called
}

// frame queues a frame, which the delivery then owns.
func (d *delivery) frame(f segment.Frame) {
	d.mu.Lock()
	q := &d.lanes[f.Lane]
	takes := takesOf(&f)
	fits := q.bytes+takes <= undeliveredMaxBytes
	if fits {
		d.framed = d.newest()
		q.frames = append(q.frames, pendingFrame{f, d.framed})
		q.bytes += takes
	} else {
		d.dropped++
	}
	d.mu.Unlock()
	if fits {
		signal(d.wakeLane[f.Lane])
	}
}

// lost returns how many frames found no room.
func (d *delivery) lost() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dropped
}

func (d *delivery) tellEvents() {
	for {
		select {
		case <-d.wake:
			d.tell()
		case <-d.done:
			return
		}
	}
}

// tell makes the calls about events that are due; when it returns, those that
// were due when it was called have been made.
func (d *delivery) tell() {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	for {
		d.mu.Lock()
		if len(d.events) == 0 {
			d.mu.Unlock()
			return
		}
		e := d.events[0]
		d.events, d.called = d.events[1:], e.number
		d.mu.Unlock()
		d.call(e)
		d.told.Store(e.number)
	}
}

func (d *delivery) call(e linkEvent) {
	switch e.kind {
	case linkUp:
		d.handler.LinkUp(e.link)
	case linkDown:
		for _, t := range d.laneTurn { // no frame is with the handler then
			t <- struct{}{}
		}
		d.handler.LinkDown(e.link.Peer, e.reason)
		for _, t := range d.laneTurn {
			<-t
		}
	case memberUp:
		if d.members != nil {
			d.members.MemberUp(e.member)
		}
	case memberDown:
		if d.members != nil {
			d.members.MemberDown(e.member)
		}
	}
}

// handOn hands the frames of a lane on.
func (d *delivery) handOn(lane carrier.Lane) {
	for {
		select {
		case <-d.wakeLane[lane]:
		case <-d.done:
			return
		}
		for d.next(lane) {
		}
	}
}

func (d *delivery) hand(lane carrier.Lane, f segment.Frame) {
	if d.frames != nil {
		d.frames.SegmentFrame(d.name, f.From, lane, f.Bytes)
		return
	}
	d.handler.Frame(f.From, lane, f.Bytes)
}

// next hands on the lane's first frame, or tells the events before it. It
// reports whether there was a frame.
func (d *delivery) next(lane carrier.Lane) bool {
	d.laneTurn[lane] <- struct{}{}
	d.mu.Lock()
	q := &d.lanes[lane]
	if len(q.frames) == 0 {
		d.mu.Unlock()
		<-d.laneTurn[lane]
		return false
	}
	f := q.frames[0]
	early := f.after > d.told.Load()
	if !early {
		q.frames[0] = pendingFrame{}
		q.frames = q.frames[1:]
		q.bytes -= takesOf(&f.Frame)
	}
	d.mu.Unlock()
	if !early {
		d.hand(lane, f.Frame)
	}
	<-d.laneTurn[lane]
	if early {
		d.tell()
	}
	return true
}

// close makes the calls that are due, of which the last should be linkDown, and
// ends the goroutines.
func (d *delivery) close() {
	close(d.done)
	d.wg.Wait()
	d.tell()
}
