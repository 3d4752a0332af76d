package multicast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/netnstest"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// BenchmarkGoodput compares what receivers get of frames by the carrier with what
// they get of plain UDP multicast datagrams of the same size, by turns in one
// run: hosts in network namespaces on one bridge, an unpaced sender of net.UDPConn
// against the carrier at the rate that it finds. The ratio is that of the medians;
// cpu-ratio is that of the bytes for a second of the processors' time, sender and
// all receivers together, which other work on the machine disturbs less.
//
//	go test -run - -bench Goodput -benchtime 1x ./p2p/multicast
func BenchmarkGoodput(b *testing.B) {
	for _, receivers := range []int{1, 5, 20} {
		b.Run(fmt.Sprint("receivers=", receivers), func(b *testing.B) {
			hosts := netnstest.New(b).LAN(1 + receivers)
			const turns, window = 3, time.Second
			for b.Loop() {
				var raw, ours, rawCPU, ourCPU []float64
				for range turns {
					rate, byCPU := rawGoodput(b, hosts, window)
					raw, rawCPU = append(raw, rate), append(rawCPU, byCPU)
					rate, byCPU = carrierGoodput(b, hosts, window)
					ours, ourCPU = append(ours, rate), append(ourCPU, byCPU)
				}
				b.Logf("raw %.3g, ours %.3g B/s; raw %.3g, ours %.3g B for a CPU second", raw, ours, rawCPU, ourCPU)
				b.ReportMetric(median(raw)/1e6, "raw-MB/s")
				b.ReportMetric(median(ours)/1e6, "MB/s")
				b.ReportMetric(median(ours)/median(raw), "ratio")
				b.ReportMetric(median(ourCPU)/median(rawCPU), "cpu-ratio")
			}
		})
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// cpuSeconds returns the processor time that the process has used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// rawGoodput returns how many bytes a receiver gets, on the average, a second
// and for a second of the processors' time.
func rawGoodput(b *testing.B, hosts []*netnstest.Host, window time.Duration) (rate, byCPU float64) {
	b.Helper()
	group := &net.UDPAddr{IP: net.ParseIP("ff12::77"), Port: 7777, Zone: "eth0"}
	var received atomic.Int64
	var wg sync.WaitGroup
	var conns []*net.UDPConn
	for _, h := range hosts[1:] {
		h.Do(func() error {
			ifi, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			c, err := net.ListenMulticastUDP("udp6", ifi, group)
			if err != nil {
				return err
			}
			conns = append(conns, c)
			grow(c)
			wg.Go(func() {
				buf := make([]byte, 2048)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					received.Add(int64(n))
				}
			})
			return nil
		})
	}
	var sender *net.UDPConn
	hosts[0].Do(func() (err error) {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if sender, err = net.ListenUDP("udp6", nil); err != nil {
			return err
		}
		return ipv6.NewPacketConn(sender).SetMulticastInterface(ifi)
	})
	text := make([]byte, datagram.MaxBytes)
	begin, cpu := time.Now(), cpuSeconds()
	for time.Since(begin) < window {
		for range 100 {
			if _, err := sender.WriteToUDP(text, group); err != nil {
				b.Fatal(err)
			}
		}
	}
	each := float64(received.Load()) / float64(len(hosts)-1)
	rate, byCPU = each/time.Since(begin).Seconds(), each/(cpuSeconds()-cpu)
	for _, c := range append(conns, sender) {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
	wg.Wait()
	return rate, byCPU
}

// grow gives a socket the receive buffer that the carrier's get.
func grow(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		const rcvbufForce = 33 // SO_RCVBUFFORCE
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, rcvbufForce, socket.ReceiveBufferBytes)
	})
}

// sink counts the bytes of frames.
type sink struct{ bytes atomic.Int64 }

func (*sink) LinkUp(carrier.Link)                             {}
func (*sink) LinkDown(wire.PeerID, error)                     {}
func (s *sink) Frame(_ wire.PeerID, _ carrier.Lane, b []byte) { s.bytes.Add(int64(len(b))) }

// carrierGoodput returns the same of bytes in frames.
func carrierGoodput(b *testing.B, hosts []*netnstest.Host, window time.Duration) (rate, byCPU float64) {
	b.Helper()
	var carriers []*Carrier
	var got sink
	for i, h := range hosts {
		c := newOn(b, hostMachine{h}, Config{
			Key: keyOf(i), Network: "test", NetworkKey: make([]byte, 32), Logger: slog.New(slog.DiscardHandler),
			Rates: segment.Rates{Start: 200_000_000, Max: 2_000_000_000},
		})
		if err := c.Start(&got); err != nil {
			b.Fatal(err)
		}
		carriers = append(carriers, c)
	}
	for _, c := range carriers {
		await(b, "all hear all", func() bool { return len(c.Members()) == len(carriers)-1 })
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		frame := make([]byte, 64<<10)
		for {
			if err := carriers[0].Send(ctx, "segment:eth0", carrier.News, frame); err != nil {
				if !errors.Is(err, context.Canceled) {
					b.Error(err)
				}
				return
			}
		}
	})
	time.Sleep(2 * time.Second) // the rate is found
	before, begin, cpu := got.bytes.Load(), time.Now(), cpuSeconds()
	time.Sleep(window)
	each := float64(got.bytes.Load()-before) / float64(len(hosts)-1)
	rate, byCPU = each/time.Since(begin).Seconds(), each/(cpuSeconds()-cpu)
	cancel()
	wg.Wait()
	st := carriers[0].Status().Segments[0]
	b.Logf("sender: rate %d Mbit/s, %d data, %d parity, %d repair, %d given up", st.Engine.RateBits/1e6,
		st.Engine.Data, st.Engine.Parity, st.Engine.Repair, carriers[1].Status().Segments[0].Engine.FramesGivenUp)
	for _, c := range carriers {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
	return rate, byCPU
}
