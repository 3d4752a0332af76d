package driver

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// errLinkGone is why an outbox ends.
var errLinkGone = errors.New("driver: the link is down")

// outbox is what waits to be sent to one peer on one lane. The loop fills it and
// never waits; its own goroutine empties it and may wait for the carrier.
//
// A push that finds it full is dropped, and becomes lazy word. Control messages
// are never dropped while the link is up, for the cores rely on their order;
// a peer that lets controlMax of them pile up is disconnected.
type outbox struct {
	// Constant.
	d        *Driver
	to       wire.PeerID
	lane     carrier.Lane
	carrier  carrier.Carrier
	mtu      int
	maxBytes int             // of pushes
	frameMax int             // bytes that are gathered into one frame
	wholeMax int             // bytes of a batch that leaves in one piece; a larger one leaves in parts
	partMax  int             // bytes of a batch in one part
	numbered bool            // pushes may be short
	segment  bool            // it is that of all on a segment, and the core waits for word that pushes have left
	ctx      context.Context //nolint:containedctx // of this link, made here and ended by cancel
	cancel   context.CancelCauseFunc
	wake     chan struct{} // capacity 1: the queue is not empty
	before   *outbox       // of the link's last life: it may still be in Send; nil: none
	ended    chan struct{} // closed when run has returned
	numbers  numbersGiven  // run only
	pushed   bool          // run only: of a segment: pushes were sent, and the core was not told that they left

	mu      sync.Mutex // guards the fields below
	queue   []parcel
	pushes  int
	bytes   int  // of pushes
	control int  // bytes of control messages
	full    bool // a push was dropped, and the core waits for word of room
}

// parcel is control messages as they go on the wire, or one push.
type parcel struct {
	control []byte
	id      wire.BatchID
	offset  int         // of the batch's first byte that is sent; above 0: in parts
	parts   bool        // however small it is
	batch   *wire.Batch // nil: to be read from the log
	size    int
}

// linkDownWait is how long LinkDown may take to follow a failed Send (a guess).
const linkDownWait = 5 * time.Second

// unknownSize is what a batch counts whose bytes are not at hand (a guess).
const unknownSize = 64 << 10

