package multicast

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/netnstest"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// spy is somebody on the wire without the network's key, who records all that is sent to
// the group and sends whatever he likes.
type spy struct {
	t     testing.TB
	conn  *socket.Conn
	mu    sync.Mutex // guards heard
	heard [][]byte
}

// newSpy joins a network's group from a host of the lab.
func newSpy(t testing.TB, h *netnstest.Host, group socket.Group) *spy {
	t.Helper()
	all, err := hostMachine{h}.interfaces()
	i := slices.IndexFunc(all, func(i socket.Interface) bool { return i.Name == "eth0" })
	if err != nil || i < 0 {
		t.Fatalf("%v, %v", all, err)
	}
	s := &spy{t: t}
	h.Do(func() (err error) {
		s.conn, err = socket.Open(all[i], socket.IPv6, group)
		return err
	})
	var reader sync.WaitGroup
	reader.Go(func() {
		var b socket.Batch
		for s.conn.Read(&b) == nil {
			s.mu.Lock()
			for _, d := range b.Datagrams {
				s.heard = append(s.heard, bytes.Clone(d.Bytes))
			}
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		reader.Wait()
	})
	return s
}

// recorded returns what was heard so far.
func (s *spy) recorded() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// send sends datagrams, at 2,000 a second.
func (s *spy) send(all [][]byte) {
	s.t.Helper()
	const burst = 20
	tick := time.NewTicker(burst * time.Second / 2000)
	defer tick.Stop()
	for chunk := range slices.Chunk(all, burst) {
		if n, err := s.conn.Write(chunk, 1); n != len(chunk) || err != nil {
			s.t.Errorf("sent %d of %d: %v", n, len(chunk), err)
			return
		}
		<-tick.C
	}
}

// garbage returns n datagrams of all kinds that somebody without the key can make, who has
// heard those of a member.
func garbage(n int, heard [][]byte) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([][]byte, n)
	for i := range all {
		d := bytes.Clone(heard[r.IntN(len(heard))])
		switch i % 5 {
		case 0: // noise
			d = make([]byte, 1+r.IntN(datagram.MaxBytes))
			for j := range d {
				d[j] = byte(r.Uint32())
			}
		case 1: // a member's, changed behind the header
			d[datagram.HeaderBytes+r.IntN(len(d)-datagram.HeaderBytes)] ^= 1 << r.IntN(8)
		case 2: // one that the member has not sent yet
			seq := binary.BigEndian.Uint64(d[24:])
			binary.BigEndian.PutUint64(d[24:], seq+uint64(r.IntN(1<<20)))
		case 3: // the beacon of another run
			d[3] = byte(datagram.TypeBeacon)
			binary.BigEndian.PutUint64(d[8:], r.Uint64())
			d = d[:min(len(d), datagram.OverheadBytes+r.IntN(500))]
		case 4: // a replay
		}
		all[i] = d
	}
	return all
}

// datagramsOut returns how many UDP datagrams the host's kernel has sent.
func datagramsOut(t testing.TB, h *netnstest.Host) (sent uint64) {
	t.Helper()
	out, err := h.Command("cat", "/proc/net/snmp6", "/proc/net/snmp").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "Udp6OutDatagrams":
			sent += number(t, fields[1])
		case len(fields) > 0 && fields[0] == "Udp:" && names == nil:
			names = fields
		case len(fields) > 0 && fields[0] == "Udp:":
			sent += number(t, fields[slices.Index(names, "OutDatagrams")])
		}
	}
	return sent
}

func number(t testing.TB, text string) (n uint64) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// unmoved checks that whoever sends what f sends gets nothing delivered, makes nobody
// known and is not answered: a node sends beacons and no more, of which there are few.
func unmoved(t *testing.T, n *node, h *netnstest.Host, f func()) {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // acknowledgements of what came before
	take(n, &n.frames)
	take(n, &n.calls)
	before, out := n.Status().Segments[0], datagramsOut(t, h)
	f()
	time.Sleep(200 * time.Millisecond)
	after := n.Status().Segments[0]
	sent := datagramsOut(t, h) - out
	if beacons := after.Engine.Beacons - before.Engine.Beacons; sent > 2*(beacons+1) { // under both families
		t.Errorf("%d datagrams were sent, of which %d beacons", sent, beacons)
	}
	if e, b := after.Engine, before.Engine; e.SentBytes-b.SentBytes > (e.Beacons-b.Beacons)*600 ||
		e.Nacks+e.Digests+e.Data+e.Repair != b.Nacks+b.Digests+b.Data+b.Repair {
		t.Errorf("answered: %+v, before %+v", e, b)
	}
	if frames, calls := take(n, &n.frames), take(n, &n.calls); len(frames)+len(calls) > 0 {
		t.Errorf("delivered %q, told %q", frames, calls)
	}
	if after.Engine.Streams != before.Engine.Streams || after.Engine.ReassemblyBytes != 0 {
		t.Errorf("kept: %+v", after.Engine)
	}
}

