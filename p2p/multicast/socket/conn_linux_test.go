package socket_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/busnode/busnode/p2p/multicast/netnstest"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var group = socket.GroupOf([16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})

// interfaceOf returns a host's interface of that name.
func interfaceOf(t *testing.T, h *netnstest.Host, name string) (found socket.Interface) {
	t.Helper()
	h.Do(func() error {
		all, err := socket.Interfaces()
		for _, i := range all {
			if i.Name == name {
				found = i
				return err
			}
		}
		return errors.Join(err, fmt.Errorf("no interface %s among %v", name, all))
	})
	return found
}

// ear is a socket of a host, and what it hears.
type ear struct {
	*socket.Conn
	heard chan string // datagram, and where it came from
}

func open(t *testing.T, h *netnstest.Host, card string, f socket.Family) *ear {
	t.Helper()
	i := interfaceOf(t, h, card)
	e := &ear{heard: make(chan string, 10000)}
	h.Do(func() (err error) {
		e.Conn, err = socket.Open(i, f, group)
		return err
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b socket.Batch
		for {
			if err := e.Read(&b); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Read: %v", err)
				}
				return
			}
			for _, d := range b.Datagrams {
				e.heard <- string(d.Bytes) + " from " + d.From.Addr().String()
			}
		}
	}()
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		<-done
	})
	return e
}

func (e *ear) say(t *testing.T, texts ...string) {
	t.Helper()
	var all [][]byte
	for _, s := range texts {
		all = append(all, []byte(s))
	}
	if n, err := e.Write(all, 1); n != len(all) || err != nil {
		t.Fatalf("Write: %d of %d, %v", n, len(all), err)
	}
}

// hears waits for datagrams, and for no more after them.
func (e *ear) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-e.heard:
			if got != w {
				t.Errorf("heard %q, want %q", got, w)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("did not hear %q", w)
		}
	}
	select {
	case got := <-e.heard:
		t.Errorf("heard %q beside", got)
	case <-time.After(50 * time.Millisecond):
	}
}

