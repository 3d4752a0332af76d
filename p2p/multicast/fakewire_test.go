package multicast

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/busnode/busnode/p2p/multicast/socket"
)

// ether is a wire in memory: what one end sends, all ends hear, itself included.
type ether struct {
	mu     sync.Mutex // guards the fields below
	ends   []*fakeEnd
	loss   float64
	chance *rand.Rand
	deaf   [socket.Families]bool // families that the wire does not carry
	sent   [socket.Families]int  // datagrams
	sniff  [][]byte              // copies of what was sent, if not nil
}

func newEther() *ether { return &ether{chance: rand.New(rand.NewPCG(1, 2))} }

func (w *ether) setLoss(share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss = share
}

func (w *ether) setDeaf(f socket.Family, deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf[f] = deaf
}

// split puts the ends of an interface index on a wire of their own, or back.
func (w *ether) split(index byte, apart bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.ends {
		if b := e.from.Addr().AsSlice(); b[len(b)-2] == index {
			e.apart = apart
		}
	}
}

// late has the ends of a machine's address read late.
func (w *ether) late(address byte, late time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.ends {
		if b := e.from.Addr().AsSlice(); b[len(b)-1] == address {
			e.late.Store(int64(late))
		}
	}
}

// takeSent returns how many datagrams were sent since the last call.
func (w *ether) takeSent() (sent [socket.Families]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent, w.sent = w.sent, sent
	return sent
}

// fakeMachine is a machine whose interfaces are on such wires.
type fakeMachine struct {
	address byte
	changes chan struct{}

	mu    sync.Mutex // guards the fields below
	cards []socket.Interface
	wires map[int]*ether // by interface index
	fails [socket.Families]bool
	err   error // why the interfaces cannot be listed
	asked asked
}

// asked is what was asked of a machine.
type asked struct {
	scans, watches, opened int
	watching               int // watches that have not ended
}

// takeAsked returns what was asked of the machine since the last call.
func (m *fakeMachine) takeAsked() asked {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.asked
	m.asked = asked{watching: a.watching}
	return a
}

func (m *fakeMachine) note(change func(*asked)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.asked)
}

func newFakeMachine(address byte) *fakeMachine {
	return &fakeMachine{address: address, changes: make(chan struct{}, 1), wires: map[int]*ether{}}
}

// plug adds an interface.
func (m *fakeMachine) plug(index int, name string, w *ether, families ...socket.Family) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cards = append(m.cards, socket.Interface{
		Index: index, Name: name, Kind: socket.Wired, MTU: 1500,
		V4: slices.Contains(families, socket.IPv4), V6: slices.Contains(families, socket.IPv6),
	})
	m.wires[index] = w
	signal(m.changes)
}

// unplug removes an interface.
func (m *fakeMachine) unplug(index int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cards = slices.DeleteFunc(m.cards, func(i socket.Interface) bool { return i.Index == index })
	signal(m.changes)
}

// renumber changes the families of an interface.
func (m *fakeMachine) renumber(index int, families ...socket.Family) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.cards {
		if m.cards[i].Index == index {
			m.cards[i].V4 = slices.Contains(families, socket.IPv4)
			m.cards[i].V6 = slices.Contains(families, socket.IPv6)
		}
	}
	signal(m.changes)
}

// fail makes sockets of a family fail to open, or ends that.
func (m *fakeMachine) fail(f socket.Family, fails bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails[f] = fails
	signal(m.changes)
}

// refuse makes the interfaces not be listed, or ends that.
func (m *fakeMachine) refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	signal(m.changes)
}

func (m *fakeMachine) interfaces() ([]socket.Interface, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.scans++
	return slices.Clone(m.cards), m.err
}

