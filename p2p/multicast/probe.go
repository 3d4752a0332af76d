package multicast

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/busnode/busnode/p2p/multicast/socket"
)

// Report says what multicast can do on an interface of this machine. It comes
// from trying: datagrams were sent, and came back or did not.
type Report struct {
	Interface socket.Interface
	// Used says that a carrier of the same configuration would use the interface. One
	// that it would not is not tried.
	Used bool
	// Works says for each family that a datagram to a group leaves, and that one which
	// comes in reaches this process.
	Works [socket.Families]bool
	// MDNS says the same of mDNS.
	MDNS [socket.Families]bool
	// Hosts are those whose datagrams to the network's group came in meanwhile, this one excepted.
	Hosts []netip.Addr
	// Findings are what stands in the way, the grave ones first.
	Findings []Finding
}

// Finding is what stands in multicast's way on an interface, or may.
type Finding struct {
	Grave   bool   // nothing works because of it
	Fault   bool   // something that was tried fails because of it; else it is a remark
	Problem string // a sentence without a full stop
	Fix     string // what to do; empty: nothing needs to be done
}

const (
	// probeTime is how long datagrams are waited for: longer than nodes take to
	// send a beacon, whatever their number.
	probeTime  = 2500 * time.Millisecond
	probeEvery = 200 * time.Millisecond // datagrams may be lost
	// bufferMin is the receive buffer below which a burst of two senders is too much.
	bufferMin = 1 << 20
)

// mdns is the group of multicast DNS (RFC 6762).
var mdns = socket.Group{
	Addr: [socket.Families]netip.Addr{
		socket.IPv6: netip.MustParseAddr("ff02::fb"), socket.IPv4: netip.MustParseAddr("224.0.0.251"),
	},
	Port: 5353,
}

// Probe tries what multicast can do on each interface, for two and a half
// seconds or until ctx is done. Of cfg, Network, NetworkKey and Interfaces
// count. The error says that the interfaces cannot be listed, or wraps ErrConfig.
func Probe(ctx context.Context, cfg Config) ([]Report, error) { return probe(ctx, cfg, system{}) }

