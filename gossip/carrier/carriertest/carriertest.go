// Package carriertest is the conformance suite of gossip/carrier: every
// carrier of the project passes [Run].
package carriertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// Cluster is a handful of carriers that can be linked with each other.
type Cluster struct {
	// Carriers are not started; the suite starts and closes them.
	Carriers []carrier.Carrier
	// Peers are the names under which the carriers' frames arrive, in the same order.
	Peers []wire.PeerID
	// Segment is the link that a one-to-many carrier sends to; empty for one-to-one carriers.
	Segment wire.PeerID
	// Connect links two started carriers; nil if nothing is needed for it. It may return
	// before the link is up.
	Connect func(i, j int)
	// Disconnect breaks the link of two carriers, so that both notice. Nil: not tested.
	Disconnect func(i, j int)
	// Vanish takes a carrier that is closed off the network. Nil: Close has done so.
	Vanish func(i int)
}

// Factory makes a cluster of n carriers. What it opens beside them it closes in t.Cleanup.
type Factory func(t *testing.T, n int) *Cluster

// patience bounds each wait. It is long, for a test that fails may be slow.
const patience = 20 * time.Second

// Run tests the carriers that the factory makes. Tests that a carrier's traits
// make meaningless are left out.
func Run(t *testing.T, f Factory) {
	t.Helper()
	traits := f(t, 1).Carriers[0].Traits()
	tests := []struct {
		name     string
		run      func(*testing.T, Factory)
		reliable bool // only for reliable carriers
		oneToOne bool // only for one-to-one carriers
		many     bool // only for one-to-many carriers
	}{
		{name: "a frame arrives on its lane, with the sender's name", run: testLanes},
		{name: "the parts of a frame arrive joined", run: testParts},
		{name: "the sender may reuse its bytes, the receiver may keep them", run: testOwnership},
		{name: "a frame above the MTU is refused, one of the MTU arrives", run: testMTU},
		{name: "frames of one lane arrive in order", run: testOrder, reliable: true},
		{name: "several senders at once", run: testConcurrent, reliable: true},
		{name: "a blocked handler slows its sender and nobody else", run: testBackpressure, reliable: true, oneToOne: true},
		{name: "Send ends with its context", run: testContext},
		{name: "Send to an unknown peer", run: testNoLink},
		{name: "links go up and down in pairs", run: testLinks, oneToOne: true},
		{name: "a link that broke comes back", run: testReconnect, oneToOne: true},
		{name: "no call after Close", run: testClose},
		{name: "Close before Start", run: testCloseUnstarted},
		{name: "Send after Close", run: testSendClosed},
		{name: "the peer hears of a Close", run: testPeerClose, oneToOne: true},
		{name: "records tell who signed them", run: testRecords, oneToOne: true},
		{name: "a peer is dialled by its record, and released", run: testDial, oneToOne: true},
		{name: "a dial that fails is told", run: testDialFails, oneToOne: true},
		{name: "members hear who is there and what they announce", run: testMembers, many: true},
		{name: "an addressed frame reaches its addressee alone", run: testAddressed, many: true},
		{name: "members go up before their frames, and down once", run: testMembersInPairs, many: true},
	}
	for _, tt := range tests {
		if tt.reliable && !traits.Reliable || tt.oneToOne && traits.Many || tt.many && !traits.Many {
			continue
		}
		t.Run(tt.name, func(t *testing.T) { tt.run(t, f) })
	}
}

// event is a call of a handler.
type event struct {
	up, down bool
	peer     wire.PeerID
	lane     carrier.Lane
	frame    []byte
	member   *carrier.Member // of MemberUp and MemberDown; nil: a call about a link or a frame
}

// recorder is a Handler that queues its calls, and checks that they come in a legal order.
type recorder struct {
	t       *testing.T
	segment bool // its carrier is one-to-many
	events  chan event

	mu    sync.Mutex // guards the fields below
	links map[wire.PeerID]bool
	busy  map[string]bool // calls under way, by peer and lane
	over  bool            // Close has returned
	hold  chan struct{}   // Frame waits until it is closed; nil: no waiting
	// Of the members of segments.
	members map[wire.PeerID]map[wire.PeerID]bool // by segment
	known   map[wire.PeerID]bool                 // who was ever up
}

func newRecorder(t *testing.T) *recorder {
	return &recorder{
		t: t, events: make(chan event, 1<<16), links: map[wire.PeerID]bool{}, busy: map[string]bool{},
		members: map[wire.PeerID]map[wire.PeerID]bool{}, known: map[wire.PeerID]bool{},
	}
}

