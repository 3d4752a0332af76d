package multicast

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/busnode/busnode/p2p/multicast/netnstest"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// probeHost returns the report on a host's eth0.
func probeHost(t *testing.T, h *netnstest.Host) Report {
	t.Helper()
	cfg := configOf(t, 0)
	cfg.Key = nil
	reports, err := probe(t.Context(), cfg, hostMachine{h})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		switch r.Interface.Name {
		case "eth0":
			return r
		case "lo":
			if r.Used || r.Interface.Skipped != "loopback" {
				t.Errorf("the loopback interface: %+v", r)
			}
		}
	}
	t.Fatalf("no report on eth0: %+v", reports)
	return Report{}
}

// finds reports whether a finding speaks of a word.
func (r *Report) finds(word string) bool {
	for _, f := range r.Findings {
		if strings.Contains(f.Problem, word) {
			return true
		}
	}
	return false
}

func TestProbeFindsWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	every := [socket.Families]bool{true, true}
	port := fmt.Sprintf("udp dport %d drop", socket.Port)
	for _, tt := range []struct {
		name        string
		set         func(lab *netnstest.Lab, h *netnstest.Host)
		works, mdns [socket.Families]bool
		finds       string // in one of the problems; empty: nothing but what may be
		fault       bool   // that one is no remark
		grave       bool
	}{
		{name: "nothing", set: func(*netnstest.Lab, *netnstest.Host) {}, works: every, mdns: every, finds: "querier"},
		{name: "a querier", set: func(l *netnstest.Lab, _ *netnstest.Host) {
			l.SetSwitch("lan", "mcast_snooping", "1", "mcast_querier", "1")
			time.Sleep(100 * time.Millisecond)
		}, works: every, mdns: every},
		{name: "incoming filter", set: func(_ *netnstest.Lab, h *netnstest.Host) {
			h.Filter(port, "")
		}, mdns: every, finds: "none comes in", fault: true, grave: true},
		{name: "outgoing filter", set: func(_ *netnstest.Lab, h *netnstest.Host) {
			h.Filter("", port)
		}, mdns: every, finds: "stops outgoing", fault: true, grave: true},
		{name: "incoming filter of IPv4", set: func(_ *netnstest.Lab, h *netnstest.Host) {
			h.Filter("meta nfproto ipv4 "+port, "")
		}, works: [socket.Families]bool{socket.IPv6: true}, mdns: every, finds: "IPv4: datagrams to 239.255.", fault: true},
		{name: "mDNS filter", set: func(_ *netnstest.Lab, h *netnstest.Host) {
			h.Filter("udp dport 5353 drop", "")
		}, works: every, finds: "mDNS does not work", fault: true},
		{name: "reverse path filter", set: func(_ *netnstest.Lab, h *netnstest.Host) {
			h.Sysctl("net/ipv4/conf/eth0/rp_filter", "2")
		}, works: every, mdns: every, finds: "reverse path filter (2)"},
		{
			name: "no IPv6", set: func(_ *netnstest.Lab, h *netnstest.Host) {
				h.Sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
			}, works: [socket.Families]bool{socket.IPv4: true}, mdns: [socket.Families]bool{socket.IPv4: true},
			finds: "no link-local IPv6",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := netnstest.New(t)
			h := lab.LAN(1)[0]
			tt.set(lab, h)
			r := probeHost(t, h)
			if !r.Used || r.Works != tt.works || r.MDNS != tt.mdns || len(r.Hosts) > 0 {
				t.Errorf("report %+v, want it to work: %v, mDNS: %v", r, tt.works, tt.mdns)
			}
			if tt.finds != "" && !r.finds(tt.finds) || tt.finds == "" && len(r.Findings) > 0 {
				t.Errorf("findings %+v, want one on %q", r.Findings, tt.finds)
			}
			for _, f := range r.Findings {
				if !tt.grave && f.Grave {
					t.Errorf("it is said to be grave that %s", f.Problem)
				}
				if want := tt.fault && strings.Contains(f.Problem, tt.finds); f.Fault != want {
					t.Errorf("that it is a fault is %v: %s", f.Fault, f.Problem)
				}
			}
			if tt.grave && !r.Findings[0].Grave {
				t.Errorf("nothing is said to be grave: %+v", r.Findings)
			}
		})
	}
}

func TestProbeHearsTheOtherHosts(t *testing.T) {
	hosts := netnstest.New(t).LAN(2)
	startOnHost(t, 1, hosts[1])
	r := probeHost(t, hosts[0])
	own := false
	for _, h := range r.Hosts {
		own = own || r.Interface.Owns(h)
	}
	if len(r.Hosts) == 0 || own {
		t.Errorf("heard %v", r.Hosts)
	}
	if len(r.Hosts) > 2 || r.Hosts[0] != (netip.Addr{}) && !r.Hosts[0].IsLinkLocalUnicast() {
		t.Errorf("heard %v, want the other host's addresses", r.Hosts)
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	h := netnstest.New(t).LAN(1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	if _, err := probe(ctx, Config{Network: "test"}, hostMachine{h}); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > probeTime/2 {
		t.Errorf("it took %v", took)
	}
	if _, err := Probe(ctx, Config{}); !errors.Is(err, ErrConfig) {
		t.Errorf("without a network: %v", err)
	}
}

func TestQueriesAreRecognized(t *testing.T) {
	mld := append(make([]byte, 40), 58, 0, 5, 2, 0, 0, 0, 0, 130, 0)
	mld[0] = 0x60
	igmp := append(make([]byte, 24), 0x11, 0)
	igmp[0], igmp[9] = 0x46, 2
	for name, tt := range map[string]struct {
		packet []byte
		want   bool
	}{
		"MLD": {mld, true}, "IGMP": {igmp, true},
		"MLD report":  {append(append([]byte(nil), mld[:48]...), 143, 0), false},
		"IGMP report": {append(append([]byte(nil), igmp[:24]...), 0x22, 0), false},
		"cut off":     {mld[:47], false}, "IGMP, cut off": {igmp[:24], false}, "nothing": {nil, false},
		"another version": {append([]byte{0x20}, mld[1:]...), false},
	} {
		if got := isQuery(tt.packet); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
