package multicast

import (
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
	told     atomic.Uint64 // events that the handler was told

	mu      sync.Mutex // guards the fields below
	events  []linkEvent
	added   uint64 // events ever
	lanes   [carrier.Lanes]laneQueue
	dropped uint64 // frames that found no room
}

// linkEvent is a call about the link or a member.
type linkEvent struct {
	kind   eventKind
	link   carrier.Link
	member carrier.Member
	reason error
}

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
	after uint64 // events that come before it
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
func (d *delivery) event(e linkEvent) {
	d.mu.Lock()
	d.events = append(d.events, e)
	d.added++
	if e.kind == linkDown {
		d.lanes = [carrier.Lanes]laneQueue{}
	}
	d.mu.Unlock()
	signal(d.wake)
}

// frame queues a frame, which the delivery then owns.
func (d *delivery) frame(f segment.Frame) {
	d.mu.Lock()
	q := &d.lanes[f.Lane]
	takes := takesOf(&f)
	fits := q.bytes+takes <= undeliveredMaxBytes
	if fits {
		q.frames = append(q.frames, pendingFrame{f, d.added})
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
		d.events = d.events[1:]
		d.mu.Unlock()
		d.call(e)
		d.told.Add(1)
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