func newOutbox(d *Driver, l *link, lane carrier.Lane) *outbox {
	ctx, cancel := context.WithCancelCause(context.Background())
	o := &outbox{
		d: d, to: l.info.Peer, lane: lane, carrier: l.carrier, mtu: l.carrier.Traits().MTU,
		maxBytes: newsMaxBytes, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	o.frameMax, o.wholeMax, o.partMax = frameBytes, wire.BatchMaxBytes, wire.PartMaxBytes
	if lane == carrier.Repair {
		o.maxBytes = repairMaxBytes
		o.wholeMax = partsAboveBytes
		if l.info.Limited {
			o.wholeMax = min(limitedPartsAboveBytes, o.wholeMax)
			o.partMax, o.frameMax = limitedPartBytes, limitedPartsAboveBytes
		}
	}
	if l.carrier.Traits().Many {
		o.wholeMax, o.partMax = min(segmentPartsAboveBytes, o.wholeMax), segmentPartBytes
		o.segment = l.isSegment() && lane == carrier.News
	}
	o.numbered = lane == carrier.News && numbersPushes(l.carrier.Traits())
	o.wholeMax = min(o.wholeMax, o.mtu-frameOverhead)
	o.frameMax = min(o.frameMax, o.mtu)
	o.partMax = max(1, min(o.partMax, o.mtu-partOverhead))
	return o
}

// putMessage queues a control message. It returns false when too many wait.
func (o *outbox) putMessage(m wire.Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.control > controlMax {
		return false
	}
	// Messages that follow each other share a parcel, up to a control frame.
	limit := min(wire.ControlFrameMaxBytes, o.frameMax)
	if n := len(o.queue); n > 0 && o.queue[n-1].control != nil {
		p := &o.queue[n-1]
		before := len(p.control)
		p.control = wire.AppendMessage(p.control, m)
		if len(p.control) <= limit {
			o.control += len(p.control) - before
			p.size = len(p.control)
			return true
		}
		rest := append([]byte(nil), p.control[before:]...)
		p.control = p.control[:before]
		o.pushControl(rest)
		return true
	}
	o.pushControl(wire.AppendMessage(make([]byte, 0, 128), m))
	return true
}

// pushControl queues a new parcel of control messages. o.mu is held.
func (o *outbox) pushControl(b []byte) {
	o.control += len(b)
	o.push(parcel{control: b, size: len(b)})
}

// putBatch queues a push of a batch, or of its bytes from offset on. It returns
// false when there is no room for it.
func (o *outbox) putBatch(id wire.BatchID, offset uint32, parts bool) bool {
	p := parcel{id: id, offset: int(offset), parts: parts, batch: o.d.recent.get(id), size: unknownSize}
	if p.batch != nil {
		p.size = p.batch.Size()
		if p.offset < p.size {
			p.size -= p.offset
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pushes > 0 && (o.pushes >= pushesMax || o.bytes+p.size > o.maxBytes) {
		o.full = true
		return false
	}
	o.pushes++
	o.bytes += p.size
	o.push(p)
	return true
}

// isFull reports whether the core waits for word of room.
func (o *outbox) isFull() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.full
}

// push queues a parcel. o.mu is held.
func (o *outbox) push(p parcel) {
	o.queue = append(o.queue, p)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run sends until the link is down.
func (o *outbox) run() {
	defer close(o.ended)
	defer o.cancel(errLinkGone)
	if o.before != nil {
		<-o.before.ended // a carrier is called once at a time per peer and lane
		o.before = nil
	}
	f := &outFrame{box: o}
	for {
		parcels := o.take()
		if len(parcels) == 0 {
			if !o.idle() {
				return
			}
			continue
		}
		for i := range parcels {
			f.add(&parcels[i])
		}
		f.flush()
		if o.ctx.Err() != nil {
			return
		}
	}
}

// idle waits for something to send, and tells the core meanwhile when pushes to a segment
// have left. It returns false when the link is down.
func (o *outbox) idle() bool {
	for o.segment && o.pushed {
		b, ok := o.carrier.(carrier.Backlogged)
		if !ok || b.Backlog(o.to, o.lane) == 0 {
			o.pushed = false
			o.d.reports.add(segmentSent{o.to})
			break
		}
		timer := time.NewTimer(backlogEvery)
		select {
		case <-o.wake:
			timer.Stop()
			return true
		case <-o.ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
	select {
	case <-o.wake:
		return true
	case <-o.ctx.Done():
		return false
	}
}

// backlogEvery is how often a segment's carrier is asked whether pushes have left.
const backlogEvery = 2 * time.Millisecond

// take returns what goes into the next frame, by the sizes as far as they are
// known, and tells the loop when a queue that was full has room again.
func (o *outbox) take() []parcel {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, bytes := 0, 0
	for n < len(o.queue) && (n == 0 || bytes+o.queue[n].size <= frameBytes) {
		p := &o.queue[n]
		bytes += p.size
		if p.control != nil {
			o.control -= p.size
		} else {
			o.pushes--
			o.bytes -= p.size
		}
		n++
	}
	taken := o.queue[:n:n]
	o.queue = o.queue[n:]
	if o.full && o.pushes <= pushesMax/2 && o.bytes <= o.maxBytes/2 {
		o.full = false
		o.d.reports.add(drained{o.to})
	}
	return taken
}

// send puts what the core sends into outboxes, and reports whether the core
// was told that pushes were dropped.
func (d *Driver) send(out []gossip.Send) bool {
	type box struct {
		to   wire.PeerID
		lane gossip.Lane
	}
	var full []box // in order of the first drop
	var dropped map[box][]wire.BatchID
	for i := range out {
		s := &out[i]
		ls := d.links[s.To]
		if len(ls) == 0 {
			continue
		}
		o := ls[0].outboxes[s.Lane]
		if s.Msg != nil {
			d.grant(s)
			if !o.putMessage(s.Msg) {
				d.counters.controlOverflow.Add(1)
				d.disconnect(s.To, "too many messages wait for it")
			}
			continue
		}
		if o.putBatch(s.Batch, s.Offset, s.Parts) {
			continue
		}
		if dropped == nil {
			dropped = map[box][]wire.BatchID{}
		}
		k := box{s.To, s.Lane}
		if dropped[k] == nil {
			full = append(full, k)
		}
		dropped[k] = append(dropped[k], s.Batch)
	}
	for _, k := range full {
		d.counters.outboxFull.Add(uint64(len(dropped[k])))
		d.core.SendFailed(k.to, k.lane, dropped[k])
	}
	return len(full) > 0
}

// grant lets the peer go on with what is kept of the batches that it is asked for.
func (d *Driver) grant(s *gossip.Send) {
	source := d.links[s.To][0].source()
	switch m := s.Msg.(type) {
	case *wire.Want:
		d.assembly.grant(source, m.Resume)
	case *wire.WantIDs:
		d.assembly.grant(source, m.Resume)
	}
}

// drained reports that an outbox that was full has room again.
type drained struct{ to wire.PeerID }

func (in drained) apply(d *Driver) { d.core.SendDrained(in.to) }

// sendFailed reports pushes that the carrier did not take though the link is up.
type sendFailed struct {
	to   wire.PeerID
	lane carrier.Lane
	ids  []wire.BatchID
}

func (in sendFailed) apply(d *Driver) {
	d.core.SendFailed(in.to, gossip.Lane(in.lane), in.ids)
	if ls := d.links[in.to]; len(ls) > 0 && !ls[0].outboxes[in.lane].isFull() {
		d.core.SendDrained(in.to) // it was not for want of room, of which something else would tell
	}
}

// Lost tells that the body of a stored batch was found damaged: it is fetched
// again from peers. It does not block, and may be called again for one batch.
func (d *Driver) Lost(id wire.BatchID) { d.reports.add(damaged{id}) }

// damaged reports a batch whose body the log found damaged.
type damaged struct{ id wire.BatchID }

func (in damaged) apply(d *Driver) {
	d.counters.damaged.Add(1)
	d.core.Lost([]wire.BatchID{in.id})
}