func linkLocal(t *testing.T, h *netnstest.Host, card string) string {
	t.Helper()
	for _, p := range interfaceOf(t, h, card).Prefixes {
		if p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	t.Fatalf("%s has no link-local address", card)
	return ""
}

func TestDatagramsReachTheGroupOfTheLinkWithoutRoutes(t *testing.T) {
	hosts := netnstest.New(t).LAN(3)
	for _, f := range []socket.Family{socket.IPv6, socket.IPv4} {
		t.Run(f.String(), func(t *testing.T) {
			a, b, c := open(t, hosts[0], "eth0", f), open(t, hosts[1], "eth0", f), open(t, hosts[2], "eth0", f)
			same := open(t, hosts[0], "eth0", f) // another process's, as it were
			from := "10.77.0.2"
			if f == socket.IPv6 {
				from = linkLocal(t, hosts[0], "eth0")
			}
			a.say(t, "one", "two")
			for _, e := range []*ear{a, b, c, same} {
				e.hears(t, "one from "+from, "two from "+from)
			}
			if s := a.Stats(); s.Sent != 2 || s.Received != 2 || s.SendFailed != 0 {
				t.Errorf("counted %+v", s)
			}
			if got := a.ReceiveBuffer(); got < socket.ReceiveBufferBytes {
				t.Errorf("granted a buffer of %d bytes, as root", got)
			}
		})
	}
}

func TestAHostWithoutIPv4IsReachedUnderIPv6(t *testing.T) {
	lab := netnstest.New(t)
	lab.Switch("lan")
	a, b := lab.Host("a"), lab.Host("b")
	a.Plug("lan")
	b.Plug("lan", "10.77.0.1/24")
	i := interfaceOf(t, a, "eth0")
	if i.V4 || !i.V6 || i.Skipped != "" || i.Kind != socket.Wired {
		t.Errorf("the interface is %+v", i)
	}
	from, to := open(t, a, "eth0", socket.IPv6), open(t, b, "eth0", socket.IPv6)
	from.say(t, "hello")
	to.hears(t, "hello from "+linkLocal(t, a, "eth0"))
}

// Two subnets on one wire: IPv4's reverse path filter drops what it has no route
// back to, and without a filter the source is not of the link. IPv6 does not care.
func TestTwoSubnetsOnOneWireMeetUnderIPv6(t *testing.T) {
	for _, filter := range []string{"0", "1", "2"} {
		t.Run("rp_filter "+filter, func(t *testing.T) {
			lab := netnstest.New(t)
			lab.Switch("lan")
			a, b := lab.Host("a"), lab.Host("b")
			a.Plug("lan", "10.77.0.1/24")
			b.Plug("lan", "10.99.0.1/24")
			b.Sysctl("net/ipv4/conf/all/rp_filter", filter)
			b.Sysctl("net/ipv4/conf/eth0/rp_filter", filter)
			for _, f := range []socket.Family{socket.IPv6, socket.IPv4} {
				from, to := open(t, a, "eth0", f), open(t, b, "eth0", f)
				from.say(t, "hello")
				if f == socket.IPv6 {
					to.hears(t, "hello from "+linkLocal(t, a, "eth0"))
					continue
				}
				to.hears(t)
				if s := to.Stats(); filter == "0" && s.OffLink != 1 || filter != "0" && s.OffLink != 0 {
					t.Errorf("counted %+v", s)
				}
			}
		})
	}
}

func TestEachInterfaceHearsItsOwnWire(t *testing.T) {
	lab := netnstest.New(t)
	lab.Switch("one")
	lab.Switch("two")
	a, b := lab.Host("a"), lab.Host("b")
	for _, h := range []*netnstest.Host{a, b} {
		h.Plug("one", "10.77.0."+map[bool]string{true: "1", false: "2"}[h == a]+"/24")
		h.Plug("two", "10.78.0."+map[bool]string{true: "1", false: "2"}[h == a]+"/24")
	}
	for _, f := range []socket.Family{socket.IPv6, socket.IPv4} {
		from := open(t, a, "eth1", f)
		first, second := open(t, b, "eth0", f), open(t, b, "eth1", f)
		from.say(t, "by the second")
		address := "10.78.0.1"
		if f == socket.IPv6 {
			address = linkLocal(t, a, "eth1")
		}
		second.hears(t, "by the second from "+address)
		first.hears(t)
	}
}

// sendRaw sends one datagram from a host by an ordinary socket; from may be empty.
func sendRaw(t *testing.T, h *netnstest.Host, from, network, to string, set func(fd int) error) {
	t.Helper()
	h.Do(func() error {
		var d net.Dialer
		if from != "" {
			d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
		}
		conn, err := d.Dial(network, to)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		raw, err := conn.(*net.UDPConn).SyscallConn()
		if err != nil {
			return err
		}
		var failed error
		err = raw.Control(func(fd uintptr) { failed = set(int(fd)) })
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		_, err = conn.Write([]byte("x"))
		return err
	})
}

func TestWhatIsNotProvenToBeOfTheLinkIsRefused(t *testing.T) {
	hosts := netnstest.New(t).LAN(2)
	six, four := open(t, hosts[1], "eth0", socket.IPv6), open(t, hosts[1], "eth0", socket.IPv4)
	hosts[0].IP("addr", "add", "192.0.2.7/32", "dev", "eth0")
	hosts[0].IP("route", "add", "239.0.0.0/8", "dev", "eth0")
	port := int(group.Port)
	group6 := fmt.Sprintf("[%s%%eth0]:%d", group.Addr[socket.IPv6], port)

	// A router would have lowered the hop limit.
	sendRaw(t, hosts[0], "", "udp6", group6, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 254)
	})
	// A source of no subnet of the interface.
	nothing := func(int) error { return nil }
	sendRaw(t, hosts[0], "192.0.2.7", "udp4", fmt.Sprintf("%s:%d", group.Addr[socket.IPv4], port), nothing)
	six.hears(t)
	four.hears(t)
	if s := six.Stats(); s.OffLink != 1 || s.Received != 0 {
		t.Errorf("IPv6 counted %+v", s)
	}
	if s := four.Stats(); s.OffLink != 1 || s.Received != 0 {
		t.Errorf("IPv4 counted %+v", s)
	}
	// Sent to the port alone, it reaches no socket of ours: it is bound to the group.
	sendRaw(t, hosts[0], "", "udp4", fmt.Sprintf("10.77.0.3:%d", port), nothing)
	sendRaw(t, hosts[0], "", "udp6", fmt.Sprintf("[%s%%eth0]:%d", linkLocal(t, hosts[1], "eth0"), port), nothing)
	// A group that another program joined does not reach it either.
	other := netip.MustParseAddr("239.255.77.77")
	hosts[1].Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err := net.ListenMulticastUDP("udp4", ifi, &net.UDPAddr{IP: other.AsSlice(), Port: port})
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return err
	})
	sendRaw(t, hosts[0], "", "udp4", fmt.Sprintf("%s:%d", other, port), nothing)
	six.hears(t)
	four.hears(t)
	if s := four.Stats(); s.Received != 0 || s.NotGroup != 0 || s.Elsewhere != 0 {
		t.Errorf("IPv4 counted %+v", s)
	}
}