func probe(ctx context.Context, cfg Config, m machine) ([]Report, error) {
	if cfg.Key == nil {
		cfg.Key = make([]byte, 64) // signs nothing
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	all, err := m.interfaces()
	if err != nil {
		return nil, fmt.Errorf("multicast: interfaces cannot be listed: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	chosen := socket.Select(all, cfg.Interfaces)
	reports := make([]Report, len(all))
	var wg sync.WaitGroup
	for n, i := range all {
		r := &reports[n]
		r.Interface = i
		r.Used = slices.ContainsFunc(chosen, func(u socket.Interface) bool { return u.Index == i.Index })
		if r.Used {
			wg.Go(func() { r.try(ctx, m, cfg.group()) })
		}
	}
	wg.Wait()
	return reports, nil
}

// try fills in the report.
func (r *Report) try(ctx context.Context, m machine, group socket.Group) {
	var own, dns [socket.Families]trial
	querier := unknown
	var wg sync.WaitGroup
	for f, has := range [socket.Families]bool{socket.IPv6: r.Interface.V6, socket.IPv4: r.Interface.V4} {
		if !has {
			continue
		}
		family := socket.Family(f)
		wg.Go(func() { own[f] = tryGroup(ctx, m, r.Interface, family, group, token()) })
		wg.Go(func() { dns[f] = tryGroup(ctx, m, r.Interface, family, mdns, question()) })
	}
	wg.Go(func() { querier = m.querier(ctx, r.Interface) })
	wg.Wait()
	for f := range own {
		r.Works[f], r.MDNS[f] = own[f].returned, dns[f].returned
		r.judge(socket.Family(f), &own[f], &dns[f], group.Port)
		for _, h := range own[f].others {
			if !slices.Contains(r.Hosts, h) {
				r.Hosts = append(r.Hosts, h)
			}
		}
	}
	r.judgeFamilies()
	if querier == absent {
		r.remark("nobody asks for members of groups (no MLD or IGMP querier): a switch that snoops forgets them"+
			" after some four minutes; busnode joins again each two", "if nodes lose sight of each other, turn on the"+
			" querier of one switch or router, or turn snooping off")
	}
	r.Findings = append(r.Findings, m.settings(r.Interface)...)
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		switch {
		case a.Grave == b.Grave:
			return 0
		case a.Grave:
			return -1
		}
		return 1
	})
}

func (r *Report) fault(problem, fix string) {
	r.Findings = append(r.Findings, Finding{Fault: true, Problem: problem, Fix: fix})
}

func (r *Report) remark(problem, fix string) {
	r.Findings = append(r.Findings, Finding{Problem: problem, Fix: fix})
}

// judge adds what the trials of a family found.
func (r *Report) judge(f socket.Family, own, dns *trial, port uint16) {
	name := r.Interface.Name
	switch {
	case own.err == nil && own.returned:
		if own.buffer < bufferMin && own.buffer > 0 {
			r.remark(fmt.Sprintf("the receive buffer is limited to %d bytes: bursts are lost, and repaired", own.buffer),
				fmt.Sprintf("sysctl -w net.core.rmem_max=%d", socket.ReceiveBufferBytes))
		}
	case !own.tried:
		return
	case errors.Is(own.err, syscall.EPERM) || errors.Is(own.err, syscall.EACCES):
		r.fault(fmt.Sprintf("%s: a packet filter on this machine stops outgoing datagrams to %s", f, own.group),
			fmt.Sprintf("allow outgoing UDP to port %d on %s", port, name))
	case errors.Is(own.err, syscall.ENETUNREACH) || errors.Is(own.err, syscall.EADDRNOTAVAIL):
		r.fault(fmt.Sprintf("%s: there is no address or no route to send from: %v", f, own.err),
			fmt.Sprintf("give %s an address, or wait until it has one", name))
	case own.err != nil:
		r.fault(fmt.Sprintf("%s: sending to %s fails: %v", f, own.group, own.err), "")
	default:
		r.fault(fmt.Sprintf("%s: datagrams to %s leave, and none comes in: a packet filter on this machine"+
			" stops them", f, own.group), fmt.Sprintf("allow incoming UDP to port %d on %s", port, name))
	}
	taken := errors.Is(dns.err, syscall.EADDRINUSE) // by a program that shares it with nobody
	if dns.tried && !dns.returned && !taken && own.returned {
		r.fault(fmt.Sprintf("%s: mDNS does not work, other multicast does", f),
			fmt.Sprintf("allow UDP to port %d on %s; multicast beacons find peers without it", mdns.Port, name))
	}
}

// judgeFamilies adds what follows from both families' results.
func (r *Report) judgeFamilies() {
	switch six, four := r.Works[socket.IPv6], r.Works[socket.IPv4]; {
	case !six && !four:
		if len(r.Findings) == 0 {
			r.fault("no datagram left or came in", "")
		}
		for i := range r.Findings {
			r.Findings[i].Grave = true
		}
	case !six && !r.Interface.V6:
		r.remark("there is no link-local IPv6 address: only hosts of the same IPv4 subnet are heard",
			"turn IPv6 on; link-local addresses need no configuration")
	}
}

// trial is what became of datagrams to a group.
type trial struct {
	tried    bool
	returned bool
	err      error // of the newest attempt to send, or of opening
	group    netip.AddrPort
	buffer   int
	others   []netip.Addr // who else was heard
}

// tryGroup sends a text to a group until it comes back, and listens for as long
// as ctx lets it.
func tryGroup(
	ctx context.Context, m machine, i socket.Interface, f socket.Family, g socket.Group, text []byte,
) (t trial) {
	t.tried, t.group = true, netip.AddrPortFrom(g.Addr[f], g.Port)
	e, err := m.open(i, f, g)
	if err != nil {
		t.err = err
		return t
	}
	t.buffer = e.ReceiveBuffer()
	var wg sync.WaitGroup
	wg.Go(func() {
		var b socket.Batch
		for e.Read(&b) == nil {
			for _, d := range b.Datagrams {
				switch from := d.From.Addr(); {
				case string(d.Bytes) == string(text):
					t.returned = true
				case !i.Owns(from) && !slices.Contains(t.others, from) && len(t.others) < hostsMax:
					t.others = append(t.others, from)
				}
			}
		}
	})
	every := time.NewTicker(probeEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		_, t.err = e.Write([][]byte{text}, 1)
		select {
		case <-every.C:
		case <-ctx.Done():
		}
	}
	_ = e.Close() // nothing is lost with it
	wg.Wait()
	return t
}

// hostsMax bounds the hosts that a trial remembers.
const hostsMax = 1024

// token returns a datagram that nobody takes for one of a network's.
func token() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}

// question returns an mDNS query for the kinds of services that there are, which
// a one-shot querier may send (RFC 6763, section 9).
func question() []byte {
	b := token()[:2]                            // the query's ID
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) // one question
	for _, label := range []string{"_services", "_dns-sd", "_udp", "local"} {
		b = append(b, byte(len(label)))
		b = append(b, label...)
	}
	return append(b, 0, 0, 12, 0, 1) // the end of the name, PTR, IN
}

// presence of a querier.
type querier uint8

const (
	unknown querier = iota // cannot be found out
	absent
	present
)