func (r *recorder) LinkUp(l carrier.Link) {
	r.mu.Lock()
	if r.over || r.links[l.Peer] {
		r.t.Errorf("LinkUp of %q: closed %v, up already %v", l.Peer, r.over, r.links[l.Peer])
	}
	r.links[l.Peer] = true
	r.mu.Unlock()
	r.events <- event{up: true, peer: l.Peer}
}

func (r *recorder) LinkDown(peer wire.PeerID, reason error) {
	r.mu.Lock()
	if r.over || !r.links[peer] {
		r.t.Errorf("LinkDown of %q: closed %v, up %v", peer, r.over, r.links[peer])
	}
	for lane := range carrier.Lanes {
		if r.busy[fmt.Sprintf("%q/%d", peer, lane)] {
			r.t.Errorf("LinkDown of %q during a call of Frame", peer)
		}
	}
	if reason == nil {
		r.t.Errorf("LinkDown of %q without a reason", peer)
	}
	if up := len(r.members[peer]); up > 0 {
		r.t.Errorf("LinkDown of %q while %d members are up", peer, up)
	}
	delete(r.links, peer)
	r.mu.Unlock()
	r.events <- event{down: true, peer: peer}
}

func (r *recorder) Frame(from wire.PeerID, lane carrier.Lane, frame []byte) {
	key := fmt.Sprintf("%q/%d", from, lane)
	r.mu.Lock()
	if r.over || r.busy[key] {
		r.t.Errorf("Frame from %q: closed %v, another call at once %v", from, r.over, r.busy[key])
	}
	if r.segment && !r.known[from] {
		r.t.Errorf("Frame from %q before its MemberUp", from)
	}
	r.busy[key] = true
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		<-hold
	}
	r.mu.Lock()
	r.busy[key] = false
	r.mu.Unlock()
	r.events <- event{peer: from, lane: lane, frame: frame}
}

// next returns the next call.
func (r *recorder) next(t *testing.T) event {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case e := <-r.events:
		return e
	case <-timer.C:
		t.Fatal("no call of the handler in time")
		return event{}
	}
}

// frame returns the next call of Frame; no other may come before it.
func (r *recorder) frame(t *testing.T) event {
	t.Helper()
	e := r.next(t)
	if e.up || e.down || e.member != nil {
		t.Fatalf("got %+v, want a frame", e)
	}
	return e
}

// rig is a started cluster.
type rig struct {
	*Cluster
	handlers []*recorder
}

// start starts n carriers and links the first with each other one.
func start(t *testing.T, f Factory, n int) *rig {
	t.Helper()
	r := startApart(t, f, n)
	for i := 1; i < n; i++ {
		r.link(t, 0, i)
	}
	if r.Segment != "" {
		for _, h := range r.handlers {
			if e := h.next(t); !e.up || e.member != nil || e.peer != r.Segment {
				t.Fatalf("got %+v, want the segment's LinkUp", e)
			}
			h.meet(t, n-1)
		}
	}
	return r
}

// startApart starts n carriers and links none.
func startApart(t *testing.T, f Factory, n int) *rig {
	t.Helper()
	r := &rig{Cluster: f(t, n)}
	for _, c := range r.Carriers {
		h := newRecorder(t)
		h.segment = r.Segment != ""
		r.handlers = append(r.handlers, h)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		if err := c.Start(h); err != nil {
			t.Fatalf("Start: %v", err)
		}
	}
	return r
}

// link connects two carriers and waits until both know.
func (r *rig) link(t *testing.T, i, j int) {
	t.Helper()
	if r.Segment != "" {
		return
	}
	if r.Connect != nil {
		r.Connect(i, j)
	}
	for _, x := range [][2]int{{i, j}, {j, i}} {
		if e := r.handlers[x[0]].next(t); !e.up || e.peer != r.Peers[x[1]] {
			t.Fatalf("got %+v, want LinkUp of %q", e, r.Peers[x[1]])
		}
	}
}

// to returns the name under which carrier i is reached.
func (r *rig) to(i int) wire.PeerID {
	if r.Segment != "" {
		return r.Segment
	}
	return r.Peers[i]
}