func TestLongDatagramsAreRefused(t *testing.T) {
	hosts := netnstest.New(t).LAN(2)
	a, b := open(t, hosts[0], "eth0", socket.IPv6), open(t, hosts[1], "eth0", socket.IPv6)
	// Fragments, as a foreign program might send them.
	if n, err := a.Write([][]byte{make([]byte, 3000), []byte("short")}, 1); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	b.hears(t, "short from "+linkLocal(t, hosts[0], "eth0"))
	if s := b.Stats(); s.TooLong != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestAFailedSendIsCountedAndTheOthersLeave(t *testing.T) {
	hosts := netnstest.New(t).LAN(2)
	a, b := open(t, hosts[0], "eth0", socket.IPv6), open(t, hosts[1], "eth0", socket.IPv6)
	n, err := a.Write([][]byte{[]byte("one"), make([]byte, 70000), []byte("two")}, 1)
	if n != 2 || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("Write: %d, %v", n, err)
	}
	from := " from " + linkLocal(t, hosts[0], "eth0")
	b.hears(t, "one"+from, "two"+from)
	if s := a.Stats(); s.SendFailed != 1 || s.Sent != 2 {
		t.Errorf("counted %+v", s)
	}
	hosts[0].IP("link", "set", "eth0", "down")
	if n, err := a.Write([][]byte{[]byte("three")}, 1); n != 0 || err == nil {
		t.Errorf("Write to an interface that is down: %d, %v", n, err)
	}
	hosts[0].IP("link", "set", "eth0", "up")
	for range 100 { // the link-local address comes anew
		if _, err = a.Write([][]byte{[]byte("four")}, 1); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.hears(t, "four"+from)
}

func TestMembershipSurvivesRejoin(t *testing.T) {
	hosts := netnstest.New(t).LAN(2)
	for _, f := range []socket.Family{socket.IPv6, socket.IPv4} {
		a, b := open(t, hosts[0], "eth0", f), open(t, hosts[1], "eth0", f)
		if err := b.Rejoin(); err != nil {
			t.Fatal(err)
		}
		a.say(t, "hello")
		if got := <-b.heard; got[:5] != "hello" {
			t.Errorf("heard %q", got)
		}
	}
}

func TestManyDatagramsArriveInOrder(t *testing.T) {
	hosts := netnstest.New(t).LAN(2)
	for _, f := range []socket.Family{socket.IPv6, socket.IPv4} {
		a, b := open(t, hosts[0], "eth0", f), open(t, hosts[1], "eth0", f)
		from := " from 10.77.0.2"
		if f == socket.IPv6 {
			from = " from " + linkLocal(t, hosts[0], "eth0")
		}
		for _, burst := range []int{1, 2, 8, 64} {
			var all [][]byte
			for i := range 500 {
				// Of one length, of rising lengths, of falling ones.
				length := []int{1196, 100 + i, 1000 - i}[i/7%3]
				all = append(all, fmt.Appendf(nil, "%0*d", length, i))
			}
			if n, err := a.Write(all, burst); n != len(all) || err != nil {
				t.Fatal(n, err)
			}
			for i, want := range all {
				select {
				case got := <-b.heard:
					if got != string(want)+from {
						t.Fatalf("%v, bursts of %d: datagram %d is %q", f, burst, i, got)
					}
				case <-time.After(5 * time.Second):
					t.Fatalf("%v, bursts of %d: datagram %d is lost", f, burst, i)
				}
			}
		}
	}
}

func BenchmarkConn(b *testing.B) {
	for _, burst := range []int{1, 8} {
		b.Run(fmt.Sprint("burst=", burst), func(b *testing.B) {
			var conns [2]*socket.Conn
			for i, h := range netnstest.New(b).LAN(len(conns)) {
				h.Do(func() error {
					all, err := socket.Interfaces()
					if err != nil {
						return err
					}
					conns[i], err = socket.Open(socket.Select(all, nil)[0], socket.IPv6, group)
					return err
				})
			}
			var out [][]byte
			for range 64 {
				out = append(out, make([]byte, 1196))
			}
			b.ReportAllocs()
			var in socket.Batch
			for b.Loop() {
				if n, err := conns[0].Write(out, burst); n != len(out) || err != nil {
					b.Fatal(n, err)
				}
				for got := 0; got < len(out); got += len(in.Datagrams) {
					if err := conns[1].Read(&in); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(out)), "ns/datagram")
			for _, c := range conns {
				if err := c.Close(); err != nil {
					b.Error(err)
				}
			}
		})
	}
}

func TestWatchTellsOfChanges(t *testing.T) {
	lab := netnstest.New(t)
	lab.Switch("lan")
	h := lab.Host("h")
	names := func() (names []string) {
		h.Do(func() error {
			all, err := socket.Interfaces()
			for _, i := range socket.Select(all, nil) {
				names = append(names, i.Name)
			}
			return err
		})
		return names
	}
	var changed <-chan struct{}
	h.Do(func() error {
		changed = socket.Watch(t.Context())
		return nil
	})
	await := func(what string, want ...string) {
		t.Helper()
		for end := time.After(5 * time.Second); ; {
			select {
			case <-changed:
				if slices.Equal(names(), want) {
					return
				}
			case <-end:
				t.Fatalf("%s: the interfaces are %q, want %q", what, names(), want)
			}
		}
	}
	h.Plug("lan", "10.77.0.1/24")
	await("plugged", "eth0")
	h.Plug("lan", "10.78.0.1/24")
	await("plugged another", "eth0", "eth1")
	h.IP("link", "set", "eth0", "down")
	await("taken down", "eth1")
	h.Unplug("eth1")
	await("unplugged")
}

func TestATentativeAddressDoesNotSendYet(t *testing.T) {
	lab := netnstest.New(t)
	lab.Switch("lan")
	h := lab.Host("h")
	h.Sysctl("net/ipv6/conf/default/accept_dad", "1")
	h.Plug("lan")
	if i := interfaceOf(t, h, "eth0"); i.V6 {
		t.Errorf("the interface is %+v while its address is tentative", i)
	}
	for end := time.Now().Add(10 * time.Second); !interfaceOf(t, h, "eth0").V6; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the address stayed tentative")
		}
	}
	open(t, h, "eth0", socket.IPv6).say(t, "hello")
}

func TestOpenFailsWithoutTheInterface(t *testing.T) {
	h := netnstest.New(t).Host("h")
	h.Do(func() error {
		_, err := socket.Open(socket.Interface{Index: 77, Name: "eth9"}, socket.IPv6, group)
		if err == nil {
			return errors.New("opened a socket on no interface")
		}
		return nil
	})
}

func TestLoopbackWorksWhenAskedFor(t *testing.T) {
	all, err := socket.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	chosen := socket.Select(all, []string{"lo"})
	if len(chosen) != 1 {
		t.Skipf("skipped: no loopback interface with an address among %v", all)
	}
	c, err := socket.Open(chosen[0], socket.IPv4, group)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([][]byte{[]byte("x")}, 1); err != nil {
		t.Fatal(err)
	}
	var b socket.Batch
	if err := c.Read(&b); err != nil || len(b.Datagrams) != 1 || string(b.Datagrams[0].Bytes) != "x" {
		t.Errorf("read %q, %v", b.Datagrams, err)
	}
}