func (m *fakeMachine) watch(ctx context.Context) <-chan struct{} {
	out := make(chan struct{})
	m.note(func(a *asked) { a.watches, a.watching = a.watches+1, a.watching+1 })
	go func() {
		defer close(out)
		defer m.note(func(a *asked) { a.watching-- })
		for {
			select {
			case <-m.changes:
			case <-ctx.Done():
				return
			}
			select {
			case out <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (m *fakeMachine) querier(context.Context, socket.Interface) querier { return unknown }
func (m *fakeMachine) settings(socket.Interface) []Finding               { return nil }

func (m *fakeMachine) open(i socket.Interface, f socket.Family, _ socket.Group) (endpoint, error) {
	m.mu.Lock()
	m.asked.opened++
	w, fails := m.wires[i.Index], m.fails[f]
	m.mu.Unlock()
	if fails {
		return nil, errors.New("cannot be opened")
	}
	from := netip.AddrFrom4([4]byte{10, 0, byte(i.Index), m.address})
	if f == socket.IPv6 {
		from = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i.Index), 15: m.address})
	}
	e := &fakeEnd{
		wire: w, family: f, from: netip.AddrPortFrom(from, socket.Port),
		queue: make(chan socket.Datagram, 4096), done: make(chan struct{}),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, e)
	return e, nil
}

// fakeEnd is a socket on a wire in memory.
type fakeEnd struct {
	wire   *ether
	family socket.Family
	from   netip.AddrPort
	apart  bool // behind a switch that is broken, with the others that are; guarded by wire.mu
	queue  chan socket.Datagram
	once   sync.Once
	done   chan struct{}

	wrote atomic.Uint64                 // datagrams
	gate  atomic.Pointer[chan struct{}] // Write waits until it is closed; nil: no waiting
	late  atomic.Int64                  // nanoseconds until what came is read, as where many share a processor
	reads atomic.Bool                   // something came, and is not read yet
}

func (e *fakeEnd) Read(b *socket.Batch) error {
	b.Datagrams = b.Datagrams[:0]
	select {
	case d := <-e.queue:
		b.Datagrams = append(b.Datagrams, d)
	case <-e.done:
		return net.ErrClosed
	}
	if late := e.late.Load(); late > 0 {
		e.reads.Store(true)
		time.Sleep(time.Duration(late))
		e.reads.Store(false)
	}
	for len(b.Datagrams) < 64 {
		select {
		case d := <-e.queue:
			b.Datagrams = append(b.Datagrams, d)
			continue
		default:
		}
		break
	}
	return nil
}

func (e *fakeEnd) Write(datagrams [][]byte, _ int) (sent int, err error) {
	select {
	case <-e.done:
		return 0, net.ErrClosed
	default:
	}
	if gate := e.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-e.done:
		}
	}
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range datagrams {
		w.deliver(e, d)
	}
	e.wrote.Add(uint64(len(datagrams)))
	return len(datagrams), nil
}

// deliver brings a datagram to all ends. w.mu is held.
func (w *ether) deliver(e *fakeEnd, bytes []byte) {
	f := e.family
	w.sent[f]++
	if w.sniff != nil {
		w.sniff = append(w.sniff, slices.Clone(bytes))
	}
	if w.deaf[f] {
		return
	}
	for _, o := range w.ends {
		if o.family != f || o.apart != e.apart || w.loss > 0 && w.chance.Float64() < w.loss {
			continue
		}
		select {
		case o.queue <- socket.Datagram{Bytes: slices.Clone(bytes), From: e.from}:
		default: // its buffer is full
		}
	}
}

func (e *fakeEnd) Unread() bool            { return e.reads.Load() || len(e.queue) > 0 }
func (e *fakeEnd) Update(socket.Interface) {}
func (e *fakeEnd) Rejoin() error           { return nil }
func (e *fakeEnd) ReceiveBuffer() int      { return socket.ReceiveBufferBytes }
func (e *fakeEnd) Stats() socket.Stats     { return socket.Stats{Sent: e.wrote.Load()} }

func (e *fakeEnd) Close() error {
	err := errors.New("closed twice")
	e.once.Do(func() {
		err = nil
		close(e.done)
		e.wire.mu.Lock()
		defer e.wire.mu.Unlock()
		e.wire.ends = slices.DeleteFunc(e.wire.ends, func(o *fakeEnd) bool { return o == e })
	})
	return err
}

var _ machine = (*fakeMachine)(nil)

func TestTheSystemIsAMachine(t *testing.T) {
	var m machine = system{}
	if _, err := m.interfaces(); err != nil {
		t.Error(err)
	}
}