// TestStrangersOnTheWireGetNothing has a host without the key replay, forge and make noise
// between two nodes, from an address of its own and from a node's.
func TestStrangersOnTheWireGetNothing(t *testing.T) {
	lab := netnstest.New(t)
	hosts := lab.LAN(3)
	a, b := startOnHost(t, 0, hosts[0]), startOnHost(t, 1, hosts[1])
	await(t, "each hears the other", func() bool { return len(a.Members()) == 1 && len(b.Members()) == 1 })
	s := newSpy(t, hosts[2], a.group)
	talk := func(frames int) {
		for i := range frames {
			a.send("segment:eth0", carrier.News, fmt.Sprintf("%d", i)+strings.Repeat(".", 5000))
		}
		await(t, "all frames", func() bool { return b.count() == frames })
		take(b, &b.frames)
	}
	talk(50)
	time.Sleep(2 * time.Second) // with beacons
	recorded := s.recorded()

	t.Run("another key", func(t *testing.T) {
		root := datagram.RootOf("test", []byte("another"))
		other := datagram.NewSealer(datagram.StreamID{9}, root, datagram.EpochAt(time.Now()))
		var all [][]byte
		for range 100 {
			all = append(all, other.Seal(nil, datagram.TypeShard, make([]byte, 1000)))
		}
		unmoved(t, b, hosts[1], func() { s.send(all) })
	})
	t.Run("replay at once, another source", func(t *testing.T) {
		refused := b.Status().Segments[0].Engine.Refused[datagram.RefusedSource]
		unmoved(t, b, hosts[1], func() { s.send(recorded) })
		if now := b.Status().Segments[0].Engine.Refused[datagram.RefusedSource]; now == refused {
			t.Error("none was refused for its source: this tests nothing")
		}
	})
	spoof(t, hosts[0], hosts[2])
	t.Run("replay at once, the sender's source", func(t *testing.T) {
		refused := b.Status().Segments[0].Engine.Refused[datagram.RefusedReplay]
		unmoved(t, b, hosts[1], func() { s.send(recorded) })
		if now := b.Status().Segments[0].Engine.Refused[datagram.RefusedReplay]; now-refused < uint64(len(recorded))/2 {
			t.Errorf("%d were refused as replays, of %d", now-refused, len(recorded))
		}
	})
	t.Run("replay after the window", func(t *testing.T) {
		for range 20 {
			talk(60) // 300 datagrams
		}
		unmoved(t, b, hosts[1], func() { s.send(recorded) })
	})
	t.Run("garbage", func(t *testing.T) {
		unmoved(t, b, hosts[1], func() { s.send(garbage(4000, recorded)) })
	})
	t.Run("replay after the receiver's restart", func(t *testing.T) {
		closeNodes(t, b)
		b := startOnHost(t, 1, hosts[1])
		s.send(recorded)
		s.send(recorded)
		await(t, "the sender is heard", func() bool { return len(b.Members()) == 1 })
		// The window is gone with the process. What a beacon of the last half minute lets in
		// is what was sent, and once; the log knows its batches.
		got := take(b, &b.frames)
		slices.Sort(got)
		if once := slices.Compact(slices.Clone(got)); len(once) != len(got) || len(got) > 50 {
			t.Errorf("%d frames, %d of them different", len(got), len(once))
		}
		talk := func() bool { return b.count() > 0 }
		a.send("segment:eth0", carrier.News, "still heard")
		await(t, "a frame", talk)
	})
}

// spoof gives a host another's address of the link in its own's stead.
func spoof(t testing.TB, victim, liar *netnstest.Host) {
	t.Helper()
	all, err := hostMachine{victim}.interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		for _, p := range i.Prefixes {
			if i.Name == "eth0" && p.Addr().Is6() {
				liar.IP("-6", "addr", "flush", "dev", "eth0")
				liar.IP("-6", "addr", "add", p.String(), "dev", "eth0", "nodad")
				return
			}
		}
	}
	t.Fatalf("no address of the link: %v", all)
}