func (r *rig) send(t *testing.T, from, to int, lane carrier.Lane, parts ...[]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Carriers[from].Send(ctx, r.to(to), lane, parts...); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

func testLanes(t *testing.T, f Factory) {
	r := start(t, f, 2)
	for _, lane := range []carrier.Lane{carrier.News, carrier.Repair, carrier.News} {
		for _, way := range [][2]int{{0, 1}, {1, 0}} {
			want := fmt.Appendf(nil, "lane %d from %d", lane, way[0])
			r.send(t, way[0], way[1], lane, want)
			e := r.handlers[way[1]].frame(t)
			if e.peer != r.Peers[way[0]] || e.lane != lane || !bytes.Equal(e.frame, want) {
				t.Errorf("got %q on lane %d from %q, want %q", e.frame, e.lane, e.peer, want)
			}
		}
	}
}

func testParts(t *testing.T, f Factory) {
	r := start(t, f, 2)
	r.send(t, 0, 1, carrier.News, []byte("one "), nil, []byte("two "), []byte("three"))
	if e := r.handlers[1].frame(t); string(e.frame) != "one two three" {
		t.Errorf("got %q", e.frame)
	}
}

func testOwnership(t *testing.T, f Factory) {
	r := start(t, f, 2)
	mine := []byte("first")
	r.send(t, 0, 1, carrier.News, mine)
	copy(mine, "XXXXX")
	e := r.handlers[1].frame(t)
	if string(e.frame) != "first" {
		t.Fatalf("got %q: Send kept the sender's bytes", e.frame)
	}
	r.send(t, 0, 1, carrier.News, []byte("other"))
	r.handlers[1].frame(t)
	if string(e.frame) != "first" {
		t.Errorf("a later frame changed the first to %q", e.frame)
	}
}

func testMTU(t *testing.T, f Factory) {
	r := start(t, f, 2)
	mtu := r.Carriers[0].Traits().MTU
	big := make([]byte, mtu+1)
	for i := range big {
		big[i] = byte(i * 7)
	}
	err := r.Carriers[0].Send(t.Context(), r.to(1), carrier.News, big[:mtu], big[mtu:])
	if !errors.Is(err, carrier.ErrTooLarge) {
		t.Fatalf("Send of MTU+1 bytes: %v, want ErrTooLarge", err)
	}
	r.send(t, 0, 1, carrier.Repair, big[:mtu])
	if e := r.handlers[1].frame(t); !bytes.Equal(e.frame, big[:mtu]) {
		t.Errorf("a frame of %d bytes came as another of %d", mtu, len(e.frame))
	}
}

func testOrder(t *testing.T, f Factory) {
	r := start(t, f, 2)
	const frames = 500
	var wg sync.WaitGroup
	for _, lane := range []carrier.Lane{carrier.News, carrier.Repair} {
		wg.Go(func() {
			for i := range frames {
				b := make([]byte, 4+i*13%3000)
				binary.BigEndian.PutUint32(b, uint32(i))
				if err := r.Carriers[0].Send(t.Context(), r.to(1), lane, b); err != nil {
					t.Errorf("Send: %v", err)
					return
				}
			}
		})
	}
	var next [carrier.Lanes]uint32
	for range frames * carrier.Lanes {
		e := r.handlers[1].frame(t)
		i := binary.BigEndian.Uint32(e.frame)
		if i != next[e.lane] || len(e.frame) != 4+int(i)*13%3000 {
			t.Fatalf("lane %d: frame %d of %d bytes, want number %d", e.lane, i, len(e.frame), next[e.lane])
		}
		next[e.lane]++
	}
	wg.Wait()
}

func testConcurrent(t *testing.T, f Factory) {
	r := start(t, f, 3)
	const frames = 200
	var wg sync.WaitGroup
	for _, way := range [][2]int{{0, 1}, {1, 0}, {0, 2}, {2, 0}} {
		for _, lane := range []carrier.Lane{carrier.News, carrier.Repair} {
			wg.Go(func() {
				for range frames {
					if err := r.Carriers[way[0]].Send(t.Context(), r.to(way[1]), lane, []byte("x")); err != nil {
						t.Errorf("Send: %v", err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for i, want := range []int{4 * frames, 2 * frames, 2 * frames} {
		if r.Segment != "" {
			want = 6 * frames // each hears all the others
		}
		for range want {
			r.handlers[i].frame(t)
		}
	}
}

func testBackpressure(t *testing.T, f Factory) {
	r := start(t, f, 3)
	hold := make(chan struct{})
	r.handlers[1].mu.Lock()
	r.handlers[1].hold = hold
	r.handlers[1].mu.Unlock()

	frame := make([]byte, min(64<<10, r.Carriers[0].Traits().MTU))
	sent, blocked := 0, false
	for !blocked && sent < (256<<20)/len(frame) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := r.Carriers[0].Send(ctx, r.to(1), carrier.Repair, frame)
		cancel()
		switch {
		case err == nil:
			sent++
		case errors.Is(err, context.DeadlineExceeded):
			blocked = true
		default:
			close(hold)
			t.Fatalf("Send: %v", err)
		}
	}
	if !blocked {
		t.Errorf("%d frames of %d bytes were taken for a peer that reads none", sent, len(frame))
	}
	r.send(t, 0, 2, carrier.Repair, []byte("to the other peer"))
	if e := r.handlers[2].frame(t); string(e.frame) != "to the other peer" {
		t.Errorf("got %q", e.frame)
	}
	close(hold)
}

func testContext(t *testing.T, f Factory) {
	r := start(t, f, 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why not")
	cancel(why)
	// A carrier with room may take the frame; one that refuses says the cause.
	for range 3 {
		err := r.Carriers[0].Send(ctx, r.to(1), carrier.News, []byte("x"))
		if err != nil && !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("Send: %v, want the context's cause", err)
		}
	}
}

func testNoLink(t *testing.T, f Factory) {
	r := start(t, f, 2)
	err := r.Carriers[0].Send(t.Context(), "nobody", carrier.News, []byte("x"))
	if !errors.Is(err, carrier.ErrNoLink) {
		t.Errorf("Send: %v, want ErrNoLink", err)
	}
	if rtt := r.Carriers[0].RoundTrip("nobody"); rtt != 0 {
		t.Errorf("RoundTrip to nobody is %v", rtt)
	}
}

func testLinks(t *testing.T, f Factory) {
	r := start(t, f, 3)
	for i, c := range r.Carriers {
		if err := c.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		r.handlers[i].mu.Lock()
		if left := len(r.handlers[i].links); left != 0 {
			t.Errorf("%d links had no LinkDown when Close returned", left)
		}
		r.handlers[i].mu.Unlock()
	}
}

func testReconnect(t *testing.T, f Factory) {
	r := start(t, f, 2)
	if r.Disconnect == nil {
		t.Skip("this carrier's links cannot be broken by the test")
	}
	for range 3 {
		r.Disconnect(0, 1)
		for i, h := range r.handlers {
			if e := h.next(t); !e.down || e.peer != r.Peers[1-i] {
				t.Fatalf("got %+v, want LinkDown", e)
			}
		}
		r.link(t, 0, 1)
		r.send(t, 0, 1, carrier.News, []byte("again"))
		if e := r.handlers[1].frame(t); string(e.frame) != "again" {
			t.Errorf("got %q", e.frame)
		}
	}
}

func testClose(t *testing.T, f Factory) {
	r := start(t, f, 2)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Errors are expected once the other end is closed.
			if r.Carriers[0].Send(t.Context(), r.to(1), carrier.News, []byte("x")) != nil {
				return
			}
		}
	})
	for range 10 {
		r.handlers[1].frame(t)
	}
	for range 2 {
		if err := r.Carriers[1].Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		r.handlers[1].mu.Lock()
		r.handlers[1].over = true
		r.handlers[1].mu.Unlock()
	}
	close(stop)
	wg.Wait()
}

func testCloseUnstarted(t *testing.T, f Factory) {
	for _, c := range f(t, 1).Carriers {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := c.Start(newRecorder(t)); !errors.Is(err, carrier.ErrClosed) {
			t.Errorf("Start after Close: %v, want ErrClosed", err)
		}
	}
}

func testSendClosed(t *testing.T, f Factory) {
	r := start(t, f, 2)
	if err := r.Carriers[0].Close(); err != nil {
		t.Fatal(err)
	}
	err := r.Carriers[0].Send(t.Context(), r.to(1), carrier.News, []byte("x"))
	if !errors.Is(err, carrier.ErrClosed) {
		t.Errorf("Send: %v, want ErrClosed", err)
	}
}

func testPeerClose(t *testing.T, f Factory) {
	r := start(t, f, 2)
	if err := r.Carriers[1].Close(); err != nil {
		t.Fatal(err)
	}
	if e := r.handlers[0].next(t); !e.down || e.peer != r.Peers[1] {
		t.Errorf("got %+v, want LinkDown", e)
	}
}