// TestGarbageCostsLittle compares what a node gets at a fixed rate with and without two
// thousand datagrams of garbage a second from the sender's address, and looks at memory.
func TestGarbageCostsLittle(t *testing.T) {
	hosts := netnstest.New(t).LAN(3)
	const seconds, frameBytes = 2, 20_000
	fixed := func(c *Config) { c.Rates = segment.Rates{Start: 20_000_000, Max: 20_000_000} }
	a, b := startOnHost(t, 0, hosts[0], fixed), startOnHost(t, 1, hosts[1], fixed)
	await(t, "each hears the other", func() bool { return len(a.Members()) == 1 && len(b.Members()) == 1 })
	s := newSpy(t, hosts[2], a.group)
	spoof(t, hosts[0], hosts[2])
	frame := strings.Repeat("x", frameBytes)
	goodput := func() (frames int) { // in two seconds
		stop := time.Now().Add(seconds * time.Second)
		for time.Now().Before(stop) {
			a.send("segment:eth0", carrier.News, frame)
		}
		return len(take(b, &b.frames))
	}
	goodput()                       // the queue is full from here on
	for attempt := 1; ; attempt++ { // for a machine may be busy with something else
		without := goodput()
		bad := garbage(2000*seconds, s.recorded())
		before := heap()
		var sending sync.WaitGroup
		sending.Go(func() { s.send(bad) })
		with := goodput()
		sending.Wait()
		// The engine's bound for what is put together, and what the spy has recorded.
		const most = 24 << 20
		if grown := heap() - before; grown > most {
			t.Errorf("%d bytes more are in use", grown)
		}
		t.Logf("%d frames without, %d with garbage", without, with)
		if without > 0 && float64(with) >= 0.8*float64(without) {
			break
		}
		if attempt == attemptsMax {
			t.Fatalf("%d frames with garbage, %d without", with, without)
		}
	}
	e := b.Status().Segments[0].Engine
	if e.Streams != 1 || e.ReassemblyBytes > 2*segment.StreamMaxBytes || e.FramesGivenUp > 0 {
		t.Errorf("%+v", e)
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkGarbage compares what a node gets with and without two thousand datagrams of
// garbage a second, by turns, at the rate that the sender finds.
//
//	go test -run - -bench Garbage -benchtime 1x ./p2p/multicast
func BenchmarkGarbage(b *testing.B) {
	hosts := netnstest.New(b).LAN(3)
	var got sink
	var carriers []*Carrier
	for i, h := range hosts[:2] {
		cfg := configOf(b, i)
		cfg.Rates = segment.Rates{Start: 200_000_000, Max: 2_000_000_000}
		c := newOn(b, hostMachine{h}, cfg)
		if err := c.Start(&got); err != nil {
			b.Fatal(err)
		}
		carriers = append(carriers, c)
	}
	for _, c := range carriers {
		await(b, "each hears the other", func() bool { return len(c.Members()) == 1 })
	}
	s := newSpy(b, hosts[2], carriers[0].group)
	spoof(b, hosts[0], hosts[2])
	time.Sleep(1500 * time.Millisecond) // there are beacons to forge
	bad := garbage(2000, s.recorded())
	ctx, cancel := context.WithCancel(b.Context())
	var sending sync.WaitGroup
	sending.Go(func() {
		frame := make([]byte, 64<<10)
		for carriers[0].Send(ctx, "segment:eth0", carrier.News, frame) == nil {
		}
	})
	time.Sleep(2 * time.Second) // the rate is found
	const window = time.Second
	measure := func(meanwhile func()) float64 {
		before, begin := got.bytes.Load(), time.Now()
		var running sync.WaitGroup
		running.Go(meanwhile)
		time.Sleep(window)
		rate := float64(got.bytes.Load()-before) / time.Since(begin).Seconds()
		running.Wait()
		return rate
	}
	for b.Loop() {
		var without, with []float64
		for range 7 {
			without = append(without, measure(func() {}))
			with = append(with, measure(func() { s.send(bad) }))
		}
		b.ReportMetric(median(without)/1e6, "MB/s")
		b.ReportMetric(median(with)/median(without), "ratio")
	}
	cancel()
	sending.Wait()
	for _, c := range carriers {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}
